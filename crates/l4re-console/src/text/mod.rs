//! Console bytes as lines of plain text, for recognition and expectations.

mod lines;
mod plain;
mod undouble;

pub use lines::{Block, BlockEnd, Lines, MAX_LINE};
pub(crate) use lines::{OVERLAP, split_line};
pub use plain::Plain;
pub(crate) use plain::blocks_of;
pub(crate) use undouble::UndoubledLines;
pub use undouble::{Undoubler, undouble};
