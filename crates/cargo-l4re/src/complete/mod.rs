//! Completions: shells ask this program at each key, and it answers with what there is now.
//!
//! Nothing here prints, starts a twin or waits for long: a question that cannot be answered
//! in time has no answer.

mod answer;
mod registration;
mod surroundings;

#[cfg(feature = "cloud")]
pub use self::answer::instances;
pub use self::answer::{commands, entries, keys, machine_types, subjects, targets};
pub use self::registration::{Language, answered, registration};
