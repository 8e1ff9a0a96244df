//! Reading consoles: polled output, and the key for the serial console.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::connect::Cloud;
use crate::error::CloudError;
use crate::serial::{SerialEndpoint, SerialError, SerialStatus};
use crate::serial_hosts::endpoints;

const OUTPUT: &str = "ec2:GetConsoleOutput";
const PUSH: &str = "ec2-instance-connect:SendSerialConsoleSSHPublicKey";

impl Cloud {
    /// The last 64 KiB of output: current with `latest` (Nitro), else a snapshot around the
    /// last change of state. Falls back to the snapshot where `latest` is not supported.
    pub async fn console_output(&self, id: &str, latest: bool) -> Result<Vec<u8>, CloudError> {
        let request = || self.ec2().get_console_output().instance_id(id);
        let asked = match latest {
            true => self.call(OUTPUT, request().latest(true).send()).await,
            false => self.call(OUTPUT, request().send()).await,
        };
        let answer = match asked {
            Err(CloudError::Service { code, .. }) if latest && code == "UnsupportedOperation" => {
                self.call(OUTPUT, request().send()).await?
            }
            other => other?,
        };
        let text = answer.output.unwrap_or_default();
        let digits: Vec<u8> = text.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
        STANDARD.decode(digits).map_err(|error| CloudError::BadAnswer {
            call: OUTPUT,
            cause: format!("output is not base64: {error}"),
        })
    }

    /// Whether the account allows the serial console.
    pub async fn serial_status(&self) -> Result<SerialStatus, CloudError> {
        const CALL: &str = "ec2:GetSerialConsoleAccessStatus";
        let request = self.ec2().get_serial_console_access_status().customize();
        let ask = self.call(CALL, request.config_override(self.brief_ec2()).send());
        let effect = "whether the serial console is switched on is unknown";
        let answer = self.optional(effect, CALL, ask).await?;
        Ok(SerialStatus {
            enabled: answer.as_ref().and_then(|a| a.serial_console_access_enabled),
            by_policy: answer
                .and_then(|a| a.managed_by)
                .is_some_and(|by| by.as_str() == "declarative-policy"),
        })
    }

    /// Lets `public_key` (OpenSSH form) open the serial console of `id` for 60 s.
    pub async fn push_serial_key(&self, id: &str, public_key: &str) -> Result<(), CloudError> {
        let request = self
            .instance_connect()
            .send_serial_console_ssh_public_key()
            .instance_id(id)
            .serial_port(0)
            .ssh_public_key(public_key);
        self.call(PUSH, request.send())
            .await
            .map(drop)
            .map_err(|error| serial_error(error, id, self.region()))
    }

    /// Where to connect, the likeliest host first.
    pub fn serial_endpoints(&self) -> Vec<SerialEndpoint> {
        match self.serial_override() {
            Some(endpoint) => vec![endpoint.clone()],
            None => endpoints(self.region()),
        }
    }
}

fn serial_error(error: CloudError, id: &str, region: &str) -> CloudError {
    let CloudError::Service { code, message, .. } = &error else { return error };
    let (id, message) = (id.to_owned(), message.clone());
    match code.as_str() {
        "SerialConsoleAccessDisabledException" => {
            SerialError::Disabled { region: region.to_owned() }.into()
        }
        "SerialConsoleSessionUnsupportedException" | "EC2InstanceTypeInvalidException" => {
            SerialError::Unsupported { id, message }.into()
        }
        "SerialConsoleSessionLimitExceededException"
        | "SerialConsoleSessionUnavailableException" => SerialError::InUse { id, message }.into(),
        "EC2InstanceStateInvalidException" | "EC2InstanceUnavailableException" => {
            SerialError::NotReady { id, message }.into()
        }
        "EC2InstanceNotFoundException" => CloudError::not_found(id),
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typed_errors_of_instance_connect() {
        let cases = [
            ("SerialConsoleAccessDisabledException", "serial-disabled"),
            ("SerialConsoleSessionUnsupportedException", "serial-unsupported"),
            ("SerialConsoleSessionLimitExceededException", "serial-in-use"),
            ("EC2InstanceStateInvalidException", "serial-not-ready"),
            ("EC2InstanceNotFoundException", "no-such-instance"),
            ("ServiceException", "service"),
        ];
        for (code, kind) in cases {
            let error = CloudError::Service {
                call: PUSH,
                code: code.to_owned(),
                message: String::new(),
                request_id: None,
            };
            assert_eq!(serial_error(error, "i-1", "eu-central-1").code(), kind);
        }
    }
}
