//! A file read at given places, with bounds checked before a byte is read or allocated.
//!
//! Invariant: nothing is allocated for data that is not in the file, and every error names
//! the field and its offset in the file, also for a view on a part of it.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use camino::{Utf8Path, Utf8PathBuf};

use super::ImageError;

/// A file, or a part of one that has a structure of its own.
#[derive(Debug)]
pub(crate) struct ImageFile {
    path: Utf8PathBuf,
    file: File,
    base: u64,
    len: u64,
}

impl ImageFile {
    pub(crate) fn open(path: &Utf8Path) -> Result<Self, ImageError> {
        let failed = |source: io::Error| match source.kind() {
            io::ErrorKind::NotFound => ImageError::NotFound { path: path.to_owned() },
            _ => ImageError::Read { path: path.to_owned(), source },
        };
        // Before it is opened: that of a pipe would wait for a writer.
        let data = std::fs::metadata(path).map_err(failed)?;
        if !data.is_file() {
            let looks_like = if data.is_dir() { "a folder" } else { "a device or a pipe" };
            return Err(ImageError::NotAnImage { path: path.to_owned(), looks_like });
        }
        let file = File::open(path).map_err(failed)?;
        Ok(Self { path: path.to_owned(), file, base: 0, len: data.len() })
    }

    /// The part of `len` bytes at `offset`, which must be within.
    pub(crate) fn part(
        &self,
        field: &'static str,
        offset: u64,
        len: u64,
    ) -> Result<Self, ImageError> {
        self.within(field, offset, len)?;
        let file = self.file.try_clone().map_err(|source| self.read_error(source))?;
        Ok(Self { path: self.path.clone(), file, base: self.base + offset, len })
    }

    pub(crate) fn path(&self) -> &Utf8Path {
        &self.path
    }

    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Where this part starts in the whole file.
    pub(crate) fn base(&self) -> u64 {
        self.base
    }

    /// Says whether `len` bytes at `offset` are there.
    pub(crate) fn within(
        &self,
        field: &'static str,
        offset: u64,
        len: u64,
    ) -> Result<(), ImageError> {
        let actual = self.len.saturating_sub(offset);
        if len <= actual {
            return Ok(());
        }
        let (path, offset) = (self.path.clone(), self.base.saturating_add(offset));
        Err(ImageError::Truncated { path, field, offset, expected: len, actual })
    }

    /// The `len` bytes at `offset`.
    pub(crate) fn bytes(
        &self,
        field: &'static str,
        offset: u64,
        len: u64,
    ) -> Result<Vec<u8>, ImageError> {
        self.within(field, offset, len)?;
        let mut bytes = vec![0; usize::try_from(len).unwrap_or(usize::MAX)];
        self.read_exact(&mut bytes, offset)?;
        Ok(bytes)
    }

    /// As many of the bytes at `offset` as fit and are there; how many is returned.
    pub(crate) fn fill(&self, buffer: &mut [u8], offset: u64) -> Result<usize, ImageError> {
        let left = self.len.saturating_sub(offset);
        let count = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        self.read_exact(&mut buffer[..count], offset)?;
        Ok(count)
    }

    /// Calls `each` with the `len` bytes at `offset`, piece by piece.
    pub(crate) fn stream(
        &self,
        field: &'static str,
        offset: u64,
        len: u64,
        mut each: impl FnMut(&[u8]),
    ) -> Result<(), ImageError> {
        self.within(field, offset, len)?;
        let mut buffer = vec![0; usize::try_from(len).unwrap_or(usize::MAX).min(256 * 1024)];
        let mut done = 0;
        while done < len {
            let piece = usize::try_from(len - done).unwrap_or(usize::MAX).min(buffer.len());
            self.read_exact(&mut buffer[..piece], offset + done)?;
            each(&buffer[..piece]);
            done += piece as u64;
        }
        Ok(())
    }

    /// A field whose value cannot be.
    pub(crate) fn bad(
        &self,
        field: &'static str,
        offset: u64,
        value: u64,
        why: &'static str,
    ) -> ImageError {
        let (path, offset) = (self.path.clone(), self.base.saturating_add(offset));
        ImageError::BadField { path, field, offset, value, why }
    }

    fn read_exact(&self, buffer: &mut [u8], offset: u64) -> Result<(), ImageError> {
        let at = self.base.saturating_add(offset);
        self.file.read_exact_at(buffer, at).map_err(|source| self.read_error(source))
    }

    fn read_error(&self, source: io::Error) -> ImageError {
        ImageError::Read { path: self.path.clone(), source }
    }
}

/// A structure in memory whose fields are read by their offset in it.
#[derive(Debug)]
pub(crate) struct Fields<'a> {
    bytes: &'a [u8],
    big_endian: bool,
}

impl<'a> Fields<'a> {
    pub(crate) fn little(bytes: &'a [u8]) -> Self {
        Self { bytes, big_endian: false }
    }

    pub(crate) fn new(bytes: &'a [u8], big_endian: bool) -> Self {
        Self { bytes, big_endian }
    }

    pub(crate) fn u16(&self, at: usize) -> u16 {
        let bytes = self.array(at);
        if self.big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) }
    }

    pub(crate) fn u32(&self, at: usize) -> u32 {
        let bytes = self.array(at);
        if self.big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
    }

    pub(crate) fn u64(&self, at: usize) -> u64 {
        let bytes = self.array(at);
        if self.big_endian { u64::from_be_bytes(bytes) } else { u64::from_le_bytes(bytes) }
    }

    /// The bytes at `at`; zeros beyond the end, so that a reader with a wrong offset cannot
    /// panic on bytes from outside.
    fn array<const N: usize>(&self, at: usize) -> [u8; N] {
        let bytes = self.bytes.get(at..at.saturating_add(N)).and_then(|b| b.try_into().ok());
        debug_assert!(bytes.is_some(), "a field beyond its structure");
        bytes.unwrap_or([0; N])
    }
}
