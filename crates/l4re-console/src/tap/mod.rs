//! The Test Anything Protocol as L4Re's tests print it on the console.
//!
//! Blocks stand between `TAP TEST START` and `TAP TEST FINISH`; what a line has before the
//! first marker is a prefix of every line of the block (`KUT ` of the kernel's unit tests, a
//! log tag of an application). Bundles (`BUNDLE TEST …`) hold several blocks. Reference:
//! `tool/lib/L4/TapWrapper/Plugin/{TAPOutput,BundleMode}.pm` of L4Re's build system.
//!
//! Invariant: memory is bounded by [`MAX_CASES`] cases with short texts.

mod line;
mod parser;
mod result;

pub use parser::{MAX_CASES, Progress, TapParser};
pub use result::{Case, Directive, Outcome, TapReport, TapVerdict};
