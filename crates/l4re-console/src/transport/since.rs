//! A console from a text on: what was printed before it is dropped.
//!
//! Invariant: nothing of what follows the text is lost, nor the text itself.

use bytes::Bytes;
use futures::FutureExt as _;

use super::{BoxFuture, Chunk, Received, Transport, TransportError};

/// A console that begins where a text is printed.
#[derive(Debug)]
pub struct Since<T> {
    inner: T,
    text: Vec<u8>,
    /// The end of what was dropped, in which the text may begin; `None` once it was seen.
    tail: Option<Vec<u8>>,
}

impl<T: Transport> Since<T> {
    /// Drops what `inner` brings before `text`; nothing if that is empty.
    pub fn new(inner: T, text: &str) -> Self {
        let tail = (!text.is_empty()).then(Vec::new);
        Self { inner, text: text.as_bytes().to_vec(), tail }
    }

    /// What of a chunk is to be handed over.
    fn part(&mut self, chunk: Chunk) -> Option<Chunk> {
        let Some(tail) = &mut self.tail else { return Some(chunk) };
        tail.extend_from_slice(&chunk.bytes);
        if let Some(at) = memchr::memmem::find(tail, &self.text) {
            let bytes = Bytes::from(tail.split_off(at));
            self.tail = None;
            return Some(Chunk { bytes, ..chunk });
        }
        let kept = tail.len().min(self.text.len() - 1);
        tail.drain(..tail.len() - kept);
        None
    }
}

impl<T: Transport> Transport for Since<T> {
    fn read(&mut self) -> BoxFuture<'_, Result<Received, TransportError>> {
        async {
            loop {
                match self.inner.read().await? {
                    Received::Chunk(chunk) => {
                        if let Some(chunk) = self.part(chunk) {
                            return Ok(Received::Chunk(chunk));
                        }
                    }
                    Received::Gap(_) if self.tail.is_some() => {}
                    other => return Ok(other),
                }
            }
        }
        .boxed()
    }

    fn write<'a>(&'a mut self, bytes: &'a [u8]) -> BoxFuture<'a, Result<(), TransportError>> {
        self.inner.write(bytes)
    }

    fn send_break(&mut self) -> BoxFuture<'_, Result<(), TransportError>> {
        self.inner.send_break()
    }

    fn close(&mut self) -> BoxFuture<'_, Result<(), TransportError>> {
        self.inner.close()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use tokio::time::Instant;

    use super::super::channel::takes_no_input;
    use super::super::{ChunkKind, Gap, Missing};
    use super::*;

    struct Script(VecDeque<Received>);

    impl Transport for Script {
        fn read(&mut self) -> BoxFuture<'_, Result<Received, TransportError>> {
            let next = self.0.pop_front().unwrap_or(Received::End);
            async { Ok(next) }.boxed()
        }

        takes_no_input!();
    }

    fn shown(text: &str, pieces: &[&'static str]) -> String {
        let chunk = |piece: &&'static str| {
            let bytes = Bytes::from_static(piece.as_bytes());
            Received::Chunk(Chunk { bytes, at: Instant::now(), kind: ChunkKind::Live })
        };
        let mut all: VecDeque<_> = pieces.iter().map(chunk).collect();
        all.insert(1, Received::Gap(Gap { missing: Missing::Unjoined, within: None }));
        let mut since = Since::new(Script(all), text);
        let mut shown = String::new();
        loop {
            match futures::executor::block_on(since.read()).unwrap() {
                Received::Chunk(chunk) => shown.push_str(&String::from_utf8_lossy(&chunk.bytes)),
                Received::Gap(_) => shown.push('~'),
                Received::Notice(_) => {}
                Received::End => return shown,
            }
        }
    }

    #[test]
    fn begins_at_the_text_wherever_it_is_cut() {
        assert_eq!(shown("mark", &["old ma", "rk mark ", "new"]), "mark mark new");
        assert_eq!(shown("mark", &["old m", "a", "r", "k", "!"]), "mark!");
        assert_eq!(shown("mark", &["mamark", " new"]), "mark~ new");
        assert_eq!(shown("mark", &["old", "er"]), "");
        assert_eq!(shown("", &["all", "of it"]), "all~of it");
    }
}
