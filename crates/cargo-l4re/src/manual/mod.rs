//! What `cargo l4re help` and `cargo l4re man` show: the book's pages and manual pages.

mod page;
mod roff;
mod topic;

pub use self::page::render;
pub use self::roff::{pages, roff};
pub use self::topic::TOPICS;
