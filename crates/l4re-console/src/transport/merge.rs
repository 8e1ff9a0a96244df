//! Joins live bytes and polled windows into one stream.

use super::Gap;
use bytes::Bytes;

/// A piece of the joined stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Merged {
    /// Bytes seen live.
    Live(Bytes),
    /// Bytes from a window.
    Backlog(Bytes),
    /// Bytes are missing here.
    Gap(Gap),
}

/// The joiner.
#[derive(Debug, Default)]
pub struct Merger {}
