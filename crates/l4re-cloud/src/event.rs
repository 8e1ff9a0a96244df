//! What this crate tells while it works; the binary decides how it looks.
//!
//! Invariant: no event carries a credential, a presigned URL or user data.

use std::sync::Arc;
use std::time::Duration;

use crate::instance::InstanceState;

/// Where events go: cheap to clone, called from any task, must not block.
pub type Events = Arc<dyn Fn(Event) + Send + Sync>;

/// An [`Events`] that drops everything.
pub fn silent() -> Events {
    Arc::new(|_| {})
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// The upload starts; `parts` is 1 unless it is a multipart upload.
    UploadStarted {
        /// The bucket.
        bucket: String,
        /// The object's key.
        key: String,
        /// Bytes to send.
        size: u64,
        /// Parts sent in parallel.
        parts: u32,
    },
    /// Comes at least once a second while an upload runs.
    UploadProgress {
        /// Bytes handed to the network so far; falls when a part is sent again.
        sent: u64,
        /// Bytes in all.
        size: u64,
        /// Since the start.
        elapsed: Duration,
        /// Since the network took the last byte.
        still: Duration,
    },
    /// The store has not answered yet whether the object is there; comes each second.
    StoreAwaited {
        /// The object's key.
        key: String,
        /// Since it was asked.
        elapsed: Duration,
    },
    /// The upload is done, and stored.
    Uploaded {
        /// The object's key.
        key: String,
        /// Bytes sent.
        size: u64,
        /// Since the start.
        elapsed: Duration,
    },
    /// The object is there already: nothing was sent.
    UploadSkipped {
        /// The object's key.
        key: String,
    },
    /// The bucket was made.
    BucketMade {
        /// The bucket.
        bucket: String,
    },
    /// Blocks of a snapshot were put; comes at its begin and with each block.
    SnapshotProgress {
        /// The snapshot.
        id: String,
        /// Blocks that were put, those of an earlier run included.
        put: usize,
        /// Blocks in all.
        blocks: usize,
        /// Bytes of each.
        block_size: usize,
    },
    /// All blocks were put and EBS makes a snapshot of them; comes at each poll.
    Sealing {
        /// The snapshot.
        id: String,
        /// Since waiting began.
        elapsed: Duration,
    },
    /// An AMI was made.
    AmiMade {
        /// The AMI.
        id: String,
        /// Its name.
        name: String,
    },
    /// A launch attempt starts.
    Launching {
        /// The type.
        instance_type: String,
        /// The zone, unless EC2 is to choose.
        zone: Option<String>,
        /// Whether it is for spot capacity.
        spot: bool,
    },
    /// The attempt found no room; the next one follows.
    NoCapacity {
        /// The type.
        instance_type: String,
        /// The zone, unless EC2 was to choose.
        zone: Option<String>,
        /// Whether it was for spot capacity.
        spot: bool,
        /// The service's code.
        code: String,
    },
    /// RunInstances was accepted.
    Launched {
        /// The instance.
        id: String,
        /// The type.
        instance_type: String,
        /// The zone.
        zone: Option<String>,
        /// Whether it is spot capacity.
        spot: bool,
        /// Whether an earlier run of the same command had launched it.
        adopted: bool,
    },
    /// AWS itself will terminate the instance then.
    EndScheduled {
        /// The instance.
        id: String,
        /// When.
        expires: jiff::Timestamp,
    },
    /// The instance is in another state than before.
    StateChanged {
        /// The instance.
        id: String,
        /// The state.
        state: InstanceState,
        /// Since waiting began.
        elapsed: Duration,
    },
    /// Still waiting; comes at each poll.
    Waiting {
        /// The instance.
        id: String,
        /// The state it is in.
        state: InstanceState,
        /// Since waiting began.
        elapsed: Duration,
    },
    /// The endpoint does not know a call or a parameter: what it would have told is
    /// treated as unknown.
    Unknown {
        /// The call, with the parameter if it is one.
        call: &'static str,
        /// What goes unknown or undone.
        effect: &'static str,
    },
    /// Something the user should know.
    Warning {
        /// One sentence.
        text: String,
    },
}
