//! Reading consoles: polled output, and the key for the serial console.

use crate::connect::Cloud;
use crate::error::CloudError;
use crate::serial::{SerialEndpoint, SerialStatus};

impl Cloud {
    /// The last 64 KiB of output: current with `latest` (Nitro), else a snapshot around the
    /// last change of state. Falls back to the snapshot where `latest` is not supported.
    pub async fn console_output(&self, id: &str, latest: bool) -> Result<Vec<u8>, CloudError> {
        let _ = (id, latest);
        todo!()
    }

    /// Whether the account allows the serial console.
    pub async fn serial_status(&self) -> Result<SerialStatus, CloudError> {
        todo!()
    }

    /// Lets `public_key` (OpenSSH form) open the serial console of `id` for 60 s.
    pub async fn push_serial_key(&self, id: &str, public_key: &str) -> Result<(), CloudError> {
        let _ = (id, public_key);
        todo!()
    }

    /// Where to connect, the likeliest host first.
    pub fn serial_endpoints(&self) -> Vec<SerialEndpoint> {
        todo!()
    }
}
