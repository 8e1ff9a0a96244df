//! A recorded console, at full speed.
//!
//! A thread of its own reads ahead: the next bytes are there when the last ones are looked
//! at, and a disk that takes its time holds up no deadline.

use std::fs::File;
use std::io::Read as _;

use bytes::{Bytes, BytesMut};
use camino::{Utf8Path, Utf8PathBuf};
use futures::FutureExt as _;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::{BoxFuture, Chunk, ChunkKind, Received, Transport, TransportError};

/// Bytes per read: large enough that the loop around it does not show.
const BLOCK: usize = 512 * 1024;

/// Blocks that wait to be looked at.
const AHEAD: usize = 2;

/// A recorded log read as a console.
#[derive(Debug)]
pub struct Replay {
    path: Utf8PathBuf,
    blocks: mpsc::Receiver<std::io::Result<Bytes>>,
}

impl Replay {
    /// Opens the log at `path`.
    pub fn open(path: &Utf8Path) -> Result<Self, TransportError> {
        // Errors of ours name the path.
        let file = File::open(path)
            .map_err(|source| TransportError::Io { address: path.to_string(), source })?;
        let (sender, blocks) = mpsc::channel(AHEAD);
        std::thread::spawn(move || read_ahead(file, &sender));
        Ok(Self { path: path.to_owned(), blocks })
    }

    async fn next_block(&mut self) -> Result<Received, TransportError> {
        let Some(block) = self.blocks.recv().await else { return Ok(Received::End) };
        let bytes = block
            .map_err(|source| TransportError::Io { address: self.path.to_string(), source })?;
        Ok(Received::Chunk(Chunk { bytes, at: Instant::now(), kind: ChunkKind::Live }))
    }
}

/// Reads until the end, an error, or nobody wants more.
fn read_ahead(mut file: File, blocks: &mpsc::Sender<std::io::Result<Bytes>>) {
    // One is read into, one is looked at, others wait: the memory of each is used again.
    let mut memory: [BytesMut; AHEAD + 2] = Default::default();
    for number in 0.. {
        let block = &mut memory[number % (AHEAD + 2)];
        block.resize(BLOCK, 0);
        let read = match file.read(block) {
            Ok(0) => return,
            Ok(count) => Ok(block.split_to(count).freeze()),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => Err(error),
        };
        let over = read.is_err();
        if blocks.blocking_send(read).is_err() || over {
            return;
        }
    }
}

impl Transport for Replay {
    fn read(&mut self) -> BoxFuture<'_, Result<Received, TransportError>> {
        self.next_block().boxed()
    }

    fn write<'a>(&'a mut self, _: &'a [u8]) -> BoxFuture<'a, Result<(), TransportError>> {
        async { Err(TransportError::ReadOnly { what: "a recorded log" }) }.boxed()
    }

    fn send_break(&mut self) -> BoxFuture<'_, Result<(), TransportError>> {
        async { Err(TransportError::NoBreak { what: "a recorded log" }) }.boxed()
    }

    fn close(&mut self) -> BoxFuture<'_, Result<(), TransportError>> {
        self.blocks.close();
        async { Ok(()) }.boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_log_comes_whole_and_then_the_end() {
        let dir = camino_tempfile::tempdir().unwrap();
        let path = dir.path().join("x.log");
        let text = vec![b'a'; BLOCK + 3];
        fs_err::write(&path, &text).unwrap();
        let mut replay = Replay::open(&path).unwrap();
        let mut got = Vec::new();
        while let Received::Chunk(chunk) = replay.read().await.unwrap() {
            got.extend_from_slice(&chunk.bytes);
        }
        assert!(got == text);
        assert_eq!(replay.read().await.unwrap(), Received::End);
        assert!(replay.write(b"x").await.is_err());
    }

    #[test]
    fn a_missing_log_is_an_error_with_its_path() {
        let error = Replay::open(Utf8Path::new("/no/such.log")).unwrap_err();
        assert!(error.to_string().contains("/no/such.log"), "{error}");
    }
}
