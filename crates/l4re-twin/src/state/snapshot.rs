//! The record of a snapshot. Its content lies beside it, as [`crate::state::Blocks`] has it.

use serde::{Deserialize, Serialize};

use crate::state::{Chain, Tags};

/// EC2's states of a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum SnapshotState {
    Pending,
    Completed,
    Error,
}

impl SnapshotState {
    /// The state's name as EC2 spells it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Completed => "completed",
            Self::Error => "error",
        }
    }
}

/// One snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Snapshot {
    pub(crate) id: String,
    pub(crate) parent: Option<String>,
    /// The first of its line, which it shares with all whose blocks can be compared.
    pub(crate) lineage: String,
    pub(crate) description: String,
    pub(crate) size_gib: u64,
    pub(crate) started: jiff::Timestamp,
    /// From when on it can be used; none as long as it is written.
    pub(crate) completed: Option<jiff::Timestamp>,
    /// When it fails if it is not complete by then.
    pub(crate) expires: jiff::Timestamp,
    pub(crate) tags: Tags,
    /// What boots from it where that is not its content: it was copied from an AMI that the
    /// twin plays.
    #[serde(default)]
    pub(crate) played: Option<Chain>,
    pub(crate) client_token: Option<String>,
    /// What `StartSnapshot` asked for, as a digest.
    pub(crate) request_digest: String,
}

impl Snapshot {
    /// The state at a moment: records hold times, so that nothing has to run in between.
    pub(crate) fn state(&self, now: jiff::Timestamp) -> SnapshotState {
        match self.completed {
            Some(completed) if completed <= now => SnapshotState::Completed,
            Some(_) => SnapshotState::Pending,
            None if now > self.expires => SnapshotState::Error,
            None => SnapshotState::Pending,
        }
    }

    /// Whether blocks may still be put.
    pub(crate) fn is_written(&self, now: jiff::Timestamp) -> bool {
        self.completed.is_none() && self.state(now) == SnapshotState::Pending
    }
}
