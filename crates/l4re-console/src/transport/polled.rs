//! The console output that EC2 keeps: windows of at most 64 KiB, polled.

use std::time::Duration;

use super::{BoxFuture, Received, Transport, TransportError};

/// Why a poll failed.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum PollError {
    /// This kind of instance has no `latest` form.
    #[error("the current output is not available for this instance")]
    LatestUnsupported,
    /// Worth another try: throttling, network, eventual consistency.
    #[error("{0}")]
    Transient(String),
    /// No try will help: no rights, no such instance.
    #[error("{0}")]
    Permanent(String),
}

/// Something that has the last bytes of a console.
///
/// The binary implements it with GetConsoleOutput.
pub trait Snapshots: Send + Sync {
    /// The last bytes, decoded. `latest` asks for the current ones; without it comes the
    /// window that was kept around the last change of state, which holds the start.
    fn fetch(&self, latest: bool) -> BoxFuture<'static, Result<Vec<u8>, PollError>>;
}

/// A console that is only polled.
pub struct Polled {}

impl Polled {
    /// Polls `snapshots` each `interval`.
    #[must_use]
    pub fn new(snapshots: Box<dyn Snapshots>, interval: Duration) -> Self {
        todo!()
    }
}

impl Transport for Polled {
    fn read(&mut self) -> BoxFuture<'_, Result<Received, TransportError>> {
        todo!()
    }

    fn write<'a>(&'a mut self, _: &'a [u8]) -> BoxFuture<'a, Result<(), TransportError>> {
        todo!()
    }

    fn send_break(&mut self) -> BoxFuture<'_, Result<(), TransportError>> {
        todo!()
    }

    fn close(&mut self) -> BoxFuture<'_, Result<(), TransportError>> {
        todo!()
    }
}
