//! An instance as `ps` shows it: what EC2 says, and what the tags say.
//!
//! Invariant: all state lives in EC2; this is a snapshot of it.

use jiff::Timestamp;
use l4re_image::Arch;
use std::fmt;
use std::net::IpAddr;

/// The life of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum InstanceState {
    /// Being made.
    Pending,
    /// Running: the firmware may have started, or not for 20 minutes yet (metal).
    Running,
    /// On its way to terminated.
    ShuttingDown,
    /// Gone.
    Terminated,
    /// On its way to stopped.
    Stopping,
    /// Stopped: costs its disk only.
    Stopped,
    /// A state that this version does not know.
    Other,
}

/// An instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// `i-…`.
    pub id: String,
    /// Tag `l4re:name`.
    pub name: Option<String>,
    /// The type.
    pub instance_type: String,
    /// The architecture.
    pub arch: Option<Arch>,
    /// The state.
    pub state: InstanceState,
    /// Why it is in that state.
    pub reason: Option<String>,
    /// The zone.
    pub zone: Option<String>,
    /// Last launch (or start).
    pub launched: Option<Timestamp>,
    /// Tag `l4re:created`.
    pub created: Option<Timestamp>,
    /// Tag `l4re:expires`.
    pub expires: Option<Timestamp>,
    /// Tag `l4re:owner`.
    pub owner: Option<String>,
    /// Tag `l4re:image`: SHA-256 of the image.
    pub image: Option<String>,
    /// Public address.
    pub public_ip: Option<IpAddr>,
    /// Private address.
    pub private_ip: Option<IpAddr>,
    /// The spot request, if it is spot capacity.
    pub spot_request: Option<String>,
    /// The AMI.
    pub ami: Option<String>,
    /// All tags.
    pub tags: Vec<(String, String)>,
}

/// Which instances to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InstanceFilter {
    /// Of that name.
    pub name: Option<String>,
    /// Of that owner.
    pub owner: Option<String>,
    /// Terminated ones too.
    pub dead: bool,
}

impl InstanceState {
    /// Whether it is neither gone nor going.
    pub fn is_live(self) -> bool {
        !matches!(self, Self::ShuttingDown | Self::Terminated)
    }

    /// EC2's spelling.
    pub fn ec2(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::ShuttingDown => "shutting-down",
            Self::Terminated => "terminated",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::Other => "unknown",
        }
    }
}

impl fmt::Display for InstanceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.ec2())
    }
}
