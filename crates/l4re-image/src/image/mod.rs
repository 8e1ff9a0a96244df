//! Boot images: PE and ELF files, with L4Re's modules in them or without.

mod error;
mod inspection;

pub use error::ImageError;
pub use inspection::{
    Attribute, Check, CheckName, Image, ImageInfo, Inspection, Module, ModuleKind, Verdict,
    inspect, inspect_headers,
};
