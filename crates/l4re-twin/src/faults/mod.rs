//! Faults on request: what EC2 and the network do wrong now and then, when a test wants it.

mod calls;
mod decide;
mod meet;
mod plan;
mod truncate;

pub(crate) use decide::{Faults, Launching};
pub(crate) use meet::{Dropped, meet, planned};
pub use plan::{Effect, FaultPlan, FaultRule, faults, set_faults};
pub(crate) use truncate::truncate;
