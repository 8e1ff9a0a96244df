//! Reading bytes for what they add up to: the image's SHA-256, the modules' MD5, and the
//! kernel's feature list.

use std::io::{self, Read};

use flate2::read::GzDecoder;
use md5::Md5;
use sha2::{Digest, Sha256};

use super::ImageError;
use super::digest::beside;
use super::file::ImageFile;
use super::inspection::{Module, ModuleKind};

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

/// Sums the file and its modules in one pass. Of modules that share bytes, as only forged
/// images have them, there are no sums: they could be as many as the file has bytes.
pub(super) fn all(
    file: &ImageFile,
    modules: &[Module],
) -> Result<(Option<Vec<ModuleSums>>, String), ImageError> {
    let ordered = modules.iter().try_fold(0, |end, module| {
        (module.file_offset >= end).then_some(module.file_offset + module.size)
    });
    if ordered.is_none() {
        return Ok((None, sha256(file)?));
    }
    // A thread for the file's sum costs more than it gains for a few pages.
    let (found, sum) = match file.len() < 1 << 20 {
        true => (sums_along(file, modules, |_| {})?, sha256(file)?),
        false => {
            let (found, sum) =
                beside(|mut pieces| sums_along(file, modules, |bytes| pieces.add_bytes(bytes)));
            (found?, sum)
        }
    };
    let finish = |(module, along): (&Module, Along)| along.finish(file, module);
    Ok((Some(modules.iter().zip(found).map(finish).collect::<Result<_, _>>()?), sum))
}

/// Sums the modules of a file that is read from its start to its end, and shows its bytes.
fn sums_along(
    file: &ImageFile,
    modules: &[Module],
    mut show: impl FnMut(&[u8]),
) -> Result<Vec<Along>, ImageError> {
    let mut sums: Vec<Along> = modules.iter().map(Along::of).collect();
    let (mut at, mut first) = (0, 0);
    file.stream("image", 0, file.len(), |piece| {
        let end = at + piece.len() as u64;
        while modules.get(first).is_some_and(|m| m.file_offset + m.size <= at) {
            first += 1;
        }
        for (module, along) in modules.iter().zip(&mut sums).skip(first) {
            if module.file_offset >= end {
                break;
            }
            let place = |offset: u64| usize::try_from(offset.clamp(at, end) - at).unwrap_or(0);
            let range = place(module.file_offset)..place(module.file_offset + module.size);
            along.feed(&piece[range]);
        }
        show(piece);
        at = end;
    })?;
    Ok(sums)
}

/// Sums a module. `file` is the whole image file, as module offsets are.
pub(super) fn module(file: &ImageFile, module: &Module) -> Result<ModuleSums, ImageError> {
    let mut along = Along::of(module);
    file.stream("module data", module.file_offset, module.size, |piece| along.feed(piece))?;
    along.finish(file, module)
}

/// A module's sum while its bytes come.
struct Along {
    hash: Md5,
    feature: Search,
}

impl Along {
    fn of(module: &Module) -> Self {
        Self { hash: Md5::new(), feature: Search::of(module) }
    }

    fn feed(&mut self, bytes: &[u8]) {
        self.hash.update(bytes);
        self.feature.feed(bytes);
    }

    fn finish(self, file: &ImageFile, module: &Module) -> Result<ModuleSums, ImageError> {
        let md5 = hex::encode(self.hash.finalize());
        if !module.is_compressed() {
            let md5_uncompressed = Ok(md5.clone());
            return Ok(ModuleSums { md5_uncompressed, md5, el2: self.feature.found });
        }
        let data = file.part("module data", module.file_offset, module.size)?;
        let mut feature = Search::of(module);
        let md5_uncompressed = unpacked(&data, module.size_uncompressed, &mut feature);
        Ok(ModuleSums { md5, md5_uncompressed, el2: feature.found })
    }
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
    /// Only kernels have it.
    wanted: bool,
    carried: Vec<u8>,
    found: bool,
}

impl Search {
    fn of(module: &Module) -> Self {
        Self { wanted: module.kind == ModuleKind::Kernel, ..Self::default() }
    }

    fn feed(&mut self, piece: &[u8]) {
        if self.found || !self.wanted {
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
            let mut search = Search { wanted: true, ..Search::default() };
            b"mp\0arm:hyp\0fi\0".chunks(size).for_each(|piece| search.feed(piece));
            assert!(search.found, "in pieces of {size}");
            let mut other = Search { wanted: true, ..Search::default() };
            b"mp\0arm:hyp2\0fi\0".chunks(size).for_each(|piece| other.feed(piece));
            assert!(!other.found, "in pieces of {size}");
        }
    }
}
