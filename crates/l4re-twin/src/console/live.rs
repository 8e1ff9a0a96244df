//! The live side of a console: what the guest prints goes to the log and to the session
//! that is attached; what the session types goes to the guest.
//!
//! Invariant: the guest is never held up. A session that reads too slowly loses output, and
//! is told so.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use camino::Utf8Path;
use tokio::sync::{broadcast, mpsc, watch};

use super::unattended;
use crate::console::ConsoleLog;

/// How many pieces of output wait for a slow session.
const BACKLOG: usize = 4096;

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
    live: broadcast::Sender<Bytes>,
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
        let _ = self.live.send(Bytes::copy_from_slice(bytes));
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
        Some(Attached { console: self.clone(), output, ended })
    }
}

/// The session that is attached, until it is dropped.
#[derive(Debug)]
pub(crate) struct Attached {
    console: Arc<Console>,
    output: broadcast::Receiver<Bytes>,
    ended: watch::Receiver<bool>,
}

impl Attached {
    /// The console behind it.
    pub(crate) fn console(&self) -> &Arc<Console> {
        &self.console
    }

    /// The next output; `None` when the machine has ended and all of it has been seen.
    pub(crate) async fn next(&mut self) -> Option<Bytes> {
        let received = tokio::select! {
            biased;
            received = self.output.recv() => received,
            _ = self.ended.wait_for(|ended| *ended) => return None,
        };
        match received {
            Ok(bytes) => Some(bytes),
            Err(broadcast::error::RecvError::Closed) => None,
            Err(broadcast::error::RecvError::Lagged(pieces)) => {
                let mark = format!("\r\n[l4re-twin: {pieces} pieces of output lost]\r\n");
                Some(Bytes::from(mark))
            }
        }
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
