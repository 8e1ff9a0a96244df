//! Console bytes without what could harm a terminal.

mod filter;
mod piece;

pub use filter::Sanitiser;
pub use piece::Sequences;
