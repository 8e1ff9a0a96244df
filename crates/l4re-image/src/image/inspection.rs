//! What an image is and holds, as types: the result of
//! [`inspect`](super::inspect).

use camino::Utf8PathBuf;
use serde::Serialize;

use crate::arch::{Arch, Kind};

/// An image file that was read and found to be one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Image {
    /// The file.
    pub path: Utf8PathBuf,
    /// The architecture that it runs on.
    pub arch: Arch,
    /// Its format.
    pub kind: Kind,
    /// Its size in bytes.
    pub size: u64,
    /// The SHA-256 of its bytes, in lower-case hexadecimal digits.
    pub sha256: String,
}

/// All there is to know about an image.
#[derive(Clone, Debug, Serialize)]
pub struct Inspection {
    /// The file.
    pub path: Utf8PathBuf,
    /// The architecture that it runs on.
    pub arch: Arch,
    /// Its format.
    pub kind: Kind,
    /// Its size in bytes.
    pub size: u64,
    /// The SHA-256 of its bytes; only from [`inspect`](super::inspect).
    pub sha256: Option<String>,
    /// Whether the image proper is wrapped in a file of another width: amd64's multiboot form.
    pub wrapped: bool,
    /// Where in the file the wrapped image is, and its size.
    #[serde(skip)]
    pub(crate) wrapped_at: Option<(u64, u64)>,
    /// The SHA-256 of the bootstrapper's own bytes, without what L4Re's tools put into it; only
    /// from [`inspect`](super::inspect), and only of L4Re images.
    #[serde(skip)]
    pub(crate) code: Option<String>,
    /// The platform that it was built for (attribute `l4i:PT`).
    pub platform: Option<String>,
    /// Whether its kernel must be entered in EL2, by the kernel's own feature list, as the
    /// bootstrapper reads it. `None` where that cannot be known: no kernel in it, a
    /// compressed kernel, an architecture without exception levels, or headers only.
    pub wants_el2: Option<bool>,
    /// L4Re's image info; `None` for an image that is not L4Re's, which is an image all the
    /// same.
    pub info: Option<ImageInfo>,
    /// The bootstrapper's command line.
    pub cmdline: Option<String>,
    /// The modules, in their order.
    pub modules: Vec<Module>,
    /// The attributes, in their order.
    pub attributes: Vec<Attribute>,
    /// What was checked.
    pub checks: Vec<Check>,
}

impl Inspection {
    /// The value of an attribute.
    pub fn attribute(&self, key: &str) -> Option<&str> {
        self.attributes.iter().find(|attribute| attribute.key == key).map(|a| a.value.as_str())
    }

    /// The checks that it failed.
    pub fn failed(&self) -> impl Iterator<Item = &Check> {
        self.checks.iter().filter(|check| check.verdict == Verdict::Fail)
    }
}

/// L4Re's `Image_info` (bootstrap's `boot_modules.cc`). Addresses are virtual; offsets are
/// from `start`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ImageInfo {
    /// Where its magic is in the file.
    pub file_offset: u64,
    /// The field of that name; L4Re's tools leave it zero.
    pub crc32: u32,
    /// Version of the structure, 1 or 2.
    pub version: u32,
    /// Width and family of the architecture.
    pub flags: u64,
    /// Start of the bootstrapper.
    pub start: u64,
    /// End of the bootstrapper.
    pub end: u64,
    /// Start of the module data.
    pub module_data_start: u64,
    /// Address of a pointer to the end of the modules, or 0.
    pub end_pointer: u64,
    /// Offset of the module header, or 0 without modules.
    pub module_header: u64,
    /// Offset of the attributes, or 0 without.
    pub attributes: u64,
}

/// What a module is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ModuleKind {
    /// A file for the roottask and beyond.
    Module,
    /// The kernel.
    Kernel,
    /// The root pager.
    Sigma0,
    /// The roottask.
    Roottask,
    /// A value that L4Re reserves.
    Reserved,
}

/// A module of an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Module {
    /// What it is for.
    pub kind: ModuleKind,
    /// Its name.
    pub name: String,
    /// Its command line, name first.
    pub cmdline: String,
    /// All its flags, the kind included.
    pub flags: u64,
    /// Where its bytes are in the file.
    pub file_offset: u64,
    /// Its bytes in the image.
    pub size: u64,
    /// Its bytes when uncompressed; equal to `size` when it is not compressed.
    pub size_uncompressed: u64,
    /// The MD5 that the image states for the bytes in it.
    pub md5: String,
    /// The MD5 that the image states for the uncompressed bytes.
    pub md5_uncompressed: String,
    /// Its attributes.
    pub attributes: Vec<Attribute>,
}

/// A key with its value; bytes that are not UTF-8 are replaced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Attribute {
    /// The key.
    pub key: String,
    /// The value.
    pub value: String,
}

/// What is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum CheckName {
    /// The headers' machine is the one that L4Re's image info names.
    Machine,
    /// The PE file is an EFI application.
    Subsystem,
    /// No two sections share addresses or bytes.
    Overlap,
    /// Sections and segments are within the file, and the sizes in the headers fit.
    Sizes,
    /// There is exactly one kernel, one sigma0 and one roottask; or a kernel alone, which is what
    /// its unit tests are.
    Parts,
    /// Modules start at page boundaries, in order, one after the other.
    Alignment,
    /// The modules have the MD5 sums that the image states.
    Sums,
}

/// How a check went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it should be.
    Pass,
    /// Odd, but it may work.
    Warn,
    /// Wrong: do not deploy it.
    Fail,
    /// Not applicable here, or not looked at.
    Skip,
}

/// A check with its outcome.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was checked.
    pub name: CheckName,
    /// How it went.
    pub verdict: Verdict,
    /// The finding in words.
    pub detail: String,
}
