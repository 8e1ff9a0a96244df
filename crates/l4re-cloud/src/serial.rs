//! The EC2 serial console: its switch, its hosts, and the key that opens it for 60 s.
//!
//! Invariant: it is never switched on from here; that is the account's decision.
//! Follows "EC2 Serial Console" of the EC2 user guide (hosts and fingerprints as of 2026-11).

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

/// Regions whose hosts have the older name; all later ones have the newer.
const OLDER_REGIONS: [&str; 16] = [
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-south-1",
    "ap-southeast-1",
    "ap-southeast-2",
    "ca-central-1",
    "eu-central-1",
    "eu-north-1",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "sa-east-1",
    "us-east-1",
    "us-east-2",
    "us-west-1",
    "us-west-2",
];

/// Fingerprints that AWS publishes, as far as they are known to us.
const FINGERPRINTS: [(&str, &str); 2] = [
    ("eu-central-1", "aCMFS/yIcOdOlkXvOl8AmZ1Toe+bBnrJJ3Fy0k0De2c"),
    ("us-east-1", "dXwn5ma/xadVMeBZGEru5l2gx+yI5LDiJaLUcz0FMmw"),
];

/// The hosts of a region, the likeliest first.
pub(crate) fn endpoints(region: &str) -> Vec<SerialEndpoint> {
    let known = FINGERPRINTS.iter().filter(|(name, _)| *name == region);
    let fingerprints: Vec<String> = known.map(|(_, sum)| (*sum).to_owned()).collect();
    let endpoint =
        |host: String| SerialEndpoint { host, port: 22, fingerprints: fingerprints.clone() };
    let older = |suffix: &str| format!("serial-console.ec2-instance-connect.{region}.{suffix}");
    let newer = |suffix: &str| format!("ec2-serial-console.{region}.{suffix}");
    let hosts = if region.starts_with("cn-") {
        vec![newer("api.amazonwebservices.com.cn")]
    } else if region.starts_with("us-gov-") {
        vec![older("amazonaws.com")]
    } else if OLDER_REGIONS.contains(&region) {
        vec![older("aws"), newer("api.aws")]
    } else {
        vec![newer("api.aws"), older("aws")]
    };
    hosts.into_iter().map(endpoint).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(region: &str) -> Vec<String> {
        endpoints(region).into_iter().map(|e| e.host).collect()
    }

    #[test]
    fn hosts_by_region() {
        assert_eq!(
            hosts("sa-east-1"),
            [
                "serial-console.ec2-instance-connect.sa-east-1.aws",
                "ec2-serial-console.sa-east-1.api.aws"
            ]
        );
        assert_eq!(hosts("eu-south-2")[0], "ec2-serial-console.eu-south-2.api.aws");
        assert_eq!(
            hosts("us-gov-west-1"),
            ["serial-console.ec2-instance-connect.us-gov-west-1.amazonaws.com"]
        );
        assert_eq!(
            hosts("cn-north-1"),
            ["ec2-serial-console.cn-north-1.api.amazonwebservices.com.cn"]
        );
    }

    #[test]
    fn known_keys_are_pinned() {
        assert_eq!(endpoints("us-east-1")[0].fingerprints.len(), 1);
        assert!(endpoints("eu-north-1")[0].fingerprints.is_empty());
    }
}
