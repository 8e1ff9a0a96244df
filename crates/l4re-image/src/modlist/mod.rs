//! Module lists (`modules.list`): the line grammar, includes, and the entries in them.

mod line;
mod listing;
mod source;

pub(crate) use listing::entries;
pub use listing::{Entry, ListOptions};

#[cfg(test)]
mod tests;
