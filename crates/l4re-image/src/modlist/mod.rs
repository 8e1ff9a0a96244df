//! Module lists (`modules.list`): the line grammar, includes, and the entries in them.

mod evaluate;
mod line;
mod listing;
mod pattern;
mod source;

pub(crate) use evaluate::{Evaluation, Listed, evaluate};
pub use listing::{Entry, ListOptions};
pub(crate) use listing::{entries, named};
pub(crate) use source::Source;

#[cfg(test)]
mod evaluate_tests;
#[cfg(test)]
mod tests;
