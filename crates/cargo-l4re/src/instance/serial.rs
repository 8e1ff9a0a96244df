//! The console of an instance as a transport: live by SSH with a key of its own for each
//! session, and what EC2 kept of the output.

use std::time::Duration;

use camino::Utf8PathBuf;
use l4re_cloud::{Cloud, CloudError, Instance, SerialError};
use l4re_console::transport::{
    BoxFuture, Connector, Fingerprint, HostKeyPolicy, JoinOptions, Joined, Key, PollError,
    SerialOptions, SerialSsh, SerialTarget, Snapshots, Transport, TransportError,
};

use super::connect::Connection;
use crate::commands::Context;
use crate::failure::Failure;

/// How often the kept output is polled, and a session tried again, on the desk.
const DESK_PACE: Duration = Duration::from_millis(100);

/// The console of an instance: live by SSH, with the kept output filling what that missed.
pub(super) fn transport(
    context: &Context,
    connection: &Connection,
    instance: &Instance,
) -> Result<Joined, Failure> {
    let known_hosts = context.environment.state_dir().ok_or(Failure::NoHome)?.join("known_hosts");
    let (cloud, id) = (connection.cloud.clone(), instance.id.clone());
    let serial = Serial { cloud: cloud.clone(), id: id.clone(), known_hosts };
    let mut options = JoinOptions::default();
    if connection.local {
        options.poll = DESK_PACE;
        options.retry = DESK_PACE;
    }
    Ok(Joined::new(Some(Box::new(serial)), Some(Box::new(Kept { cloud, id })), options))
}

/// Opens serial sessions: a new key each time, pushed right before it is used.
struct Serial {
    cloud: Cloud,
    id: String,
    known_hosts: Utf8PathBuf,
}

impl Connector for Serial {
    fn connect(&self) -> BoxFuture<'static, Result<Box<dyn Transport>, TransportError>> {
        let (cloud, id, known_hosts) =
            (self.cloud.clone(), self.id.clone(), self.known_hosts.clone());
        Box::pin(async move {
            let address = || format!("serial console of {id}");
            let key = Key::generate().map_err(|error| TransportError::Ssh {
                address: address(),
                detail: error.to_string(),
            })?;
            let pushed = cloud.push_serial_key(&id, &key.public_openssh()).await;
            pushed.map_err(|error| not_pushed(address(), error))?;
            let mut unreached = None;
            for endpoint in cloud.serial_endpoints() {
                let host_key = if endpoint.fingerprints.is_empty() {
                    HostKeyPolicy::TrustOnFirstUse(known_hosts.clone())
                } else {
                    let prints = endpoint.fingerprints.iter();
                    HostKeyPolicy::Pinned(prints.map(|print| Fingerprint::new(print)).collect())
                };
                let user = format!("{id}.port0");
                let target =
                    SerialTarget { host: endpoint.host, port: endpoint.port, user, host_key };
                match SerialSsh::connect(&target, &key, &SerialOptions::default()).await {
                    Ok(session) => return Ok(Box::new(session) as Box<dyn Transport>),
                    // Only a host that is not there may have another name.
                    Err(
                        error @ (TransportError::Refused { .. }
                        | TransportError::TimedOut { .. }
                        | TransportError::Io { .. }),
                    ) => {
                        unreached.get_or_insert(error);
                    }
                    Err(error) => return Err(error),
                }
            }
            Err(unreached.unwrap_or_else(|| TransportError::Refused { address: address() }))
        })
    }
}

/// What a key that could not be pushed means for the session.
fn not_pushed(address: String, error: CloudError) -> TransportError {
    let detail = error.to_string();
    match error {
        CloudError::Serial(SerialError::InUse { .. }) => {
            TransportError::SessionLimit { address, detail }
        }
        CloudError::Serial(serial) if serial.is_passing() => {
            TransportError::Dropped { address, detail }
        }
        CloudError::Throttled { .. }
        | CloudError::TimedOut { .. }
        | CloudError::NetworkUnreachable { .. }
        | CloudError::NotFound { .. } => TransportError::Dropped { address, detail },
        _ => TransportError::Unavailable { address, detail },
    }
}

/// The output that EC2 keeps.
struct Kept {
    cloud: Cloud,
    id: String,
}

impl Snapshots for Kept {
    fn fetch(&self, latest: bool) -> BoxFuture<'static, Result<Vec<u8>, PollError>> {
        let (cloud, id) = (self.cloud.clone(), self.id.clone());
        Box::pin(async move {
            cloud.console_output(&id, latest).await.map_err(|error| match error {
                CloudError::AccessDenied(_)
                | CloudError::NoCredentials
                | CloudError::BadCredentials { .. }
                | CloudError::Expired { .. } => PollError::Permanent(error.to_string()),
                CloudError::Unsupported { .. } if latest => PollError::LatestUnsupported,
                other => PollError::Transient(other.to_string()),
            })
        })
    }
}
