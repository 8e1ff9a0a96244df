//! What belongs to the account and not to an instance: identity, credentials, ports,
//! switches. Made at random when a state directory is first used, and kept.

use std::collections::{BTreeMap, BTreeSet};

use camino::Utf8Path;
use serde::{Deserialize, Serialize};

use crate::sigv4::Credentials;
use crate::state::files;
use crate::{Config, TwinError};

/// The account's record, `account.json`, mode 600.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Account {
    pub(crate) id: String,
    pub(crate) access_key_id: String,
    pub(crate) secret_access_key: String,
    pub(crate) serial_console_access: bool,
    /// Defaults of the metadata service by EC2's element names; empty: no preference.
    #[serde(default)]
    pub(crate) metadata_defaults: BTreeMap<String, String>,
    /// vCPU quotas that were set, by their codes.
    #[serde(default)]
    pub(crate) quotas: BTreeMap<String, f64>,
    /// Routes of the VPC beside the local one, destination and target; None: a new account's.
    #[serde(default)]
    pub(crate) routes: Option<BTreeMap<String, String>>,
    /// Subnets that give no public addresses.
    #[serde(default)]
    pub(crate) private_subnets: BTreeSet<String>,
    /// AMIs of a new twin that this one no longer has.
    #[serde(default)]
    pub(crate) deregistered: BTreeSet<String>,
    /// Ports of the last run, kept if they are free again.
    pub(crate) endpoint_port: u16,
    pub(crate) console_port: u16,
    /// The serial console's host key, OpenSSH format.
    pub(crate) host_key: String,
}

impl Account {
    /// Reads the record of a state directory or makes one.
    pub(crate) fn open(config: &Config) -> Result<Self, TwinError> {
        let path = Self::path(&config.dir);
        if let Some(account) = files::read_json(&path)? {
            return Ok(account);
        }
        let account = Self {
            id: format!("{:012}", rand::random_range(100_000_000_000_u64..1_000_000_000_000)),
            access_key_id: format!("AKIA{}", random_text(16, b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567")),
            secret_access_key: random_text(
                40,
                b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
            ),
            serial_console_access: config.serial_console_access,
            metadata_defaults: BTreeMap::new(),
            quotas: BTreeMap::new(),
            routes: None,
            private_subnets: BTreeSet::new(),
            deregistered: BTreeSet::new(),
            endpoint_port: 0,
            console_port: 0,
            host_key: String::new(),
        };
        account.save(&config.dir)?;
        Ok(account)
    }

    /// What clients sign with.
    pub(crate) fn credentials(&self) -> Credentials {
        Credentials {
            access_key_id: self.access_key_id.clone(),
            secret_access_key: self.secret_access_key.clone(),
        }
    }

    /// Writes the record.
    pub(crate) fn save(&self, dir: &Utf8Path) -> Result<(), TwinError> {
        files::write_json(&Self::path(dir), self)
    }

    fn path(dir: &Utf8Path) -> camino::Utf8PathBuf {
        dir.join("account.json")
    }
}

/// Random text of an alphabet.
pub(crate) fn random_text(length: usize, alphabet: &[u8]) -> String {
    (0..length).map(|_| char::from(alphabet[rand::random_range(0..alphabet.len())])).collect()
}

/// Random lower-case hexadecimal text, as EC2's identifiers and our secrets have it.
pub(crate) fn random_hex(length: usize) -> String {
    random_text(length, b"0123456789abcdef")
}
