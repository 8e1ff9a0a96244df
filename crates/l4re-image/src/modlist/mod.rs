//! Module lists (`modules.list`): the line grammar, includes, and the entries in them.

mod listing;

pub use listing::{Entry, ListOptions};
pub(crate) use listing::entries;
