//! The trait that every console transport implements, and what it hands over.
//!
//! Invariant: [`Transport::read`] is safe to cancel: a dropped read loses no byte.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::host_key::HostKeyError;
use super::missing::Missing;

/// A boxed future, so that transports can be trait objects.
pub type BoxFuture<'a, T> = futures::future::BoxFuture<'a, T>;

/// How bytes came to be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChunkKind {
    /// Seen while they were printed.
    Live,
    /// Printed earlier and fetched afterwards: their time is the time of fetching.
    Backlog,
}

/// Bytes in the order in which the machine printed them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Never empty.
    pub bytes: Bytes,
    /// When they arrived.
    pub at: Instant,
    /// Live or fetched afterwards.
    pub kind: ChunkKind,
}

/// A place in the stream where bytes were lost. How many is not known there: neither a session
/// nor the kept output counts what was printed. [`Notice::GapSized`] tells it where it comes to
/// be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Gap {
    /// Why, and what is known of how many.
    #[serde(flatten)]
    pub missing: Missing,
    /// The time in which they were printed: from the last byte before the gap to the first one
    /// after it, at most.
    #[serde(rename = "within_s", serialize_with = "seconds")]
    pub within: Option<Duration>,
}

fn seconds<S: serde::Serializer>(within: &Option<Duration>, s: S) -> Result<S::Ok, S::Error> {
    match within {
        Some(within) => crate::phase::stage_seconds(within, s),
        None => s.serialize_none(),
    }
}

impl std::fmt::Display for Gap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.missing {
            Missing::Before => {
                "what was printed before this is missing, of unknown size: it is no longer kept"
            }
            Missing::Unseen => {
                "what was printed before this is missing, of unknown size: the kept output did \
                 not come in time"
            }
            _ => "part of the console is missing here, of unknown size",
        })?;
        let within = self.within.map(|within| format!(" within {:.1} s", within.as_secs_f64()));
        match (self.missing, within) {
            (Missing::Overrun { printed }, within) => {
                let within = within.unwrap_or_default();
                write!(
                    f,
                    ": {printed} bytes or more were printed{within}, the last of which follow"
                )
            }
            (_, Some(within)) => write!(f, ": what was printed{within}"),
            (_, None) => Ok(()),
        }
    }
}

/// What a transport has to say beside bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The live session ended and is being renewed.
    Reconnecting {
        /// Why the session ended.
        reason: String,
    },
    /// A live session stands.
    Connected,
    /// The size of the last gap is known now.
    GapSized {
        /// So many bytes are missing.
        bytes: u64,
    },
    /// What was typed for a session that was to come did not reach the machine.
    InputLost {
        /// Why.
        reason: String,
    },
    /// No live session can be had now; bytes come from polling.
    PolledOnly {
        /// Why there is no session.
        reason: String,
    },
}

/// What one read brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    /// Bytes.
    Chunk(Chunk),
    /// Bytes are missing here.
    Gap(Gap),
    /// A change of state worth telling.
    Notice(Notice),
    /// The stream is at its end; no read will bring more.
    End,
}

/// A source of console bytes and a sink for typed ones.
pub trait Transport: Send {
    /// Waits for the next bytes, a gap, a notice or the end.
    ///
    /// Cancelling loses nothing: what was not returned comes with the next read.
    fn read(&mut self) -> BoxFuture<'_, Result<Received, TransportError>>;

    /// Sends typed bytes to the machine.
    fn write<'a>(&'a mut self, bytes: &'a [u8]) -> BoxFuture<'a, Result<(), TransportError>>;

    /// Sends a break, which enters a debugger or a SysRq menu on some systems.
    fn send_break(&mut self) -> BoxFuture<'_, Result<(), TransportError>>;

    /// Ends the session in order. Reads after it give [`Received::End`].
    fn close(&mut self) -> BoxFuture<'_, Result<(), TransportError>>;
}

/// What the transports of tests do with input: nothing.
#[cfg(test)]
macro_rules! takes_no_input {
    () => {
        fn write<'a>(&'a mut self, _: &'a [u8]) -> BoxFuture<'a, Result<(), TransportError>> {
            async { Ok(()) }.boxed()
        }

        fn send_break(&mut self) -> BoxFuture<'_, Result<(), TransportError>> {
            async { Ok(()) }.boxed()
        }

        fn close(&mut self) -> BoxFuture<'_, Result<(), TransportError>> {
            async { Ok(()) }.boxed()
        }
    };
}
#[cfg(test)]
pub(super) use takes_no_input;

/// Why a transport could not be opened or broke.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransportError {
    /// Nobody listens there.
    #[error("{address}: connection refused")]
    Refused {
        /// Host and port, or the socket's path.
        address: String,
    },
    /// No answer in time.
    #[error("{address}: no answer within {seconds} s while {doing}")]
    TimedOut {
        /// Host and port, or the socket's path.
        address: String,
        /// The limit.
        seconds: u64,
        /// The step that took too long.
        doing: &'static str,
    },
    /// The other side does not accept the key that was pushed for this session.
    #[error("{address}: the key was refused for user {user}")]
    KeyRefused {
        /// Host and port.
        address: String,
        /// The SSH user.
        user: String,
    },
    /// The host does not prove to be the expected one.
    #[error("{address}: {source}")]
    HostKey {
        /// Host and port.
        address: String,
        /// What is wrong with its key.
        source: HostKeyError,
    },
    /// No session can be had at all: switched off, not permitted, none on this machine.
    /// A [`super::Joined`] console goes on by polling.
    #[error("{address}: {detail}")]
    Unavailable {
        /// Host and port, or the console's name.
        address: String,
        /// Why.
        detail: String,
    },
    /// Someone else holds the only session that the machine allows.
    #[error("{address}: another session is attached: {detail}")]
    SessionLimit {
        /// Host and port.
        address: String,
        /// The other side's words.
        detail: String,
    },
    /// The session ended without a close: network, session limit in time, restart.
    #[error("{address}: the session was dropped: {detail}")]
    Dropped {
        /// Host and port, or the socket's path.
        address: String,
        /// The cause as far as it is known.
        detail: String,
    },
    /// The machine reads none of what is typed.
    #[error("{address}: the machine takes nothing, and what was typed before still waits")]
    Stuck {
        /// Host and port, or the socket's path.
        address: String,
    },
    /// The transport cannot take input.
    #[error("{what} cannot be written to")]
    ReadOnly {
        /// The kind of transport.
        what: &'static str,
    },
    /// The transport has no break.
    #[error("{what} has no break")]
    NoBreak {
        /// The kind of transport.
        what: &'static str,
    },
    /// Polling the machine's output failed for good.
    #[error("reading the console output: {0}")]
    Poll(#[source] super::polled::PollError),
    /// An I/O error.
    #[error("{address}: {source}")]
    Io {
        /// Host and port, or a path.
        address: String,
        /// The cause.
        source: std::io::Error,
    },
    /// The SSH protocol failed.
    #[error("{address}: ssh: {detail}")]
    Ssh {
        /// Host and port.
        address: String,
        /// The cause.
        detail: String,
    },
}

impl TransportError {
    /// Whether a new session may succeed where this one failed.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Refused { .. }
                | Self::TimedOut { .. }
                | Self::SessionLimit { .. }
                | Self::Dropped { .. }
                | Self::Io { .. }
                | Self::Ssh { .. }
        )
    }
}

/// The typed form of a failed connect.
pub(super) fn connect_error(address: &str, source: std::io::Error) -> TransportError {
    let address = address.to_owned();
    match source.kind() {
        std::io::ErrorKind::ConnectionRefused => TransportError::Refused { address },
        _ => TransportError::Io { address, source },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_says_what_is_known_of_its_size() {
        let text = |missing, seconds: Option<u64>| {
            Gap { missing, within: seconds.map(Duration::from_secs) }.to_string()
        };
        let overrun = Missing::Overrun { printed: 65536 };
        assert_eq!(
            text(overrun, Some(2)),
            "part of the console is missing here, of unknown size: 65536 bytes or more were \
             printed within 2.0 s, the last of which follow"
        );
        assert!(text(overrun, None).contains("65536 bytes or more were printed, the last"));
        assert!(text(Missing::Unjoined, Some(2)).ends_with(": what was printed within 2.0 s"));
        assert!(text(Missing::Before, None).ends_with("of unknown size: it is no longer kept"));
        let json = serde_json::to_value(Gap { missing: overrun, within: None }).unwrap();
        let want = serde_json::json!({
            "kind": "overrun", "printed_at_least": 65536, "within_s": null
        });
        assert_eq!(json, want);
    }
}
