//! The console of an L4Re system: followed from the first byte, recorded raw, judged.
//!
//! A [`transport::Transport`] brings bytes, [`follow::follow`] records them, recognises
//! boot phases and faults, compares them with expectations, hands bytes that cannot harm a
//! terminal to the caller, and ends with a [`verdict::Verdict`].
//!
//! Invariants: this crate knows no AWS type, never prints, never reads the environment and
//! starts no runtime; memory stays bounded whatever the bytes are; the log holds every byte
//! that was read.

pub mod asciicast;
pub mod escape;
pub mod expect;
pub mod follow;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
pub mod log;
pub mod phase;
pub mod sanitise;
pub mod tap;
pub mod text;
pub mod transport;
pub mod verdict;
