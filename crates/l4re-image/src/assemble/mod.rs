//! Making an image without make: the base image with an entry's modules, byte for byte as
//! L4Re's tools make it (`tool/imagebuilder`, `tool/bin/l4image`, `tool/lib/L4`).
//!
//! Invariant: what cannot be done to the letter is refused with a reason
//! ([`AssembleError::Unfit`]), and make does it.

mod again;
mod base;
mod elf;
mod elf_needs;
mod kept;
mod known;
mod output;
mod payload;
mod pe;
mod plan;
mod prepare;
mod remember;
mod run;
mod settings;
mod sums;
mod sweep;
mod write;

pub use run::{AssembleError, AssembleOptions, Stamp, assemble, keep_base};

#[cfg(any(test, feature = "fuzzing"))]
mod fuzz;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use fuzz::{fuzz_elf, fuzz_needs, fuzz_pe};
#[cfg(test)]
mod tests;
