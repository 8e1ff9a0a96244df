//! What will not work, found before it costs anything.
//!
//! Invariant: nothing is changed. What cannot be found out is said to be unknown, never that
//! it is well.

mod account;
mod clock;
mod finding;
mod permission;
mod quota;
mod run;
mod store;

pub use finding::{Examination, Finding, Level};
pub use quota::quota_code;
pub use run::DoctorOptions;
