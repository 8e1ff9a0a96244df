//! A recorded console, at full speed.
//!
//! Reads block for as long as the file takes: a log is local, and a thread for each block
//! would cost more than the read.

use std::io::Read as _;

use bytes::{Bytes, BytesMut};
use camino::{Utf8Path, Utf8PathBuf};
use fs_err::File;
use futures::FutureExt as _;
use tokio::time::Instant;

use super::{BoxFuture, Chunk, ChunkKind, Received, Transport, TransportError};

/// Bytes per read: large enough that the loop around it does not show.
const BLOCK: usize = 256 * 1024;

/// A recorded log read as a console.
#[derive(Debug)]
pub struct Replay {
    path: Utf8PathBuf,
    file: Option<File>,
    block: BytesMut,
}

impl Replay {
    /// Opens the log at `path`.
    pub fn open(path: &Utf8Path) -> Result<Self, TransportError> {
        let file = File::open(path)
            .map_err(|source| TransportError::Io { address: path.to_string(), source })?;
        Ok(Self { path: path.to_owned(), file: Some(file), block: BytesMut::new() })
    }

    fn next_block(&mut self) -> Result<Received, TransportError> {
        let Some(file) = &mut self.file else { return Ok(Received::End) };
        self.block.resize(BLOCK, 0);
        let count = loop {
            match file.read(&mut self.block) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        let count = count
            .map_err(|source| TransportError::Io { address: self.path.to_string(), source })?;
        if count == 0 {
            self.file = None;
            return Ok(Received::End);
        }
        let bytes: Bytes = self.block.split_to(count).freeze();
        Ok(Received::Chunk(Chunk { bytes, at: Instant::now(), kind: ChunkKind::Live }))
    }
}

impl Transport for Replay {
    fn read(&mut self) -> BoxFuture<'_, Result<Received, TransportError>> {
        async { self.next_block() }.boxed()
    }

    fn write<'a>(&'a mut self, _: &'a [u8]) -> BoxFuture<'a, Result<(), TransportError>> {
        async { Err(TransportError::ReadOnly { what: "a recorded log" }) }.boxed()
    }

    fn send_break(&mut self) -> BoxFuture<'_, Result<(), TransportError>> {
        async { Err(TransportError::NoBreak { what: "a recorded log" }) }.boxed()
    }

    fn close(&mut self) -> BoxFuture<'_, Result<(), TransportError>> {
        self.file = None;
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
