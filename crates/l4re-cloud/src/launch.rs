//! Launching: RunInstances with tags at creation, over types and zones until one has room.
//!
//! Invariants: nothing untagged is ever made; no inbound rule is made; the same command
//! repeated finds the instance that it made instead of making a second one.

use jiff::Timestamp;

use crate::connect::Cloud;
use crate::error::CloudError;
use crate::instance::Instance;
use crate::plan::{BootPlan, ImageFacts, PlanOptions};
use crate::prepare::Prepared;
use crate::publish::Object;
use crate::script::AfterFailure;

/// What to pay for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Market {
    /// On demand.
    #[default]
    OnDemand,
    /// Spot capacity only.
    Spot,
    /// Spot capacity in all places first, on demand after.
    SpotThenOnDemand,
}

/// How to launch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LaunchOptions {
    /// Tag `l4re:owner`; the caller's name if none.
    pub owner: Option<String>,
    /// Tag `l4re:expires`.
    pub expires: Option<Timestamp>,
    /// What to pay for.
    pub market: Market,
    /// Options of the plan.
    pub plan: PlanOptions,
    /// The image's command line.
    pub command_line: Option<String>,
    /// What the machine does when the download failed for good.
    pub after_failure: AfterFailure,
    /// Security groups; the VPC's default group if empty.
    pub security_groups: Vec<String>,
    /// Further tags, on every resource.
    pub tags: Vec<(String, String)>,
    /// Whether to take a live instance of that name with the same image for one's own.
    pub adopt: bool,
}

/// One RunInstances call, before it is made.
#[derive(Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The boot plan.
    pub plan: BootPlan,
    /// Where.
    pub place: crate::prepare::Place,
    /// Whether it asks for spot capacity.
    pub spot: bool,
    /// The client token.
    pub token: String,
    /// The tags.
    pub tags: Vec<(String, String)>,
    /// The user data, before base64: holds the presigned URL.
    pub user_data: String,
    /// Security groups.
    pub security_groups: Vec<String>,
}

/// A launch that was accepted.
#[derive(Debug, Clone)]
pub struct Launched {
    /// The instance as RunInstances reported it.
    pub instance: Instance,
    /// How it boots.
    pub plan: BootPlan,
    /// Whether an earlier run of the same command had launched it.
    pub adopted: bool,
    /// Whether it is spot capacity.
    pub spot: bool,
}

impl Cloud {
    /// Launches.
    pub async fn launch(
        &self,
        prepared: &Prepared,
        image: &ImageFacts,
        object: &Object,
        options: &LaunchOptions,
    ) -> Result<Launched, CloudError> {
        let _ = (prepared, image, object, options);
        todo!()
    }

    /// Asks with DryRun whether the first attempt would be permitted.
    pub async fn launch_permitted(&self, attempt: &Attempt) -> Result<(), CloudError> {
        let _ = attempt;
        todo!()
    }
}

/// The attempts of a launch in order, made without a call: what `--dry-run` shows.
pub fn attempts(
    prepared: &Prepared,
    image: &ImageFacts,
    object: &Object,
    options: &LaunchOptions,
    now: Timestamp,
) -> Result<Vec<Attempt>, CloudError> {
    let _ = (prepared, image, object, options, now);
    todo!()
}
