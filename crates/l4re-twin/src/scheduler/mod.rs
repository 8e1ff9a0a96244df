//! EventBridge Scheduler (REST and JSON, version 2021-06-30), as far as it ends instances:
//! one-time schedules in the default group whose target is a call of EC2.

mod calls;
mod expression;
mod record;
mod run;
mod target;
#[cfg(test)]
mod tests;

pub(crate) use calls::{answer, operation};
pub(crate) use record::Schedules;
pub(crate) use run::run;
