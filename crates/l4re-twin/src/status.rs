//! What is known of a running twin from outside: `twin.json` in the state directory, and
//! the lock that tells whether it is true.
//!
//! Invariant: the file is believed only while a daemon holds the lock; a process id alone
//! proves nothing.

use std::time::Duration;

use camino::Utf8Path;
use serde::{Deserialize, Serialize};

use crate::TwinError;

/// What `twin.json` says: all that a client needs. It holds secrets; the file's mode is 600.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Status {
    /// The daemon's process.
    pub pid: u32,
    /// The endpoint of all services, such as `http://127.0.0.1:41234`.
    pub endpoint: String,
    /// The region that the twin plays.
    pub region: String,
    /// The access key of this twin.
    pub access_key_id: String,
    /// Its secret.
    pub secret_access_key: String,
    /// The account that owns everything here.
    pub account_id: String,
    /// The serial console's SSH address, `127.0.0.1:port`.
    pub serial_console: String,
    /// Its host key, `SHA256:` and base64 without padding.
    pub serial_console_fingerprint: String,
    /// Where guests find the object store, `http://169.254.169.253`.
    pub fetch_endpoint: String,
    /// `kvm` or `tcg`, as found by the probe.
    pub accel: String,
    /// The version of this crate.
    pub version: String,
    /// What a request to end the daemon must carry.
    pub control_token: String,
}

/// The twin that runs with this state directory and is ready, if any.
pub fn status(dir: &Utf8Path) -> Result<Option<Status>, TwinError> {
    let _ = dir;
    Ok(None)
}

/// Asks the daemon to end and waits until it has, no longer than `limit`. `false`: none ran.
pub fn stop(dir: &Utf8Path, limit: Duration) -> Result<bool, TwinError> {
    let _ = (dir, limit);
    Ok(false)
}
