//! The SHA-256 of bytes that come in pieces, taken on a thread of its own, so that whoever
//! reads, writes or sums them otherwise does not wait for it.
//!
//! Invariant: memory is a few buffers, whatever comes through.

use std::io::{self, Read};
use std::panic;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread;

use sha2::{Digest, Sha256};

const SIZE: usize = 256 * 1024;
/// Enough that neither side waits for the other's every piece.
const COUNT: usize = 8;

/// A buffer of which the first bytes count.
#[derive(Debug)]
pub(crate) struct Piece {
    buffer: Vec<u8>,
    len: usize,
}

impl Piece {
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.buffer[..self.len]
    }
}

/// Where the bytes go, in order.
#[derive(Debug)]
pub(crate) struct Pieces {
    /// To the thread that sums, and back from it.
    summing: Option<(SyncSender<Piece>, Receiver<Vec<u8>>)>,
    spare: Option<Vec<u8>>,
    made: usize,
}

/// Does `work`, which says what is to be summed; the sum is returned beside its result.
pub(crate) fn beside<T>(work: impl FnOnce(Pieces) -> T) -> (T, String) {
    let (full, pieces) = mpsc::sync_channel::<Piece>(COUNT);
    let (back, empty) = mpsc::channel();
    let sum = move || {
        let mut hash = Sha256::new();
        for piece in pieces {
            hash.update(piece.bytes());
            // Nobody takes it any more when the last ones are summed.
            let _ = back.send(piece.buffer);
        }
        hex::encode(hash.finalize())
    };
    thread::scope(|scope| {
        let summing = scope.spawn(sum);
        let result = work(Pieces { summing: Some((full, empty)), ..Pieces::unsummed() });
        let sum = summing.join().unwrap_or_else(|panic| panic::resume_unwind(panic));
        (result, sum)
    })
}

impl Pieces {
    /// For bytes that nobody sums.
    pub(crate) fn unsummed() -> Self {
        Self { summing: None, spare: None, made: 0 }
    }

    /// Reads up to a buffer's size; `None` at the end.
    pub(crate) fn read(&mut self, from: &mut impl Read) -> io::Result<Option<Piece>> {
        let mut buffer = self.buffer();
        loop {
            match from.read(&mut buffer) {
                Ok(0) => {
                    self.spare = Some(buffer);
                    return Ok(None);
                }
                Ok(len) => return Ok(Some(Piece { buffer, len })),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The piece comes next.
    pub(crate) fn add(&mut self, piece: Piece) {
        match &self.summing {
            // That thread ends after this one, unless it panics, which shows when it is joined.
            Some((full, _)) => drop(full.send(piece)),
            None => self.spare = Some(piece.buffer),
        }
    }

    /// These bytes come next.
    pub(crate) fn add_bytes(&mut self, bytes: &[u8]) {
        if self.summing.is_none() {
            return;
        }
        for part in bytes.chunks(SIZE) {
            let mut buffer = self.buffer();
            buffer[..part.len()].copy_from_slice(part);
            self.add(Piece { buffer, len: part.len() });
        }
    }

    /// So many zero bytes come next.
    pub(crate) fn add_zeros(&mut self, mut count: u64) {
        while count > 0 && self.summing.is_some() {
            let len = usize::try_from(count).unwrap_or(SIZE).min(SIZE);
            let mut buffer = self.buffer();
            buffer[..len].fill(0);
            self.add(Piece { buffer, len });
            count -= len as u64;
        }
    }

    /// One that came back, or a new one.
    fn buffer(&mut self) -> Vec<u8> {
        let used = match &self.summing {
            _ if self.spare.is_some() => self.spare.take(),
            None => None,
            Some((_, empty)) if self.made < COUNT => empty.try_recv().ok(),
            Some((_, empty)) => empty.recv().ok(),
        };
        used.unwrap_or_else(|| {
            self.made += 1;
            vec![0; SIZE]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_is_that_of_all_bytes_in_order() {
        let bytes: Vec<u8> = (0..5 * SIZE + 17).map(|at| (at * 7 % 251) as u8).collect();
        let mut expected = Sha256::new_with_prefix(&bytes);
        expected.update(vec![0; SIZE + 3]);
        expected.update(&bytes);
        let (count, sum) = beside(|mut pieces| {
            pieces.add_bytes(&bytes);
            pieces.add_zeros(SIZE as u64 + 3);
            let (mut rest, mut count) = (&bytes[..], 0);
            while let Some(piece) = pieces.read(&mut rest).unwrap() {
                count += piece.bytes().len();
                pieces.add(piece);
            }
            count
        });
        assert_eq!((count, sum), (bytes.len(), hex::encode(expected.finalize())));
        assert_eq!(beside(drop).1, hex::encode(Sha256::digest(b"")));
        // However many ends are met.
        let (count, _) = beside(|mut pieces| {
            (0..100).filter(|_| pieces.read(&mut io::empty()).unwrap().is_none()).count()
        });
        assert_eq!(count, 100);
    }
}
