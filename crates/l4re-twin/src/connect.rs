//! EC2 Instance Connect, as far as the serial console needs it:
//! `SendSerialConsoleSSHPublicKey` (JSON 1.1, version 2018-04-02).

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::HeaderMap;
use russh::keys::PublicKey;
use serde::Deserialize;
use serde_json::json;

use crate::ec2::uuid;
use crate::fault::Fault;
use crate::state::InstanceState;
use crate::twin::Twin;

/// How the service's calls are named in `X-Amz-Target`.
pub(crate) const TARGET: &str = "AWSEC2InstanceConnectService.";

/// How long a key opens the console.
pub(crate) const KEY_LIFE: Duration = Duration::from_secs(60);

/// Keys that were pushed, each with its end.
#[derive(Debug, Default)]
pub(crate) struct PushedKeys(Mutex<Vec<PushedKey>>);

#[derive(Debug)]
struct PushedKey {
    instance: String,
    key: PublicKey,
    until: Instant,
}

impl PushedKeys {
    fn push(&self, instance: &str, key: PublicKey) {
        let mut keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        keys.retain(|pushed| pushed.until > now);
        keys.push(PushedKey { instance: instance.to_owned(), key, until: now + KEY_LIFE });
    }

    /// Whether a key opens an instance's console now.
    pub(crate) fn opens(&self, instance: &str, key: &PublicKey) -> bool {
        let keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        keys.iter().any(|pushed| {
            pushed.until > now
                && pushed.instance == instance
                && pushed.key.key_data() == key.key_data()
        })
    }
}

#[derive(Deserialize)]
struct Request {
    #[serde(rename = "InstanceId")]
    instance_id: String,
    #[serde(rename = "SerialPort", default)]
    serial_port: i32,
    #[serde(rename = "SSHPublicKey")]
    public_key: String,
}

/// Answers a call whose signature was checked, or says what was wrong with it.
pub(crate) fn answer(
    twin: &Twin,
    headers: &HeaderMap,
    body: Result<Bytes, Fault>,
) -> (u16, String) {
    let target = headers.get("x-amz-target").and_then(|value| value.to_str().ok());
    let action = target.and_then(|target| target.strip_prefix(TARGET)).unwrap_or_default();
    let result = body.and_then(|body| match action {
        "SendSerialConsoleSSHPublicKey" => send_key(twin, &body),
        other => Err(Fault::client("UnknownOperationException", format!("no operation '{other}'"))),
    });
    match result {
        Ok(()) => (200, json!({ "RequestId": uuid(), "Success": true }).to_string()),
        Err(fault) => {
            let error = json!({ "__type": fault.code, "Message": fault.message });
            (fault.status, error.to_string())
        }
    }
}

fn send_key(twin: &Twin, body: &[u8]) -> Result<(), Fault> {
    let invalid = |detail: String| Fault::client("InvalidArgsException", detail);
    let request: Request =
        serde_json::from_slice(body).map_err(|error| invalid(error.to_string()))?;
    let key = PublicKey::from_openssh(request.public_key.trim())
        .map_err(|error| invalid(format!("SSHPublicKey is not an OpenSSH public key: {error}")))?;
    if request.serial_port != 0 {
        return Err(invalid("SerialPort must be 0".to_owned()));
    }
    let state = twin.store.lock();
    if !state.account.serial_console_access {
        let message = "Serial Console access is not enabled for this account. Contact your \
                       account administrator.";
        return Err(Fault::new(403, "SerialConsoleAccessDisabledException", message));
    }
    let instance = state
        .instances
        .get(&request.instance_id)
        .filter(|instance| instance.state != InstanceState::Terminated)
        .ok_or_else(|| {
            Fault::new(404, "EC2InstanceNotFoundException", "The specified instance was not found.")
        })?;
    if instance.state != InstanceState::Running {
        let message = format!("The instance is {}, not running.", instance.state.name());
        return Err(Fault::client("EC2InstanceStateInvalidException", message));
    }
    if has_no_console(&instance.instance_type) {
        let message = "The instance type is not supported by the serial console.";
        return Err(Fault::client("SerialConsoleSessionUnsupportedException", message));
    }
    if twin.machines.has_session(&request.instance_id) {
        let message = "The instance's serial console already has a session.";
        return Err(Fault::client("SerialConsoleSessionLimitExceededException", message));
    }
    twin.keys.push(&request.instance_id, key);
    Ok(())
}

/// Types without a serial console: Xen's, and a few of Nitro's metal ones.
fn has_no_console(instance_type: &str) -> bool {
    ["a1.metal", "g5g.metal", "t2.", "m3.", "m4.", "c3.", "c4."]
        .iter()
        .any(|prefix| instance_type.starts_with(prefix))
}
