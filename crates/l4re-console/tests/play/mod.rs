//! A console that a test plays, followed with the clock under the test's control.

use std::io;

use l4re_console::expect::Expectations;
use l4re_console::follow::{Event, FollowOptions, Observer, Report, control, follow};
use l4re_console::transport::{SocketConsole, Transport};
use tokio::io::DuplexStream;

/// Keeps what it is given.
#[derive(Default)]
pub struct Seen {
    pub output: Vec<u8>,
    pub events: Vec<String>,
    /// Bytes after which the output counts as closed.
    pub closed_after: Option<usize>,
}

impl Observer for Seen {
    fn output(&mut self, safe: &[u8]) -> io::Result<()> {
        self.output.extend_from_slice(safe);
        match self.closed_after {
            Some(limit) if self.output.len() > limit => Err(io::ErrorKind::BrokenPipe.into()),
            _ => Ok(()),
        }
    }

    fn event(&mut self, event: Event) {
        self.events.push(format!("{event:?}"));
    }
}

impl Seen {
    pub fn has(&self, start: &str) -> bool {
        self.events.iter().any(|event| event.starts_with(start))
    }
}

pub fn options(expect: &[&str], fail_on: &[&str]) -> FollowOptions {
    let mut options = FollowOptions::default();
    options.expectations = Expectations::new(expect, fail_on).unwrap();
    options
}

pub async fn run(transport: &mut dyn Transport, options: FollowOptions) -> (Report, Seen) {
    let mut seen = Seen::default();
    let (_handle, orders) = control();
    let report = follow(transport, options, None, &mut seen, orders).await;
    (report, seen)
}

/// A console that the test plays, and its other end.
pub fn played() -> (SocketConsole, DuplexStream) {
    let (near, far) = tokio::io::duplex(1 << 20);
    let (reader, writer) = tokio::io::split(near);
    (SocketConsole::over("test".into(), Box::new(reader), Some(Box::new(writer))), far)
}
