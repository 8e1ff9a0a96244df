//! The EC2 serial console: its switch, and why it cannot be had.
//!
//! Invariant: it is never switched on from here; that is the account's decision.
//! Follows "EC2 Serial Console" of the EC2 user guide.

/// Where to connect with SSH, as user `<instance-id>.port0`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SerialEndpoint {
    /// The host.
    pub host: String,
    /// The port.
    pub port: u16,
    /// SHA-256 fingerprints of its host keys (base64 without padding), empty where none
    /// is known: then trust on first use.
    pub fingerprints: Vec<String>,
}

/// Whether the account allows the serial console in this region.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SerialStatus {
    /// On or off; `None` when the endpoint cannot say.
    pub enabled: Option<bool>,
    /// Whether a declarative policy holds the switch, so that the account cannot.
    pub by_policy: bool,
}

/// Why the serial console cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SerialError {
    /// Off for this account and region.
    #[error("the serial console is switched off for this account in {region}")]
    Disabled {
        /// The region.
        region: String,
    },
    /// The type has none.
    #[error("{id} has no serial console: {message}")]
    Unsupported {
        /// The instance.
        id: String,
        /// The service's words.
        message: String,
    },
    /// Another session is open, or one is still being torn down (about 30 s).
    #[error("the serial console of {id} is in use: {message}")]
    InUse {
        /// The instance.
        id: String,
        /// The service's words.
        message: String,
    },
    /// The instance does not run yet, or no longer.
    #[error("the serial console of {id} is not ready: {message}")]
    NotReady {
        /// The instance.
        id: String,
        /// The service's words.
        message: String,
    },
}

impl SerialError {
    /// A stable word for the kind of error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Disabled { .. } => "serial-disabled",
            Self::Unsupported { .. } => "serial-unsupported",
            Self::InUse { .. } => "serial-in-use",
            Self::NotReady { .. } => "serial-not-ready",
        }
    }

    /// Whether trying again in some seconds can help.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::InUse { .. } | Self::NotReady { .. })
    }
}
