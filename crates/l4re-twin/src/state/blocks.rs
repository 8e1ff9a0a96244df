//! A snapshot's content on disk: `disk.img`, a sparse raw disk with every block at its
//! place, and `blocks`, a record for each block that was put, in the order in which they
//! came: its number (u32, little endian) and its SHA-256. `inherited` holds the parent's.
//!
//! Invariant: once a snapshot is complete its files do not change, so that a hard link to
//! them is a copy. A block is noted only after it is in the disk's file.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use rustix::fs::SeekFrom;

use crate::state::files;

/// The size of EBS's blocks in bytes.
pub(crate) const BLOCK_SIZE: usize = 512 * 1024;

const GIB: u64 = 1 << 30;
const RECORD: usize = 4 + 32;

/// SHA-256.
pub(crate) type Sum = [u8; 32];

/// The content of the snapshot in a directory.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Blocks<'a>(pub(crate) &'a Utf8Path);

impl Blocks<'_> {
    /// Makes the files: empty, or with the parent's content.
    pub(crate) fn create(&self, size_gib: u64, parent: Option<Blocks<'_>>) -> io::Result<()> {
        fs::create_dir_all(self.0)?;
        if let Some(parent) = parent {
            copy_sparse(&parent.disk(), &self.disk())?;
            fs::write(self.inherited(), encode(&parent.all()?))?;
        }
        let disk = fs::OpenOptions::new().write(true).create(true).open(self.disk())?;
        disk.set_len(size_gib * GIB)
    }

    /// Makes the files of a copy of a complete snapshot.
    pub(crate) fn copy(&self, from: Blocks<'_>) -> io::Result<()> {
        fs::create_dir_all(self.0)?;
        fs::hard_link(from.disk(), self.disk())?;
        fs::write(self.inherited(), encode(&from.all()?))
    }

    /// The raw disk.
    pub(crate) fn disk(&self) -> Utf8PathBuf {
        self.0.join("disk.img")
    }

    /// Puts a block, again perhaps.
    pub(crate) fn put(&self, index: u32, bytes: &[u8], sum: Sum) -> io::Result<()> {
        // A block of zeros in a hole needs no room.
        if bytes.iter().any(|byte| *byte != 0) || self.all()?.contains_key(&index) {
            let disk = std::fs::OpenOptions::new().write(true).open(self.disk())?;
            disk.write_all_at(bytes, offset(index))?;
        }
        let put = std::fs::OpenOptions::new().append(true).create(true).open(self.records())?;
        (&put).write_all(&encode(&BTreeMap::from([(index, sum)])))
    }

    /// Takes away what a killed daemon began to note of a block, so that what is noted from now
    /// on begins where a record does.
    pub(crate) fn mend(&self) -> io::Result<()> {
        let Ok(records) = std::fs::OpenOptions::new().write(true).open(self.records()) else {
            return Ok(());
        };
        let length = records.metadata()?.len();
        match length % RECORD as u64 {
            0 => Ok(()),
            torn => records.set_len(length - torn),
        }
    }

    /// A block's bytes.
    pub(crate) fn get(&self, index: u32) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; BLOCK_SIZE];
        std::fs::File::open(self.disk())?.read_exact_at(&mut bytes, offset(index))?;
        Ok(bytes)
    }

    /// The blocks that were put into this snapshot itself.
    pub(crate) fn own(&self) -> io::Result<BTreeMap<u32, Sum>> {
        decode(&self.records())
    }

    /// All its blocks.
    pub(crate) fn all(&self) -> io::Result<BTreeMap<u32, Sum>> {
        let mut blocks = decode(&self.inherited())?;
        blocks.extend(self.own()?);
        Ok(blocks)
    }

    fn records(&self) -> Utf8PathBuf {
        self.0.join("blocks")
    }

    fn inherited(&self) -> Utf8PathBuf {
        self.0.join("inherited")
    }
}

fn offset(index: u32) -> u64 {
    u64::from(index) * BLOCK_SIZE as u64
}

fn encode(blocks: &BTreeMap<u32, Sum>) -> Vec<u8> {
    blocks.iter().flat_map(|(number, sum)| [&number.to_le_bytes()[..], sum].concat()).collect()
}

/// A file of records; none is an empty one, and a torn last record is none.
fn decode(path: &Utf8Path) -> io::Result<BTreeMap<u32, Sum>> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(error),
    };
    let read = |record: &[u8; RECORD]| {
        let (number, sum) = (record.first_chunk()?, record.last_chunk()?);
        Some((u32::from_le_bytes(*number), *sum))
    };
    Ok(bytes.as_chunks().0.iter().filter_map(read).collect())
}

/// Copies a file beside its place and moves it there; what is zero becomes a hole.
pub(crate) fn copy_sparse(from: &Utf8Path, to: &Utf8Path) -> io::Result<()> {
    let beside = files::beside(to);
    let copied = copy_extents(from, &beside).and_then(|()| fs::rename(&beside, to));
    if copied.is_err() {
        let _ = fs::remove_file(&beside);
    }
    copied
}

fn copy_extents(from: &Utf8Path, to: &Utf8Path) -> io::Result<()> {
    const PIECE: usize = 64 * 1024;
    let mut piece = vec![0; PIECE];
    let source = std::fs::File::open(from)?;
    let out = std::fs::File::create(to)?;
    let length = source.metadata()?.len();
    out.set_len(length)?;
    let mut at = 0;
    while at < length {
        let start = match rustix::fs::seek(&source, SeekFrom::Data(at)) {
            Ok(start) => start,
            // Nothing but a hole is left.
            Err(rustix::io::Errno::NXIO) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let end = rustix::fs::seek(&source, SeekFrom::Hole(start))?;
        at = start;
        while at < end {
            let piece = &mut piece[..usize::try_from(end - at).unwrap_or(PIECE).min(PIECE)];
            source.read_exact_at(piece, at)?;
            if piece.iter().any(|byte| *byte != 0) {
                out.write_all_at(piece, at)?;
            }
            at += piece.len() as u64;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    #[test]
    fn blocks_come_back_take_no_more_room_than_they_hold_and_are_inherited() {
        let dir = camino_tempfile::tempdir().unwrap();
        let (a, b) = (dir.path().join("a"), dir.path().join("b"));
        let (a, b) = (Blocks(&a), Blocks(&b));
        a.create(2, None).unwrap();
        a.put(4095, &vec![7; BLOCK_SIZE], [7; 32]).unwrap();
        a.put(3, &vec![0; BLOCK_SIZE], [0; 32]).unwrap();
        assert_eq!(a.get(4095).unwrap(), vec![7; BLOCK_SIZE]);
        assert_eq!(a.get(0).unwrap(), vec![0; BLOCK_SIZE]);
        assert!(a.get(4096).is_err());
        assert_eq!(Vec::from_iter(a.all().unwrap().into_keys()), [3, 4095]);
        b.create(3, Some(a)).unwrap();
        b.put(4095, &vec![0; BLOCK_SIZE], [0; 32]).unwrap();
        b.put(1, &vec![1; BLOCK_SIZE], [1; 32]).unwrap();
        assert_eq!(b.get(4095).unwrap(), vec![0; BLOCK_SIZE]);
        assert_eq!(Vec::from_iter(b.own().unwrap().into_keys()), [1, 4095]);
        assert_eq!(Vec::from_iter(b.all().unwrap().into_keys()), [1, 3, 4095]);
        assert_eq!(b.all().unwrap()[&4095], [0; 32]);
        let disk = fs::metadata(b.disk()).unwrap();
        assert_eq!(disk.len(), 3 * GIB);
        assert!(disk.blocks() * 512 <= 4 * BLOCK_SIZE as u64, "{}", disk.blocks());
    }

    #[test]
    fn what_was_noted_half_is_taken_away_before_more_is_noted() {
        let dir = camino_tempfile::tempdir().unwrap();
        let blocks = Blocks(dir.path());
        blocks.create(1, None).unwrap();
        blocks.mend().unwrap();
        blocks.put(1, &[1; BLOCK_SIZE], [1; 32]).unwrap();
        let mut records = std::fs::OpenOptions::new().append(true).open(blocks.records()).unwrap();
        records.write_all(&[2; 7]).unwrap();
        blocks.mend().unwrap();
        blocks.put(3, &[3; BLOCK_SIZE], [3; 32]).unwrap();
        assert_eq!(blocks.all().unwrap(), BTreeMap::from([(1, [1; 32]), (3, [3; 32])]));
    }

    #[test]
    fn a_sparse_copy_is_equal_and_sparse() {
        let dir = camino_tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        let file = std::fs::File::create(&from).unwrap();
        file.set_len(64 << 20).unwrap();
        for at in [0, 5 << 20, (64 << 20) - 3] {
            file.write_all_at(b"abc", at).unwrap();
        }
        // Zeros that were written are holes in the copy, as in a firmware's variable store.
        file.write_all_at(&vec![0; 8 << 20], 20 << 20).unwrap();
        copy_sparse(&from, &to).unwrap();
        assert!(fs::read(&from).unwrap() == fs::read(&to).unwrap());
        assert!(fs::metadata(&to).unwrap().blocks() < 1000);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    }
}
