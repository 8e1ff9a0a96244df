//! Reading bytes for what they add up to: the image's SHA-256, the modules' MD5, and the
//! kernel's feature list.

use std::io::{self, Read};

use flate2::read::GzDecoder;
use md5::Md5;
use sha2::{Digest, Sha256};

use super::ImageError;
use super::file::ImageFile;
use super::inspection::Module;

/// The feature by which an Arm kernel says that it runs in EL2 (kernel's `cpu-arm.cpp`); the
/// bootstrapper looks for it (`platform_common-arm.cc`).
const EL2_FEATURE: &[u8] = b"arm:hyp\0";

pub(super) fn sha256(file: &ImageFile) -> Result<String, ImageError> {
    let mut hash = Sha256::new();
    file.stream("image", 0, file.len(), |piece| hash.update(piece))?;
    Ok(hex::encode(hash.finalize()))
}

/// What reading a module's bytes tells.
#[derive(Debug)]
pub(super) struct ModuleSums {
    pub(super) md5: String,
    /// Of the unpacked bytes, or why they cannot be unpacked.
    pub(super) md5_uncompressed: Result<String, String>,
    /// Whether the bytes, unpacked, name the EL2 feature.
    pub(super) el2: bool,
}

/// Sums a module. `file` is the whole image file, as module offsets are.
pub(super) fn module(file: &ImageFile, module: &Module) -> Result<ModuleSums, ImageError> {
    let mut hash = Md5::new();
    let mut feature = Search::default();
    file.stream("module data", module.file_offset, module.size, |piece| {
        hash.update(piece);
        feature.feed(piece);
    })?;
    let md5 = hex::encode(hash.finalize());
    if !module.is_compressed() {
        return Ok(ModuleSums { md5_uncompressed: Ok(md5.clone()), md5, el2: feature.found });
    }
    let data = file.part("module data", module.file_offset, module.size)?;
    let mut feature = Search::default();
    let md5_uncompressed = unpacked(&data, module.size_uncompressed, &mut feature);
    Ok(ModuleSums { md5, md5_uncompressed, el2: feature.found })
}

impl Module {
    /// L4Re marks compression by the two sizes only.
    pub(super) fn is_compressed(&self) -> bool {
        self.size != self.size_uncompressed
    }
}

/// The MD5 of gzip data, which must unpack to exactly `size` bytes.
fn unpacked(data: &ImageFile, size: u64, feature: &mut Search) -> Result<String, String> {
    let mut hash = Md5::new();
    let mut done = 0;
    let mut buffer = vec![0; 64 * 1024];
    // One byte more than there may be, so that more is noticed and a bomb stops here.
    let mut decoder = GzDecoder::new(PartReader::new(data)).take(size + 1);
    loop {
        let count = decoder.read(&mut buffer).map_err(|error| format!("no gzip data: {error}"))?;
        if count == 0 {
            break;
        }
        hash.update(&buffer[..count]);
        feature.feed(&buffer[..count]);
        done += count as u64;
    }
    match done == size {
        true => Ok(hex::encode(hash.finalize())),
        false => Err(format!("it unpacks to another size than {size} bytes")),
    }
}

/// A part of an image as a stream.
pub(super) struct PartReader<'a> {
    data: &'a ImageFile,
    at: u64,
}

impl<'a> PartReader<'a> {
    pub(super) fn new(data: &'a ImageFile) -> Self {
        Self { data, at: 0 }
    }
}

impl Read for PartReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.data.fill(buffer, self.at).map_err(io::Error::other)?;
        self.at += count as u64;
        Ok(count)
    }
}

/// Finds the feature in bytes that come in pieces.
#[derive(Default)]
struct Search {
    carried: Vec<u8>,
    found: bool,
}

impl Search {
    fn feed(&mut self, piece: &[u8]) {
        if self.found {
            return;
        }
        // The end of what came before, with the start of this piece, then this piece itself.
        let keep = EL2_FEATURE.len() - 1;
        self.carried.extend_from_slice(&piece[..piece.len().min(keep)]);
        self.found = super::info::find(&self.carried, EL2_FEATURE).is_some()
            || super::info::find(piece, EL2_FEATURE).is_some();
        if piece.len() >= keep {
            self.carried.clear();
            self.carried.extend_from_slice(&piece[piece.len() - keep..]);
        }
        let excess = self.carried.len().saturating_sub(keep);
        self.carried.drain(..excess);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feature_across_pieces() {
        for size in 1..12 {
            let mut search = Search::default();
            b"mp\0arm:hyp\0fi\0".chunks(size).for_each(|piece| search.feed(piece));
            assert!(search.found, "in pieces of {size}");
            let mut other = Search::default();
            b"mp\0arm:hyp2\0fi\0".chunks(size).for_each(|piece| other.feed(piece));
            assert!(!other.found, "in pieces of {size}");
        }
    }
}
