//! EC2's serial console over SSH.

use std::time::Duration;

use super::{BoxFuture, HostKeyPolicy, Key, Received, Transport, TransportError};

/// Where a serial console is.
#[derive(Clone, Debug)]
pub struct SerialTarget {
    /// The region's serial-console host.
    pub host: String,
    /// 22 on EC2.
    pub port: u16,
    /// `<instance-id>.port0`.
    pub user: String,
    /// How the host proves itself.
    pub host_key: HostKeyPolicy,
}

/// Limits of a session.
#[derive(Clone, Debug)]
pub struct SerialOptions {
    /// For TCP, key exchange, authentication and the shell together.
    pub connect_timeout: Duration,
    /// Silence after which the other side is asked whether it lives.
    pub keepalive: Duration,
}

impl Default for SerialOptions {
    fn default() -> Self {
        Self { connect_timeout: Duration::from_secs(15), keepalive: Duration::from_secs(15) }
    }
}

/// A session with a serial console.
pub struct SerialSsh {}

impl SerialSsh {
    /// Opens a session with a key that was pushed less than a minute ago.
    pub async fn connect(
        target: &SerialTarget,
        key: &Key,
        options: &SerialOptions,
    ) -> Result<Self, TransportError> {
        todo!()
    }
}

impl Transport for SerialSsh {
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
