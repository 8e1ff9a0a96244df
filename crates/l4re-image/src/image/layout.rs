//! The headers of an image, whatever its format: where its sections and segments are in
//! memory and in the file.
//!
//! Invariant: every [`Area`] that has bytes in the file lies within the file.

use super::file::ImageFile;
use super::{ImageError, elf, pe};
use crate::arch::{Arch, Kind};

/// A PE section, an ELF segment or an ELF section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Area {
    pub(super) name: String,
    /// Virtual address, for PE relative to the image base.
    pub(super) address: u64,
    /// Bytes in memory.
    pub(super) memory: u64,
    /// Place in the file.
    pub(super) offset: u64,
    /// Bytes in the file.
    pub(super) bytes: u64,
}

impl Area {
    /// The place in the file of an address, if that has bytes there.
    fn file_offset(&self, address: u64) -> Option<u64> {
        let within = address.checked_sub(self.address)?;
        (within < self.bytes).then(|| self.offset + within)
    }
}

/// The headers of an image.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) kind: Kind,
    pub(super) arch: Arch,
    /// What is loaded: PE sections, ELF segments.
    pub(super) areas: Vec<Area>,
    /// What is not as it should be in headers that can be read all the same.
    pub(super) pe: Option<pe::Summary>,
    /// The image proper when it is wrapped in a file of another width (amd64's multiboot
    /// form), with its own layout.
    pub(super) inner: Option<Box<(ImageFile, Self)>>,
}

impl Layout {
    pub(super) fn read(file: &ImageFile) -> Result<Self, ImageError> {
        let mut start = [0; 512];
        let count = file.fill(&mut start, 0)?;
        let start = &start[..count];
        match start {
            [b'M', b'Z', ..] => pe::read(file),
            [0x7f, b'E', b'L', b'F', ..] => elf::read(file),
            _ => {
                let (path, looks_like) = (file.path().to_owned(), looks_like(start));
                Err(ImageError::NotAnImage { path, looks_like })
            }
        }
    }

    /// The place in the file of a virtual address.
    pub(super) fn file_offset(&self, address: u64) -> Option<u64> {
        self.areas.iter().find_map(|area| area.file_offset(address))
    }
}

/// What a file that is no image seems to be, from its first bytes.
fn looks_like(start: &[u8]) -> &'static str {
    const MARKS: [(&[u8], &str); 13] = [
        (b"\x1f\x8b", "gzip data: unpack it first"),
        (b"\xfd7zXZ\0", "xz data: unpack it first"),
        (b"\x28\xb5\x2f\xfd", "zstd data: unpack it first"),
        (b"BZh", "bzip2 data: unpack it first"),
        (b"PK\x03\x04", "a ZIP archive"),
        (b"\x27\x05\x19\x56", "a U-Boot image (uimage): build an efiimage or elfimage"),
        (b"\xd0\x0d\xfe\xed", "a device tree or FIT image"),
        (b"QFI\xfb", "a qcow2 disk image"),
        (b"%PDF", "a PDF document"),
        (b"#!", "a script"),
        (b"<?xml", "an XML document (an error message of a server?)"),
        (b"{", "JSON text (an error message of a server?)"),
        (b"!<arch>", "an archive of object files"),
    ];
    if start.is_empty() {
        return "an empty file";
    }
    let trimmed = start.trim_ascii_start();
    if let Some((_, what)) = MARKS.into_iter().find(|(mark, _)| trimmed.starts_with(mark)) {
        return what;
    }
    let lower = trimmed.to_ascii_lowercase();
    if lower.starts_with(b"<!doctype html") || lower.starts_with(b"<html") {
        return "an HTML page (an error message of a server?)";
    }
    if start.get(510..512) == Some(&[0x55, 0xaa]) {
        return "a disk image with a boot sector";
    }
    if start.iter().all(|&b| b == 0) {
        return "zeros";
    }
    let text = |b: &u8| matches!(b, b'\t' | b'\n' | b'\r' | 0x20..=0x7e | 0x80..);
    if std::str::from_utf8(start).is_ok() && start.iter().all(text) { "text" } else { "raw data" }
}

#[cfg(test)]
mod tests {
    use super::looks_like;

    #[test]
    fn files_that_are_no_images() {
        assert_eq!(looks_like(b""), "an empty file");
        assert!(looks_like(b"\x1f\x8b\x08").starts_with("gzip"));
        assert!(looks_like(b"\n <!DOCTYPE HTML PUBLIC").starts_with("an HTML page"));
        assert!(looks_like(b"<?xml version=\"1.0\"?><Error>").starts_with("an XML"));
        assert!(looks_like(b"\x27\x05\x19\x56rest").contains("U-Boot"));
        assert_eq!(looks_like(b"hello\n"), "text");
        assert_eq!(looks_like(&[0; 512]), "zeros");
        assert_eq!(looks_like(&[1, 2, 3]), "raw data");
    }
}
