//! Boot phases, faults and hints, recognised from what L4Re, iPXE and firmware print.
//!
//! Invariant: recognition is a function of the bytes, not of how they were cut into chunks.

mod apply;
#[cfg(test)]
mod book;
mod context;
mod fault;
mod hint;
mod image_info;
mod ipxe_error;
mod line;
mod mark;
mod recogniser;
mod rules;
mod speaker;
mod stage;

pub use fault::{Fault, FaultKind};
pub use hint::{HintClock, hint_for, usual_limit};
pub use image_info::{Agreement, ImageInfo};
pub use ipxe_error::{IpxeError, explain};
pub use mark::{Mark, MarkStage};
pub use recogniser::{ApplicationLine, LineRecogniser, Recogniser, Sighting, Start};
pub(crate) use stage::seconds as stage_seconds;
pub use stage::{Phase, PhaseTime, PhaseTimes};
