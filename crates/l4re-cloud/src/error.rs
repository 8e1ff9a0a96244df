//! What can go wrong between this machine and the cloud, one variant for each thing that
//! a user would do something different about.
//!
//! Invariant: a variant that is permanent was never retried, and each names the resource
//! it is about. Hints and exit codes are the binary's; [`CloudError::code`] is stable.

use camino::Utf8PathBuf;
use std::time::Duration;

use crate::plan::PlanError;
use crate::serial::SerialError;

/// The error of every call in this crate.
#[derive(Debug, thiserror::Error)]
pub enum CloudError {
    /// The SDK's chain found no credentials at all.
    #[error("no AWS credentials found")]
    NoCredentials,
    /// Credentials were found and cannot be used: a broken profile, an unknown key, a bad
    /// signature, a clock that is off.
    #[error("AWS credentials cannot be used: {cause}")]
    BadCredentials {
        /// What the chain or the service said.
        cause: String,
    },
    /// The session or the token has expired.
    #[error("AWS session has expired: {cause}")]
    Expired {
        /// What the chain or the service said.
        cause: String,
    },
    /// A profile was named that the settings for AWS do not have.
    #[error("no profile `{profile}` in the settings for AWS")]
    NoProfile {
        /// The profile.
        profile: String,
        /// Those that are most like it.
        nearest: Vec<String>,
    },
    /// No region in the options, the environment or the profile.
    #[error("no AWS region is set")]
    NoRegion,
    /// The region does not exist or is not switched on for this account.
    #[error("AWS region `{region}` is not usable: {cause}")]
    BadRegion {
        /// The region.
        region: String,
        /// What is wrong with it.
        cause: String,
        /// Regions that are known and most like it.
        nearest: Vec<String>,
    },
    /// The caller lacks a right.
    #[error("{0}")]
    AccessDenied(Box<Denied>),
    /// The bucket does not exist and was not asked to be made.
    #[error("bucket `{bucket}` does not exist in {region}")]
    NoSuchBucket {
        /// The bucket.
        bucket: String,
        /// The region that was asked.
        region: String,
    },
    /// The bucket exists in another region.
    #[error("bucket `{bucket}` is in {}, not in {region}", .actual.as_deref().unwrap_or("another region"))]
    BucketElsewhere {
        /// The bucket.
        bucket: String,
        /// The region that was asked.
        region: String,
        /// The region it is in, if the service said.
        actual: Option<String>,
    },
    /// The bucket's name belongs to another account.
    #[error("bucket name `{bucket}` belongs to another account")]
    BucketTaken {
        /// The bucket.
        bucket: String,
    },
    /// The endpoint cannot be reached: no such host, refused, no route.
    #[error("cannot reach {endpoint}: {cause}")]
    NetworkUnreachable {
        /// The service, with the endpoint where it is set by hand.
        endpoint: String,
        /// The last cause.
        cause: String,
    },
    /// No answer in time, after the retries.
    #[error("{call} timed out: {cause}")]
    TimedOut {
        /// The call.
        call: &'static str,
        /// Which limit was hit.
        cause: String,
    },
    /// An upload that moved no byte for the stall limit, sent anew and again.
    #[error("the upload of {what} stands still: nothing was taken for {} s, in two attempts", .after.as_secs())]
    Stalled {
        /// The object's key, the part or the block.
        what: String,
        /// Since the first attempt moved last.
        after: Duration,
    },
    /// The service asked to slow down, beyond all retries.
    #[error("{call} was throttled ({code}), also after retries")]
    Throttled {
        /// The call.
        call: &'static str,
        /// The service's code.
        code: String,
    },
    /// A quota of the account is used up.
    #[error("{}quota exceeded ({code}): {message}", .instance_type.as_deref().map(|t| format!("{t}: ")).unwrap_or_default())]
    Quota {
        /// The type that was asked for, if it was a launch.
        instance_type: Option<String>,
        /// The service's code: `VcpuLimitExceeded`, `InstanceLimitExceeded`…
        code: String,
        /// The service's words, which name the quota.
        message: String,
    },
    /// The account itself is held back: `OptInRequired`, `PendingVerification`, `Blocked`.
    #[error("account cannot be used ({code}): {message}")]
    Account {
        /// The service's code.
        code: String,
        /// The service's words.
        message: String,
    },
    /// No type in no zone had room.
    #[error("no capacity: {}", join(.0))]
    Capacity(Vec<Tried>),
    /// None of the types is offered in the region.
    #[error("{} not offered in {region}", .types.join(", "))]
    NotOffered {
        /// The types.
        types: Vec<String>,
        /// The region.
        region: String,
    },
    /// The region has no default VPC, or no default subnet where the types are offered.
    #[error("no default subnet in {region}{}", if .zones.is_empty() { String::new() } else { format!(" in any of {}", .zones.join(", ")) })]
    NoSubnet {
        /// The region.
        region: String,
        /// The zones that offer the types.
        zones: Vec<String>,
    },
    /// None of the zones asked for offers any of the types.
    #[error("{} not offered in {}{}", .types.join(", "), .asked.join(", "), if .zones.is_empty() { String::new() } else { format!(", but in {}", .zones.join(", ")) })]
    NotInZone {
        /// The types.
        types: Vec<String>,
        /// The zones asked for.
        asked: Vec<String>,
        /// The zones that offer them.
        zones: Vec<String>,
    },
    /// The image cannot boot on the machine.
    #[error(transparent)]
    Plan(Box<PlanError>),
    /// The user data is larger than EC2 takes.
    #[error("user data is {size} bytes, the limit is {limit}")]
    UserDataTooLarge {
        /// Bytes of it.
        size: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// An address or a kernel command line that an iPXE script cannot hold.
    #[error("{field} cannot be put in an iPXE script: {reason}")]
    Script {
        /// The field.
        field: &'static str,
        /// Why.
        reason: String,
    },
    /// A live instance of that name exists.
    #[error("`{}` {}: {} ({})", .0.name, .0.verb(), .0.id, .0.state)]
    AlreadyRunning(Box<Running>),
    /// No instance of that name or id.
    #[error("no instance named `{name}`")]
    NotFound {
        /// The name or id as given.
        name: String,
        /// The instance that had that name last, if it is known yet.
        gone: Option<String>,
        /// Names of instances that are most like it.
        nearest: Vec<String>,
    },
    /// No AMI of this account, and no snapshot left of one, has that name or id.
    #[error("no AMI of this account is named `{name}`")]
    NoSuchAmi {
        /// The name or id as given.
        name: String,
    },
    /// Several live instances have that name.
    #[error("`{name}` names several instances: {}", .ids.join(", "))]
    Ambiguous {
        /// The name.
        name: String,
        /// Their ids.
        ids: Vec<String>,
    },
    /// The image is not of the kind that the machine's iPXE starts.
    #[error("{id} was started by {firmware}: it boots {boots} images only")]
    WrongFirmware {
        /// The instance.
        id: String,
        /// Its firmware, as EC2 spells it.
        firmware: &'static str,
        /// The kind that it boots.
        boots: l4re_image::Kind,
    },
    /// A spot instance that cannot be stopped, only removed.
    #[error("{id} is a one-time spot instance, which cannot be stopped")]
    SpotCannotStop {
        /// The instance.
        id: String,
        /// Its name.
        name: String,
    },
    /// The instance is in a state that the call does not go with.
    #[error("{call}: {message}")]
    WrongState {
        /// The call.
        call: &'static str,
        /// The service's words.
        message: String,
    },
    /// The instance ended while another state was waited for.
    #[error("{id} is {state} instead of {wanted}{}", .reason.as_deref().map(|r| format!(": {r}")).unwrap_or_default())]
    Ended {
        /// The instance.
        id: String,
        /// The state it is in.
        state: String,
        /// The state that was waited for.
        wanted: String,
        /// EC2's reason.
        reason: Option<String>,
    },
    /// The state was not reached in time.
    #[error("{id} is still {state} after {} s, waiting for {wanted}", .after.as_secs())]
    WaitTimedOut {
        /// The instance.
        id: String,
        /// The state it is in.
        state: String,
        /// The state that was waited for.
        wanted: String,
        /// The deadline.
        after: Duration,
    },
    /// The serial console refused.
    #[error(transparent)]
    Serial(#[from] SerialError),
    /// The image file cannot be read.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: Utf8PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The image file is not the one that was inspected.
    #[error("{path} changed while it was uploaded")]
    FileChanged {
        /// The file.
        path: Utf8PathBuf,
    },
    /// What the store holds or received is not what was sent.
    #[error("{key}: checksum of the object is {found}, expected {expected}")]
    Checksum {
        /// The object's key.
        key: String,
        /// SHA-256 in hexadecimal.
        expected: String,
        /// What the store reports.
        found: String,
    },
    /// The endpoint does not know the call (an emulator, an old region).
    #[error("{endpoint} does not support {call}")]
    Unsupported {
        /// The call.
        call: &'static str,
        /// The endpoint.
        endpoint: String,
    },
    /// Any other refusal of the service.
    #[error("{call} failed ({code}): {message}")]
    Service {
        /// The call.
        call: &'static str,
        /// The service's code, or the HTTP status.
        code: String,
        /// The service's words.
        message: String,
        /// The service's request id, for support.
        request_id: Option<String>,
    },
    /// An answer that cannot be read, or that lacks what the call promises.
    #[error("{call}: bad answer: {cause}")]
    BadAnswer {
        /// The call.
        call: &'static str,
        /// What is wrong.
        cause: String,
    },
    /// An option that cannot be used.
    #[error("{what} `{value}` is not usable: {reason}")]
    BadOption {
        /// The option.
        what: &'static str,
        /// Its value.
        value: String,
        /// Why.
        reason: String,
    },
}

/// A right that is missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denied {
    /// The action, as IAM writes it: `ec2:RunInstances`.
    pub action: String,
    /// Who was refused, if the service said.
    pub principal: Option<String>,
    /// On what, if the service said.
    pub resource: Option<String>,
    /// Why, in the service's words: no identity policy, an explicit deny, an
    /// organisation's policy, a bucket policy…
    pub cause: String,
    /// The reason in a code that STS decodes for who may ask, if EC2 gave it so.
    pub encoded: Option<String>,
    /// What STS decoded of it.
    pub decision: Option<Decision>,
}

/// How IAM came to a denial.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Decision {
    /// Whether a statement denies it; else none allows it.
    pub explicit_deny: bool,
    /// The names of the statements that matched, those that have one.
    pub statements: Vec<String>,
    /// What of the request policies are often about, as keys of IAM's conditions.
    pub request: Vec<(String, String)>,
}

impl std::fmt::Display for Decision {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<_> = self.statements.iter().map(|name| format!("`{name}`")).collect();
        match (self.explicit_deny, names.as_slice()) {
            (true, []) => f.write_str("a statement of a policy denies it")?,
            (true, names) => write!(f, "a policy denies it: statement {}", names.join(", "))?,
            (false, _) => f.write_str("no statement of any policy allows it")?,
        }
        let request: Vec<_> = self.request.iter().map(|(k, v)| format!("{k} = {v}")).collect();
        if !request.is_empty() {
            write!(f, " ({})", request.join(", "))?;
        }
        Ok(())
    }
}

impl std::fmt::Display for Denied {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "access denied: {}", self.action)?;
        if let Some(resource) = &self.resource {
            write!(f, " on {resource}")?;
        }
        if !self.cause.is_empty() {
            write!(f, ": {}", self.cause)?;
        }
        Ok(())
    }
}

/// A live instance in the way of a launch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Running {
    /// Its name.
    pub name: String,
    /// Its id.
    pub id: String,
    /// Its state, as EC2 spells it.
    pub state: String,
    /// Who launched it.
    pub owner: Option<String>,
}

impl Running {
    fn verb(&self) -> &'static str {
        match self.state.as_str() {
            "pending" | "running" => "is already running",
            _ => "exists already",
        }
    }
}

/// One attempt at a launch that found no room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tried {
    /// The type.
    pub instance_type: String,
    /// The zone, unless EC2 was to choose.
    pub zone: Option<String>,
    /// Whether it was for spot capacity.
    pub spot: bool,
    /// The service's code.
    pub code: String,
}

fn join(tried: &[Tried]) -> String {
    let one = |t: &Tried| {
        let zone = t.zone.as_deref().unwrap_or("any zone");
        let spot = if t.spot { " (spot)" } else { "" };
        format!("{}{spot} in {zone}: {}", t.instance_type, t.code)
    };
    tried.iter().map(one).collect::<Vec<_>>().join("; ")
}

impl From<PlanError> for CloudError {
    fn from(error: PlanError) -> Self {
        Self::Plan(Box::new(error))
    }
}

impl CloudError {
    /// No instance of that name or id, and nothing more is known.
    pub(crate) fn not_found(name: impl Into<String>) -> Self {
        Self::NotFound { name: name.into(), gone: None, nearest: Vec::new() }
    }

    /// A stable word for the kind of error, for hints and for JSON.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoCredentials => "no-credentials",
            Self::BadCredentials { .. } => "bad-credentials",
            Self::Expired { .. } => "expired",
            Self::NoProfile { .. } => "no-profile",
            Self::NoRegion => "no-region",
            Self::BadRegion { .. } => "bad-region",
            Self::AccessDenied(_) => "access-denied",
            Self::NoSuchBucket { .. } => "no-such-bucket",
            Self::BucketElsewhere { .. } => "bucket-elsewhere",
            Self::BucketTaken { .. } => "bucket-taken",
            Self::NetworkUnreachable { .. } => "network-unreachable",
            Self::TimedOut { .. } => "timed-out",
            Self::Stalled { .. } => "stalled",
            Self::Throttled { .. } => "throttled",
            Self::Quota { .. } => "quota",
            Self::Account { .. } => "account",
            Self::Capacity(_) => "capacity",
            Self::NotOffered { .. } => "not-offered",
            Self::NoSubnet { .. } => "no-subnet",
            Self::NotInZone { .. } => "not-in-zone",
            Self::Plan(error) => error.code(),
            Self::UserDataTooLarge { .. } => "user-data-too-large",
            Self::Script { .. } => "bad-script",
            Self::AlreadyRunning(_) => "already-running",
            Self::NotFound { .. } => "no-such-instance",
            Self::NoSuchAmi { .. } => "no-such-ami",
            Self::Ambiguous { .. } => "ambiguous-name",
            Self::WrongFirmware { .. } => "wrong-firmware",
            Self::SpotCannotStop { .. } => "spot-cannot-stop",
            Self::WrongState { .. } => "wrong-state",
            Self::Ended { .. } => "instance-ended",
            Self::WaitTimedOut { .. } => "wait-timed-out",
            Self::Serial(error) => error.code(),
            Self::File { .. } => "file",
            Self::FileChanged { .. } => "file-changed",
            Self::Checksum { .. } => "checksum",
            Self::Unsupported { .. } => "unsupported-call",
            Self::Service { .. } => "service",
            Self::BadAnswer { .. } => "bad-answer",
            Self::BadOption { .. } => "bad-option",
        }
    }
}
