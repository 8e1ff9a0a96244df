//! EC2 Instance Connect, as far as the serial console needs it:
//! `SendSerialConsoleSSHPublicKey` (JSON 1.1, version 2018-04-02).

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use russh::keys::PublicKey;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::ec2::uuid;
use crate::fault::Fault;
use crate::json::{read, unknown};
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
    fn push(&self, instance: &str, key: PublicKey, now: Instant) {
        let mut keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        keys.retain(|pushed| pushed.until > now);
        keys.push(PushedKey { instance: instance.to_owned(), key, until: now + KEY_LIFE });
    }

    /// Whether a key opens an instance's console now.
    pub(crate) fn opens(&self, instance: &str, key: &PublicKey) -> bool {
        self.opens_at(instance, key, Instant::now())
    }

    fn opens_at(&self, instance: &str, key: &PublicKey, now: Instant) -> bool {
        let keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
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

/// Carries out a call.
pub(crate) fn act(twin: &Twin, action: &str, body: &[u8]) -> Result<Value, Fault> {
    match action {
        "SendSerialConsoleSSHPublicKey" => send_key(twin, body)?,
        other => return Err(unknown(other)),
    }
    Ok(json!({ "RequestId": uuid(), "Success": true }))
}

fn send_key(twin: &Twin, body: &[u8]) -> Result<(), Fault> {
    let invalid = |detail: String| Fault::client("InvalidArgsException", detail);
    let request: Request = read(body, "InvalidArgsException")?;
    let key = PublicKey::from_openssh(request.public_key.trim())
        .map_err(|error| invalid(format!("SSHPublicKey is not an OpenSSH public key: {error}")))?;
    if key.algorithm().is_rsa() {
        // EC2 takes them; the twin's SSH cannot check what they sign.
        return Err(invalid("The twin opens consoles to Ed25519 keys, not to RSA's".to_owned()));
    }
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
    twin.keys.push(&request.instance_id, key, Instant::now());
    Ok(())
}

/// Types without a serial console: Xen's, and a few of Nitro's metal ones.
fn has_no_console(instance_type: &str) -> bool {
    ["a1.metal", "g5g.metal", "t2.", "m3.", "m4.", "c3.", "c4."]
        .iter()
        .any(|prefix| instance_type.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use russh::keys::{Algorithm, PrivateKey};

    use super::*;

    #[test]
    fn a_key_opens_its_instance_for_a_minute() {
        let new = || {
            let key = PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519).unwrap();
            key.public_key().clone()
        };
        let (key, other) = (new(), new());
        let keys = PushedKeys::default();
        let start = Instant::now();
        keys.push("i-1", key.clone(), start);
        let opens = |instance: &str, key: &PublicKey, seconds: u64| {
            keys.opens_at(instance, key, start + Duration::from_secs(seconds))
        };
        assert!(opens("i-1", &key, 0) && opens("i-1", &key, 59));
        assert!(!opens("i-1", &key, 60));
        assert!(!opens("i-2", &key, 0) && !opens("i-1", &other, 0));
        // The old ones are forgotten.
        keys.push("i-1", other, start + Duration::from_secs(61));
        assert_eq!(keys.0.lock().unwrap().len(), 1);
    }
}
