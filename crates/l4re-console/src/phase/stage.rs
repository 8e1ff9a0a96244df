//! The phases of a boot and the times at which they were first seen.
//!
//! Invariant: within one boot phases only advance; a later phase implies the earlier ones.

use std::time::Duration;

/// How far a boot has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// UEFI or BIOS prints.
    Firmware,
    /// iPXE has started.
    Ipxe,
    /// iPXE waits for the link or configures the network.
    Network,
    /// iPXE fetches.
    Download,
    /// L4Re's bootstrapper runs.
    Bootstrap,
    /// The kernel was started.
    Kernel,
    /// The root pager runs.
    Sigma0,
    /// The root task, moe, runs, or ned after it.
    Moe,
    /// A line came from neither kernel nor root task.
    Application,
}

impl Phase {
    /// All phases in order.
    pub const ALL: [Self; 9] = [
        Self::Firmware,
        Self::Ipxe,
        Self::Network,
        Self::Download,
        Self::Bootstrap,
        Self::Kernel,
        Self::Sigma0,
        Self::Moe,
        Self::Application,
    ];

    /// The name as people read it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Firmware => "firmware",
            Self::Ipxe => "iPXE",
            Self::Network => "network",
            Self::Download => "download",
            Self::Bootstrap => "bootstrap",
            Self::Kernel => "kernel",
            Self::Sigma0 => "sigma0",
            Self::Moe => "moe",
            Self::Application => "application",
        }
    }
}

impl std::fmt::Display for Phase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

/// A phase and when it was first seen, counted from the start of following.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct PhaseTime {
    /// The phase.
    pub phase: Phase,
    /// Seconds in JSON.
    #[serde(rename = "at_s", serialize_with = "seconds")]
    pub at: Duration,
}

/// Writes a duration as seconds with milliseconds.
pub(crate) fn seconds<S: serde::Serializer>(at: &Duration, s: S) -> Result<S::Ok, S::Error> {
    #[expect(clippy::cast_precision_loss, reason = "exact below 2^53 ms")]
    s.serialize_f64(at.as_millis() as f64 / 1000.0)
}

/// The phases of one boot in the order in which they were seen.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(transparent)]
pub struct PhaseTimes(Vec<PhaseTime>);

impl PhaseTimes {
    /// The phase that the boot is in.
    #[must_use]
    pub fn current(&self) -> Option<Phase> {
        self.0.last().map(|last| last.phase)
    }

    /// All phases seen, with their times.
    #[must_use]
    pub fn as_slice(&self) -> &[PhaseTime] {
        &self.0
    }

    /// When `phase` was first seen.
    #[must_use]
    pub fn at(&self, phase: Phase) -> Option<Duration> {
        self.0.iter().find(|entry| entry.phase == phase).map(|entry| entry.at)
    }

    /// Each phase with the time until the next one; the last until `end`.
    pub fn lasting(&self, end: Duration) -> impl Iterator<Item = (Phase, Duration)> + '_ {
        let ends = self.0.iter().skip(1).map(|next| next.at).chain(std::iter::once(end));
        self.0.iter().zip(ends).map(|(entry, until)| (entry.phase, until.saturating_sub(entry.at)))
    }

    /// Notes `phase` unless the boot is already in it or beyond; says whether it was new.
    pub(crate) fn advance(&mut self, phase: Phase, at: Duration) -> bool {
        if self.current().is_some_and(|current| current >= phase) {
            return false;
        }
        self.0.push(PhaseTime { phase, at });
        true
    }
}
