//! Typed bytes on their way to a machine that takes its time.
//!
//! Invariant: who types waits for nothing, so that the console is read meanwhile. A machine
//! that echoes what it takes would else wait for its reader, and the reader for the machine.

use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Bytes that wait at most: more than anybody pastes.
const MAX_WAITING: usize = 1024 * 1024;

/// How long those that wait may hold up what comes after them: a break, the end.
const FAREWELL: Duration = Duration::from_secs(1);

/// Takes typed bytes; a task of its own sends them.
#[derive(Debug)]
pub(super) struct Typist {
    bytes: Option<mpsc::UnboundedSender<Bytes>>,
    /// How many bytes wait.
    waiting: watch::Sender<usize>,
    /// Too many did: first some must go.
    full: bool,
    task: JoinHandle<()>,
}

/// Why bytes are not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotTaken {
    /// Too many wait already.
    Full,
    /// The console takes no more.
    Gone,
}

/// What is to be sent, piece by piece.
#[derive(Debug)]
pub(super) struct ToSend {
    bytes: mpsc::UnboundedReceiver<Bytes>,
    waiting: watch::Sender<usize>,
    /// Bytes of the last piece, which is sent when the next one is asked for.
    last: usize,
}

impl ToSend {
    /// The next piece, once the last one is sent. `None` at the end.
    pub(super) async fn next(&mut self) -> Option<Bytes> {
        let sent = std::mem::take(&mut self.last);
        self.waiting.send_modify(|waiting| *waiting -= sent);
        let bytes = self.bytes.recv().await?;
        self.last = bytes.len();
        Some(bytes)
    }
}

impl Typist {
    /// A typist whose bytes `send` sends; when that ends nothing more is taken.
    pub(super) fn new<F>(send: impl FnOnce(ToSend) -> F) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (sender, bytes) = mpsc::unbounded_channel();
        let waiting = watch::Sender::new(0);
        let to_send = ToSend { bytes, waiting: waiting.clone(), last: 0 };
        Self { bytes: Some(sender), waiting, full: false, task: tokio::spawn(send(to_send)) }
    }

    /// Takes bytes.
    pub(super) fn send(&mut self, bytes: &[u8]) -> Result<(), NotTaken> {
        let Some(sender) = &self.bytes else { return Err(NotTaken::Gone) };
        // Else a machine that is slow would get what is typed with many small holes.
        let limit = if self.full { MAX_WAITING / 2 } else { MAX_WAITING };
        self.full = *self.waiting.borrow() + bytes.len() > limit;
        if self.full {
            return Err(NotTaken::Full);
        }
        self.waiting.send_modify(|waiting| *waiting += bytes.len());
        sender.send(Bytes::copy_from_slice(bytes)).map_err(|_| NotTaken::Gone)
    }

    /// Waits until all is sent, if that does not take long.
    pub(super) async fn catch_up(&self) {
        let mut waiting = self.waiting.subscribe();
        drop(timeout(FAREWELL, waiting.wait_for(|waiting| *waiting == 0)).await);
    }

    /// Takes no more; what waits is sent, if that does not take long.
    pub(super) async fn finish(&mut self) {
        if self.bytes.take().is_some() {
            drop(timeout(FAREWELL, &mut self.task).await);
        }
    }
}

impl Drop for Typist {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_typed_is_sent_in_order_and_before_the_end() {
        let (sender, mut sent) = mpsc::unbounded_channel();
        let mut typist = Typist::new(|mut to_send| async move {
            while let Some(bytes) = to_send.next().await {
                tokio::task::yield_now().await;
                sender.send(bytes).unwrap();
            }
        });
        for piece in [b"one", b"two"] {
            typist.send(piece).unwrap();
        }
        typist.finish().await;
        assert_eq!(typist.send(b"late"), Err(NotTaken::Gone));
        let mut all = Vec::new();
        while let Some(bytes) = sent.recv().await {
            all.extend_from_slice(&bytes);
        }
        assert_eq!(all, b"onetwo");
    }

    #[tokio::test(start_paused = true)]
    async fn what_nobody_takes_waits_to_a_limit_and_holds_nothing_up() {
        let mut typist = Typist::new(|to_send| async move {
            let _kept = to_send;
            std::future::pending().await
        });
        assert_eq!(typist.send(&vec![b'x'; MAX_WAITING]), Ok(()));
        assert_eq!(typist.send(b"x"), Err(NotTaken::Full));
        typist.finish().await;
    }

    #[tokio::test]
    async fn one_whose_console_is_gone_takes_nothing() {
        let mut typist = Typist::new(|_| async {});
        (&mut typist.task).await.unwrap();
        assert_eq!(typist.send(b"x"), Err(NotTaken::Gone));
    }
}
