//! The connection: one client for each service, with the time-outs that the SDK lacks.
//!
//! Invariant: credentials, region, profile and endpoints come from the SDK's own chain or
//! from [`ConnectOptions`]; this crate reads no environment variable.

use std::time::Duration;

use crate::error::CloudError;
use crate::event::{Events, silent};
use crate::serial::SerialEndpoint;

/// An endpoint that stands for all of AWS: the twin, an emulator.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// `http://127.0.0.1:PORT`.
    pub url: String,
    /// Access key id.
    pub access_key: String,
    /// Secret access key.
    pub secret_key: String,
    /// Session token.
    pub session_token: Option<String>,
    /// The region it plays.
    pub region: String,
}

/// Limits in time and number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// To a connection.
    pub connect: Duration,
    /// To the answer of one attempt at a call other than an upload.
    pub attempt: Duration,
    /// To the end of a call, retries included, uploads aside.
    pub operation: Duration,
    /// Without a byte moved in an upload.
    pub stall: Duration,
    /// Attempts at one call, the first included.
    pub attempts: u32,
    /// Between two polls of an instance's state.
    pub poll: Duration,
}

/// How to connect.
#[derive(Clone)]
pub struct ConnectOptions {
    /// The region, instead of the chain's.
    pub region: Option<String>,
    /// The profile, instead of the chain's.
    pub profile: Option<String>,
    /// One endpoint for all services, instead of AWS.
    pub endpoint: Option<Endpoint>,
    /// Where guests fetch objects, `http://host[:port]`, if not where they are sent.
    pub fetch_endpoint: Option<String>,
    /// The serial console's host, instead of the region's.
    pub serial: Option<SerialEndpoint>,
    /// Limits.
    pub timeouts: Timeouts,
    /// Where events go.
    pub events: Events,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            attempt: Duration::from_secs(20),
            operation: Duration::from_secs(90),
            stall: Duration::from_secs(30),
            attempts: 8,
            poll: Duration::from_secs(2),
        }
    }
}

impl Default for ConnectOptions {
    fn default() -> Self {
        Self {
            region: None,
            profile: None,
            endpoint: None,
            fetch_endpoint: None,
            serial: None,
            timeouts: Timeouts::default(),
            events: silent(),
        }
    }
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Endpoint")
            .field("url", &self.url)
            .field("region", &self.region)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for ConnectOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConnectOptions")
            .field("region", &self.region)
            .field("profile", &self.profile)
            .field("endpoint", &self.endpoint)
            .finish_non_exhaustive()
    }
}

/// A connection to one account in one region. Cheap to clone.
#[derive(Clone)]
pub struct Cloud {}

impl Cloud {
    /// Connects. Makes no call, unless the credentials chain needs one for the region.
    pub async fn connect(options: ConnectOptions) -> Result<Self, CloudError> {
        let _ = options;
        todo!()
    }

    /// The region.
    pub fn region(&self) -> &str {
        todo!()
    }

    /// The same connection with another place for events.
    #[must_use]
    pub fn with_events(&self, events: Events) -> Self {
        let _ = events;
        todo!()
    }
}
