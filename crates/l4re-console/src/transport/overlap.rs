//! Finds where a window continues a stream.
