//! Boot images: PE and ELF files, with L4Re's modules in them or without.

mod checks;
mod code;
mod diff;
mod digest;
mod elf;
mod error;
mod extract;
mod file;
mod info;
mod inspection;
mod layout;
mod pe;
mod read;
mod sums;

pub(crate) use checks::page_size;
pub use diff::{Change, Difference, diff};
pub(crate) use digest::{Pieces, beside};
pub use error::ImageError;
pub use extract::{ExtractError, extract};
pub(crate) use file::{Fields, ImageFile};
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use info::INFO_MAGIC;
pub(crate) use info::{HEADER_MAGIC, MODULE_MAGIC};
pub use inspection::{
    Attribute, Check, CheckName, Image, ImageInfo, Inspection, Module, ModuleKind, Verdict,
};
pub use read::{inspect, inspect_headers, wants_el2};

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod sample;
#[cfg(test)]
mod tests;
