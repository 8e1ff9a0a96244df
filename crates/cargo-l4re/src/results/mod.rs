//! What a run of tests came to: for people, as JSON lines and as JUnit XML.

mod junit;
mod outcome;
mod tail;
mod told;

pub use self::junit::{forget as forget_junit, write as write_junit};
pub use self::outcome::{Outcome, Tally, weight};
pub use self::told::{details, line, message};
