//! A live session renewed after drops, with polled windows filling what it could not see.

use std::time::Duration;

use super::{BoxFuture, Received, Snapshots, Transport, TransportError};

/// Opens live sessions: makes a key, pushes it, connects.
pub trait Connector: Send + Sync {
    /// Opens a new session.
    fn connect(&self) -> BoxFuture<'static, Result<Box<dyn Transport>, TransportError>>;
}

/// How sessions are renewed and windows polled.
#[derive(Clone, Debug)]
pub struct JoinOptions {
    /// Between polls while there is no live session.
    pub poll: Duration,
    /// Between tries for a live session, doubled up to `retry_max`.
    pub retry: Duration,
    /// The longest pause between tries.
    pub retry_max: Duration,
    /// How long live bytes are held back for the window that joins them to what came before.
    pub bridge: Duration,
}

impl Default for JoinOptions {
    fn default() -> Self {
        Self {
            poll: Duration::from_secs(2),
            retry: Duration::from_secs(1),
            retry_max: Duration::from_secs(30),
            bridge: Duration::from_secs(5),
        }
    }
}

/// A console that loses no more than it must.
pub struct Joined {}

impl Joined {
    /// Joins what `connector` and `snapshots` bring. Either may be missing.
    #[must_use]
    pub fn new(
        connector: Option<Box<dyn Connector>>,
        snapshots: Option<Box<dyn Snapshots>>,
        options: JoinOptions,
    ) -> Self {
        todo!()
    }
}

impl Transport for Joined {
    fn read(&mut self) -> BoxFuture<'_, Result<Received, TransportError>> {
        todo!()
    }

    fn write<'a>(&'a mut self, bytes: &'a [u8]) -> BoxFuture<'a, Result<(), TransportError>> {
        todo!()
    }

    fn send_break(&mut self) -> BoxFuture<'_, Result<(), TransportError>> {
        todo!()
    }

    fn close(&mut self) -> BoxFuture<'_, Result<(), TransportError>> {
        todo!()
    }
}
