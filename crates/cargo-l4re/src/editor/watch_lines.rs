//! The lines by which an editor tells that `cargo l4re watch` begins and ends a round.
//!
//! Editors are told by these patterns, so the words of `watch` are part of its interface.

/// What `watch` says when it begins to wait or to build.
pub const BEGINS: &str = r"^\s*Watching|^\s*Building";
/// What `watch` says when a round is over.
pub const ENDS: &str = r"^\s*(Ready|Failed)";
