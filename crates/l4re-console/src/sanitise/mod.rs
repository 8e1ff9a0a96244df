//! Console bytes without what could harm a terminal.

mod colourless;
mod filter;
mod piece;

pub use colourless::{only_colours, without_sequences};
pub use filter::Sanitiser;
