//! Completions: shells ask this program at each key, and it answers with what there is now.
//!
//! Nothing here prints, starts a twin or waits for long: a question that cannot be answered
//! in time has no answer.

mod answer;
mod registration;
mod surroundings;

pub use self::answer::{arches, commands, entries, keys, machine_types, subjects, targets};
#[cfg(feature = "cloud")]
pub use self::answer::{boots, instances, profiles, regions};
pub use self::registration::{Language, answered, registration};
