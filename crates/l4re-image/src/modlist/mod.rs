//! Module lists (`modules.list`): the line grammar, includes, and the entries in them.

mod evaluate;
mod line;
mod listing;
mod pattern;
mod source;

pub(crate) use evaluate::{Evaluation, Listed, evaluate};
pub(crate) use listing::entries;
pub use listing::{Entry, ListOptions};
pub(crate) use source::Source;

#[cfg(test)]
mod evaluate_tests;
#[cfg(test)]
mod tests;
