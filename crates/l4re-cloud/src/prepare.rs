//! All that a launch must know beforehand, looked up at once while the image is built.
//!
//! Invariant: after [`Cloud::prepare`] and [`Cloud::publish`], a launch is one call.

use crate::ami::AmiFacts;
use crate::connect::Cloud;
use crate::error::{CloudError, Running};
use crate::identity::Identity;
use crate::plan::{AccountFacts, BootPlan, ImageFacts, KindChoice, PlanError, PlanOptions};
use crate::serial::SerialStatus;
use crate::types::InstanceTypeFacts;
use l4re_image::Arch;

/// What will be launched.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PrepareOptions {
    /// The instance's name.
    pub name: String,
    /// Types in the order of preference.
    pub types: Vec<String>,
    /// Zones to stay within; all if empty.
    pub zones: Vec<String>,
    /// The subnet, instead of the default VPC's.
    pub subnet: Option<String>,
}

/// A subnet that a launch may go to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subnet {
    /// `subnet-…`.
    pub id: String,
    /// Its zone.
    pub zone: String,
    /// Whether machines get a public address there by default.
    pub public: bool,
}

/// One place where a launch may be tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The type.
    pub instance_type: String,
    /// The zone; `None` leaves it to EC2.
    pub zone: Option<String>,
    /// The subnet; `None` leaves it to EC2.
    pub subnet: Option<Subnet>,
}

/// The answers.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// As asked.
    pub options: PrepareOptions,
    /// Who asks.
    pub identity: Identity,
    /// The region.
    pub region: String,
    /// Facts of the types, in the order of preference, those that exist in the region.
    pub types: Vec<InstanceTypeFacts>,
    /// iPXE AMIs, newest first.
    pub amis: Vec<AmiFacts>,
    /// The account's settings.
    pub account: AccountFacts,
    /// The serial console's switch.
    pub serial: SerialStatus,
    /// Where to try, in order.
    pub places: Vec<Place>,
    /// A live instance of that name.
    pub running: Option<Running>,
    /// The newest dead instance of that name: the seed of the launch's tokens.
    pub last_dead: Option<String>,
}

impl Prepared {
    /// The plan for the first type that the image can boot on, or the first type's refusal.
    pub fn plan(&self, image: &ImageFacts, options: &PlanOptions) -> Result<BootPlan, PlanError> {
        let _ = (image, options);
        todo!()
    }

    /// The kind of image to build for an architecture, and why if it is not the usual one.
    pub fn best_kind(&self, arch: Arch) -> KindChoice {
        let _ = arch;
        todo!()
    }
}

impl Cloud {
    /// Looks everything up, concurrently.
    pub async fn prepare(&self, options: &PrepareOptions) -> Result<Prepared, CloudError> {
        let _ = options;
        todo!()
    }
}
