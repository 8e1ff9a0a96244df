//! Where console bytes come from and where typed bytes go: one trait, several sources.
//!
//! Invariant: a transport hands over each byte once and in order; what it knows to be lost
//! it says with a [`Gap`].

mod channel;
mod host_key;
mod joined;
mod merge;
mod missing;
mod overlap;
mod polled;
mod replay;
mod serial_ssh;
mod since;
mod socket;
mod ssh_key;
mod typist;

pub use channel::{BoxFuture, Chunk, ChunkKind, Gap, Notice, Received, Transport, TransportError};
pub use host_key::{Fingerprint, HostKeyError, HostKeyPolicy};
pub use joined::{Connector, JoinOptions, Joined};
pub use merge::{Merged, Merger};
pub use missing::Missing;
pub use polled::{PollError, Polled, Snapshots};
pub use replay::Replay;
pub use serial_ssh::{SerialOptions, SerialSsh, SerialTarget};
pub use since::Since;
pub use socket::SocketConsole;
pub use ssh_key::Key;
