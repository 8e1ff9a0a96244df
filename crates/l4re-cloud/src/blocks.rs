//! The blocks of a disk that hold something: what a snapshot of it is written from.
//!
//! Invariant: holes of the file are never read and blocks of zeros never kept, so the cost
//! follows the content and not the disk's size. A block is put only if it still has the sum
//! that it had when the disk was looked through.

use std::fs::File;
use std::os::unix::fs::FileExt;

use bytes::Bytes;
use camino::{Utf8Path, Utf8PathBuf};
use rustix::fs::SeekFrom;
use rustix::io::Errno;
use sha2::{Digest, Sha256};

use crate::error::CloudError;

/// What EBS direct takes at a time, in bytes.
pub(crate) const BLOCK_SIZE: usize = 512 * 1024;
const GIB: u64 = 1 << 30;

/// A block that is not all zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Block {
    /// Its place on the disk, in blocks.
    pub(crate) index: u32,
    /// Its SHA-256.
    pub(crate) sum: [u8; 32],
}

/// A disk that was looked through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DiskBlocks {
    pub(crate) path: Utf8PathBuf,
    /// The volume's size in GiB.
    pub(crate) size_gib: u32,
    /// In the order of their places.
    pub(crate) list: Vec<Block>,
    /// What names the content: the same for the same blocks in the same places.
    pub(crate) digest: String,
    /// SHA-256 over the sums of all blocks in their order, as CompleteSnapshot wants it.
    pub(crate) linear: [u8; 32],
}

impl DiskBlocks {
    /// Looks through a disk, on a thread that may wait.
    pub(crate) async fn of(path: &Utf8Path) -> Result<Self, CloudError> {
        let owned = path.to_owned();
        let failed = |source| CloudError::File { path: path.to_owned(), source };
        let look = tokio::task::spawn_blocking(move || look_through(owned)).await;
        look.unwrap_or_else(|error| Err(std::io::Error::other(error))).map_err(failed)
    }

    /// The content of a block, if it is what it was.
    pub(crate) async fn read(&self, block: Block) -> Result<Bytes, CloudError> {
        let path = self.path.clone();
        let read = move || {
            let bytes = read_block(&File::open(&path)?, block.index)?;
            Ok((<[u8; 32]>::from(Sha256::digest(&bytes)), bytes))
        };
        let failed = |source| CloudError::File { path: self.path.clone(), source };
        let read = tokio::task::spawn_blocking(read).await;
        let (sum, bytes) =
            read.unwrap_or_else(|error| Err(std::io::Error::other(error))).map_err(failed)?;
        if sum != block.sum {
            return Err(CloudError::FileChanged { path: self.path.clone() });
        }
        Ok(Bytes::from(bytes))
    }
}

fn look_through(path: Utf8PathBuf) -> std::io::Result<DiskBlocks> {
    let file = File::open(&path)?;
    let size = file.metadata()?.len();
    let size_gib = u32::try_from(size.div_ceil(GIB)).map_err(std::io::Error::other)?;
    let mut list = Vec::new();
    let mut offset = 0;
    while let Some((start, end)) = next_data(&file, offset)? {
        // A block that begins in a hole may have been read with the data before it.
        let first = (start / BLOCK_SIZE as u64).max(offset.div_ceil(BLOCK_SIZE as u64));
        let last = end.div_ceil(BLOCK_SIZE as u64);
        for index in first..last {
            let index = u32::try_from(index).map_err(std::io::Error::other)?;
            let bytes = read_block(&file, index)?;
            if bytes.iter().any(|byte| *byte != 0) {
                list.push(Block { index, sum: Sha256::digest(&bytes).into() });
            }
        }
        offset = last * BLOCK_SIZE as u64;
    }
    let mut linear = Sha256::new();
    let mut digest = Sha256::new_with_prefix(format!("l4re disk {size_gib}\n"));
    for block in &list {
        linear.update(block.sum);
        digest.update(block.index.to_le_bytes());
        digest.update(block.sum);
    }
    let digest = hex::encode(digest.finalize());
    Ok(DiskBlocks {
        path,
        size_gib: size_gib.max(1),
        list,
        digest,
        linear: linear.finalize().into(),
    })
}

/// Where the next bytes lie that are no hole, from `offset` on.
fn next_data(file: &File, offset: u64) -> std::io::Result<Option<(u64, u64)>> {
    let start = match rustix::fs::seek(file, SeekFrom::Data(offset)) {
        Ok(start) => start,
        Err(Errno::NXIO) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let end = rustix::fs::seek(file, SeekFrom::Hole(start))?;
    Ok(Some((start, end)))
}

/// A whole block; what is behind the end of the file is zeros.
fn read_block(file: &File, index: u32) -> std::io::Result<Vec<u8>> {
    let mut bytes = vec![0; BLOCK_SIZE];
    let offset = u64::from(index) * BLOCK_SIZE as u64;
    let mut filled = 0;
    while filled < BLOCK_SIZE {
        match file.read_at(&mut bytes[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk(size: u64, pieces: &[(u64, &[u8])]) -> camino_tempfile::NamedUtf8TempFile {
        let file = camino_tempfile::NamedUtf8TempFile::new().unwrap();
        file.as_file().set_len(size).unwrap();
        for (offset, bytes) in pieces {
            file.as_file().write_all_at(bytes, *offset).unwrap();
        }
        file
    }

    fn places(blocks: &DiskBlocks) -> Vec<u32> {
        blocks.list.iter().map(|block| block.index).collect()
    }

    #[tokio::test]
    async fn blocks_of_zeros_are_left_out_wherever_the_holes_are() {
        let block = BLOCK_SIZE as u64;
        let zeros = vec![0; 3 * BLOCK_SIZE];
        let file = disk(
            GIB,
            &[
                (0, b"table"),
                (block - 1, b"ab"),
                (8 * block, &zeros),
                (10 * block + 4096, b"file"),
                (GIB - 5, b"end"),
            ],
        );
        let blocks = DiskBlocks::of(file.path()).await.unwrap();
        assert_eq!(places(&blocks), [0, 1, 10, 2047]);
        assert_eq!(blocks.size_gib, 1);
        let first = blocks.read(blocks.list[0]).await.unwrap();
        assert!(first.starts_with(b"table") && first.len() == BLOCK_SIZE);
    }

    #[tokio::test]
    async fn a_digest_tells_content_and_place() {
        let here = disk(GIB, &[(0, b"x")]);
        let again = disk(GIB, &[(0, b"x"), (BLOCK_SIZE as u64 * 5, &[0; 4096])]);
        let there = disk(GIB, &[(BLOCK_SIZE as u64, b"x")]);
        let [here, again, there] =
            [here, again, there].map(|file| look_through(file.path().to_owned()).unwrap());
        assert_eq!(here.digest, again.digest);
        assert_ne!(here.digest, there.digest);
        assert_eq!(here.linear, there.linear);
    }

    #[tokio::test]
    async fn a_disk_that_changed_is_not_put() {
        let file = disk(1000, &[(0, b"x")]);
        let blocks = DiskBlocks::of(file.path()).await.unwrap();
        file.as_file().write_all_at(b"y", 0).unwrap();
        let error = blocks.read(blocks.list[0]).await.unwrap_err();
        assert_eq!(error.code(), "file-changed");
    }
}
