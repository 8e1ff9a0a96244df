//! An instance as `ps` shows it: what EC2 says, and what the tags say.
//!
//! Invariant: all state lives in EC2; this is a snapshot of it.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use aws_sdk_ec2::types::InstanceStateName;
use jiff::Timestamp;
use l4re_image::Arch;

use crate::runs::Runs;
use crate::tags;

/// The life of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum InstanceState {
    /// Being made.
    Pending,
    /// Running: the firmware may have started, or not for 20 minutes yet (metal).
    Running,
    /// On its way to terminated.
    ShuttingDown,
    /// Gone.
    Terminated,
    /// On its way to stopped.
    Stopping,
    /// Stopped: costs its disk only.
    Stopped,
    /// A state that this version does not know.
    Other,
}

/// An instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// `i-…`.
    pub id: String,
    /// Tag `l4re:name`.
    pub name: Option<String>,
    /// The type.
    pub instance_type: String,
    /// The architecture.
    pub arch: Option<Arch>,
    /// The state.
    pub state: InstanceState,
    /// Why it is in that state.
    pub reason: Option<String>,
    /// The zone.
    pub zone: Option<String>,
    /// Last launch (or start).
    pub launched: Option<Timestamp>,
    /// Tag `l4re:created`.
    pub created: Option<Timestamp>,
    /// Tag `l4re:expires`.
    pub expires: Option<Timestamp>,
    /// Tag `l4re:owner`.
    pub owner: Option<String>,
    /// Tag `l4re:image`: SHA-256 of the image.
    pub image: Option<String>,
    /// Public address.
    pub public_ip: Option<IpAddr>,
    /// Private address.
    pub private_ip: Option<IpAddr>,
    /// The spot request, if it is spot capacity.
    pub spot_request: Option<String>,
    /// The AMI.
    pub ami: Option<String>,
    /// Runs that are over.
    pub runs: Runs,
    /// All tags.
    pub tags: Vec<(String, String)>,
}

/// Which instances to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InstanceFilter {
    /// Of that name.
    pub name: Option<String>,
    /// Of that owner.
    pub owner: Option<String>,
    /// Terminated ones too.
    pub dead: bool,
}

impl InstanceState {
    /// Whether it is neither gone nor going.
    pub fn is_live(self) -> bool {
        !matches!(self, Self::ShuttingDown | Self::Terminated)
    }

    /// EC2's spelling.
    pub fn ec2(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::ShuttingDown => "shutting-down",
            Self::Terminated => "terminated",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::Other => "unknown",
        }
    }
}

impl fmt::Display for InstanceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.ec2())
    }
}

impl Instance {
    /// From EC2's form; `None` without an id.
    pub(crate) fn from_ec2(found: &aws_sdk_ec2::types::Instance) -> Option<Self> {
        let tags = tags::of(found.tags());
        let tag = |key| tags::value(&tags, key).map(ToOwned::to_owned);
        let ip = |text: &Option<String>| text.as_deref().and_then(|ip| ip.parse().ok());
        let arch = found.architecture.as_ref().map(|arch| arch.as_str());
        Some(Self {
            id: found.instance_id.clone()?,
            name: tag(tags::NAME),
            instance_type: found
                .instance_type
                .as_ref()
                .map(|name| name.as_str().to_owned())
                .unwrap_or_default(),
            arch: arch.and_then(|name| Arch::all().find(|arch| arch.ec2() == Some(name))),
            state: state(found.state.as_ref().and_then(|state| state.name.as_ref())),
            reason: reason(found),
            zone: found.placement.as_ref().and_then(|p| p.availability_zone.clone()),
            launched: found.launch_time.and_then(|time| Timestamp::new(time.secs(), 0).ok()),
            created: tags::time(&tags, tags::CREATED),
            expires: tags::time(&tags, tags::EXPIRES),
            owner: tag(tags::OWNER),
            image: tag(tags::IMAGE),
            public_ip: ip(&found.public_ip_address),
            private_ip: ip(&found.private_ip_address),
            spot_request: found
                .spot_instance_request_id
                .clone()
                .filter(|request| !request.is_empty()),
            ami: found.image_id.clone(),
            runs: tag(tags::RUNS).and_then(|text| text.parse().ok()).unwrap_or_default(),
            tags,
        })
    }

    /// Whether it runs or is about to, for which EC2 charges.
    pub(crate) fn runs_now(&self) -> bool {
        matches!(self.state, InstanceState::Pending | InstanceState::Running)
    }

    /// When the run began that goes on.
    pub(crate) fn running_since(&self) -> Option<Timestamp> {
        self.launched.filter(|_| self.runs_now())
    }

    /// How long it has run in all, as EC2 charges it; `None` where that is not known.
    pub fn charged(&self, now: Timestamp) -> Option<Duration> {
        self.runs.charged(self.running_since(), now)
    }

    /// The image that it is being given by `deploy --on`, or was when that was cut off: from
    /// its next boot on it may run either.
    pub fn next_image(&self) -> Option<&str> {
        let next = tags::value(&self.tags, tags::NEXT_IMAGE)?;
        (self.image.as_deref() != Some(next)).then_some(next)
    }

    /// Whether AWS itself ends it at its expiry.
    pub fn end_is_scheduled(&self) -> bool {
        tags::value(&self.tags, tags::SCHEDULE).is_some()
    }

    /// Whether it is another live instance that was launched before `other`. Of two that
    /// compare each other exactly one says so. EC2's clock counts in whole seconds, so within
    /// one the launching machines' clocks decide.
    pub(crate) fn is_older_rival_of(&self, other: &Self) -> bool {
        let age = |instance: &Self| (instance.launched, instance.created, instance.id.clone());
        self.id != other.id && self.state.is_live() && age(self) < age(other)
    }
}

/// From EC2's name of a state.
pub(crate) fn state(name: Option<&InstanceStateName>) -> InstanceState {
    match name {
        Some(InstanceStateName::Pending) => InstanceState::Pending,
        Some(InstanceStateName::Running) => InstanceState::Running,
        Some(InstanceStateName::ShuttingDown) => InstanceState::ShuttingDown,
        Some(InstanceStateName::Terminated) => InstanceState::Terminated,
        Some(InstanceStateName::Stopping) => InstanceState::Stopping,
        Some(InstanceStateName::Stopped) => InstanceState::Stopped,
        _ => InstanceState::Other,
    }
}

fn reason(found: &aws_sdk_ec2::types::Instance) -> Option<String> {
    let state = found.state_reason.as_ref().and_then(|reason| reason.message.clone());
    state.or_else(|| found.state_transition_reason.clone()).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_ec2::types as ec2;

    fn instance(id: &str, launched: i64, state: InstanceStateName) -> Instance {
        let state = ec2::InstanceState::builder().name(state).build();
        let launched = aws_smithy_types::DateTime::from_secs(launched);
        let tags = [("l4re:name", "hello"), ("l4re:expires", "2026-11-01T00:00:00Z")];
        let tags = tags.map(|(k, v)| ec2::Tag::builder().key(k).value(v).build());
        let found = ec2::Instance::builder()
            .instance_id(id)
            .state(state)
            .launch_time(launched)
            .set_tags(Some(tags.to_vec()))
            .public_ip_address("192.0.2.7")
            .build();
        Instance::from_ec2(&found).unwrap()
    }

    #[test]
    fn reads_what_ec2_says() {
        let found = instance("i-1", 7, InstanceStateName::Running);
        assert_eq!(found.name.as_deref(), Some("hello"));
        assert_eq!(found.expires, "2026-11-01T00:00:00Z".parse().ok());
        assert_eq!(found.public_ip, "192.0.2.7".parse().ok());
        assert_eq!(found.state.to_string(), "running");
    }

    #[test]
    fn of_two_rivals_one_is_older() {
        let old = instance("i-2", 7, InstanceStateName::Running);
        let young = instance("i-1", 8, InstanceStateName::Pending);
        assert!(old.is_older_rival_of(&young) && !young.is_older_rival_of(&old));
        let same = instance("i-3", 7, InstanceStateName::Pending);
        assert!(old.is_older_rival_of(&same) && !same.is_older_rival_of(&old));
        assert!(!old.is_older_rival_of(&old));
        let dead = instance("i-0", 1, InstanceStateName::Terminated);
        assert!(!dead.is_older_rival_of(&young));
    }
}
