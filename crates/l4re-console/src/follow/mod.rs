//! Follows a console from a transport to a verdict.
//!
//! Invariant: every byte that a transport handed over is in the log before anything is
//! concluded from it.

mod control;
mod event;
mod filters;
mod judge;
mod keep;
mod options;
mod report;
mod run;
mod scan;

pub use control::{Control, ControlHandle, control};
pub use event::{Event, Observer};
pub use options::FollowOptions;
pub use report::Report;
pub use run::follow;
