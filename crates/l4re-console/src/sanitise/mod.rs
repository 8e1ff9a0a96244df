//! Console bytes without what could harm a terminal.

mod colourless;
mod filter;
mod piece;

pub use colourless::without_sequences;
pub use filter::Sanitiser;
