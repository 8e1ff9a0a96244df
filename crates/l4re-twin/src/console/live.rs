//! The live side of a console: what the guest prints goes to the log and to the session
//! that is attached; what the session types goes to the guest.
//!
//! Invariant: the guest is never held up. A session that reads too slowly loses output, and
//! is told so.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use camino::Utf8Path;
use tokio::sync::{broadcast, mpsc, watch};

use super::unattended;
use crate::console::ConsoleLog;

/// How many pieces of output wait for a slow session.
const BACKLOG: usize = 4096;

/// What the guest printed, and how much before it.
#[derive(Debug, Clone)]
struct Piece {
    before: u64,
    bytes: Bytes,
}

/// What goes to the guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Input {
    Bytes(Bytes),
    Break,
}

/// The console of an instance that is not stopped.
#[derive(Debug)]
pub(crate) struct Console {
    log: Mutex<ConsoleLog>,
    live: broadcast::Sender<Piece>,
    /// Bytes since this console began; changes under the log's lock.
    printed: AtomicU64,
    input: Mutex<Option<mpsc::Sender<Input>>>,
    session: Mutex<bool>,
    ended: watch::Sender<bool>,
}

impl Console {
    /// Begins a console with an empty log.
    pub(crate) fn create(dir: &Utf8Path) -> io::Result<Arc<Self>> {
        Ok(Self::with(ConsoleLog::create(dir)?))
    }

    /// Goes on with the log of a console that another daemon began.
    pub(crate) fn reopen(dir: &Utf8Path) -> io::Result<Arc<Self>> {
        Ok(Self::with(ConsoleLog::reopen(dir)?))
    }

    fn with(log: ConsoleLog) -> Arc<Self> {
        Arc::new(Self {
            log: Mutex::new(log),
            live: broadcast::Sender::new(BACKLOG),
            printed: AtomicU64::new(0),
            input: Mutex::new(None),
            session: Mutex::new(false),
            ended: watch::Sender::new(false),
        })
    }

    /// What the guest printed, or the twin in its place: for the log and the session.
    pub(crate) fn print(&self, bytes: &[u8]) {
        self.put(&mut lock(&self.log), bytes);
    }

    /// Takes what was printed before QEMU knew of this daemon; `waiting` gives what it has sent
    /// since and nobody has read.
    pub(crate) fn catch_up(&self, mut waiting: impl FnMut() -> Vec<u8>) {
        let mut log = lock(&self.log);
        let mut sent = waiting();
        let least = sent.len();
        let missed = log.missed().unwrap_or_else(|error| {
            tracing::error!("cannot read a console's record: {error}");
            Vec::new()
        });
        sent.extend(waiting());
        let known = match missed.is_empty() {
            true => 0,
            false => unattended::known(&missed, &sent, least),
        };
        self.put(&mut log, &missed);
        self.put(&mut log, &sent[known..]);
    }

    fn put(&self, log: &mut ConsoleLog, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        if let Err(error) = log.append(bytes) {
            tracing::error!("cannot write a console's log: {error}");
        }
        // Under the lock, so that both have it in the same order. No session is no error.
        let before = self.printed.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        let _ = self.live.send(Piece { before, bytes: Bytes::copy_from_slice(bytes) });
    }

    /// Where input goes from now on; `None` while no machine is there to take it.
    pub(crate) fn connect_input(&self, input: Option<mpsc::Sender<Input>>) {
        *lock(&self.input) = input;
    }

    /// Sends something to the guest, if there is one. Waits while the guest does not read.
    pub(crate) async fn send(&self, input: Input) {
        let sender = lock(&self.input).clone();
        if let Some(sender) = sender {
            // The machine may have ended meanwhile: then there is nobody to type to.
            let _ = sender.send(input).await;
        }
    }

    /// The machine has ended: so does the session, when it has all output.
    pub(crate) fn end(&self) {
        self.connect_input(None);
        self.ended.send_replace(true);
    }

    /// Whether a session is attached.
    pub(crate) fn has_session(&self) -> bool {
        *lock(&self.session)
    }

    /// Attaches the one session; `None` if there is one. Output begins now: no replay.
    pub(crate) fn attach(self: &Arc<Self>) -> Option<Attached> {
        let mut session = lock(&self.session);
        if *session {
            return None;
        }
        *session = true;
        let (output, ended) = (self.live.subscribe(), self.ended.subscribe());
        Some(Attached { console: self.clone(), output, seen: None, ended })
    }
}

/// The session that is attached, until it is dropped.
#[derive(Debug)]
pub(crate) struct Attached {
    console: Arc<Console>,
    output: broadcast::Receiver<Piece>,
    /// Where what it has seen ends.
    seen: Option<u64>,
    ended: watch::Receiver<bool>,
}

impl Attached {
    /// The console behind it.
    pub(crate) fn console(&self) -> &Arc<Console> {
        &self.console
    }

    /// The next output; `None` when the machine has ended and all of it has been seen.
    pub(crate) async fn next(&mut self) -> Option<Bytes> {
        loop {
            let received = tokio::select! {
                biased;
                received = self.output.recv() => received,
                _ = self.ended.wait_for(|ended| *ended) => return None,
            };
            match received {
                Ok(piece) => return Some(self.marked(piece)),
                Err(broadcast::error::RecvError::Closed) => return None,
                // The next piece tells how much it was.
                Err(broadcast::error::RecvError::Lagged(_)) => {}
            }
        }
    }

    /// A piece, behind a mark where something before it is lost.
    fn marked(&mut self, piece: Piece) -> Bytes {
        let end = piece.before + piece.bytes.len() as u64;
        let lost = self.seen.replace(end).map_or(0, |seen| piece.before - seen);
        if lost == 0 {
            return piece.bytes;
        }
        let mark = format!("\r\n[l4re-twin: {lost} bytes of output lost]\r\n");
        Bytes::from([mark.as_bytes(), &piece.bytes].concat())
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        *lock(&self.console.session) = false;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_session_that_reads_too_slowly_is_told_how_much_it_lost() {
        let dir = camino_tempfile::tempdir().unwrap();
        let console = Console::create(dir.path()).unwrap();
        let mut session = console.attach().unwrap();
        console.print(b"first");
        assert_eq!(session.next().await.unwrap(), "first");
        for _ in 0..BACKLOG + 3 {
            console.print(b"12");
        }
        assert_eq!(session.next().await.unwrap(), "\r\n[l4re-twin: 6 bytes of output lost]\r\n12");
        assert_eq!(session.next().await.unwrap(), "12");
    }

    #[tokio::test]
    async fn one_session_sees_what_is_printed_from_its_beginning() {
        let dir = camino_tempfile::tempdir().unwrap();
        let console = Console::create(dir.path()).unwrap();
        console.print(b"before");
        let mut session = console.attach().unwrap();
        assert!(console.attach().is_none() && console.has_session());
        console.print(b"after");
        assert_eq!(session.next().await.unwrap(), "after");
        drop(session);
        let mut session = console.attach().unwrap();
        console.print(b"last");
        console.end();
        assert_eq!(session.next().await.unwrap(), "last");
        assert_eq!(session.next().await, None);
        assert_eq!(ConsoleLog::tail(dir.path()).unwrap(), b"beforeafterlast");
    }
}
