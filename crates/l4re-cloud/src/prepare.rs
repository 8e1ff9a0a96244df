//! All that a launch must know beforehand, looked up at once while the image is built.
//!
//! Invariant: after [`Cloud::prepare`] and [`Cloud::publish`], a launch is one call.

use l4re_image::{Arch, Kind};

use crate::ami::{AmiFacts, filter};
use crate::attempt::LaunchOptions;
use crate::connect::Cloud;
use crate::egress::Egress;
use crate::error::{CloudError, Running};
use crate::event::Event;
use crate::identity::Identity;
use crate::instance::Instance;
use crate::place::{Offering, Place, Subnet, places};
use crate::plan::{
    AccountFacts, BootPlan, Chain, ImageFacts, KindChoice, PlanError, PlanOptions, best_kind, plan,
};
use crate::serial::SerialStatus;
use crate::types::InstanceTypeFacts;

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
    /// Whether machines get a public address; `None` lets it follow from the subnet.
    pub public_address: Option<bool>,
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
    /// The live instance of that name: in the way of a launch, unless it is gone by then or
    /// the launch may take it for its own.
    pub running: Option<Instance>,
    /// The newest dead instance of that name: the seed of the launch's tokens.
    pub last_dead: Option<String>,
    /// Whether machines fetch from somewhere else than AWS's store, of which nothing is known.
    pub fetch_elsewhere: bool,
}

impl Prepared {
    /// The plan for the first type that the image can boot on, or the first type's refusal.
    pub fn plan(&self, image: &ImageFacts, options: &PlanOptions) -> Result<BootPlan, PlanError> {
        let mut refusal = None;
        for machine in &self.types {
            match self.plan_for(machine, image, options) {
                Ok(plan) => return Ok(plan),
                Err(error) => refusal = refusal.or(Some(error)),
            }
        }
        Err(refusal.unwrap_or(PlanError::NoMachine))
    }

    /// The plan for one type, in the subnet that was asked for.
    pub(crate) fn plan_for(
        &self,
        machine: &InstanceTypeFacts,
        image: &ImageFacts,
        options: &PlanOptions,
    ) -> Result<BootPlan, PlanError> {
        let plan = plan(image, machine, &self.amis, &self.account, options)?;
        if plan.chain == Chain::Disk || self.fetch_elsewhere {
            return Ok(plan);
        }
        let asked = |subnet: &&Subnet| !subnet.default;
        let subnet = self.places.iter().find_map(|place| place.subnet.as_ref().filter(asked));
        let wish = self.options.public_address;
        match subnet.and_then(|subnet| Some((subnet, subnet.cut_off(wish)?))) {
            None => Ok(plan),
            Some((subnet, why)) => Err(PlanError::CutOff {
                why,
                subnet: subnet.id.clone(),
                vpc: subnet.vpc.clone(),
                table: subnet.table.clone(),
                region: self.region.clone(),
            }),
        }
    }

    /// Whether the image can be launched only from a disk for which there is no AMI yet.
    pub fn wants_disk(&self, image: &ImageFacts, options: &PlanOptions) -> bool {
        let plan = |machine| plan(image, machine, &self.amis, &self.account, options);
        let mut plans = self.types.iter().map(plan);
        let mut wanted = false;
        !plans.any(|plan| {
            wanted |= matches!(plan, Err(PlanError::NoDiskAmi));
            plan.is_ok()
        }) && wanted
    }

    /// Refuses a name that is taken, as far as can be told before there is an image.
    pub fn check_free(&self, options: &LaunchOptions) -> Result<(), CloudError> {
        let Some(instance) = &self.running else { return Ok(()) };
        let ours = instance.owner.as_deref() == Some(options.owner_for(self));
        if options.adopt && ours && self.may_be_adopted(instance) {
            return Ok(());
        }
        Err(CloudError::AlreadyRunning(Box::new(in_the_way(&self.options.name, instance))))
    }

    /// Whether a type can be had as spot capacity.
    pub(crate) fn has_spot(&self, instance_type: &str) -> bool {
        self.types.iter().any(|machine| machine.name == instance_type && machine.spot)
    }

    /// Whether an instance runs, and on a machine that was asked for.
    pub(crate) fn may_be_adopted(&self, instance: &Instance) -> bool {
        instance.runs_now()
            && self.types.iter().any(|machine| machine.name == instance.instance_type)
    }

    /// The kind of image to build for an architecture, and why if it is not the usual one.
    pub fn best_kind(&self, arch: Arch) -> KindChoice {
        let usual = KindChoice { kind: Kind::Efi, why: None };
        self.types.first().map_or(usual, |machine| best_kind(arch, machine, &self.amis))
    }
}

/// A live instance of the same name, as an error tells it.
pub(crate) fn in_the_way(name: &str, instance: &Instance) -> Running {
    Running {
        name: name.to_owned(),
        id: instance.id.clone(),
        state: instance.state.to_string(),
        owner: instance.owner.clone(),
    }
}

impl Cloud {
    /// Looks everything up, concurrently.
    pub async fn prepare(&self, options: &PrepareOptions) -> Result<Prepared, CloudError> {
        check_name(&options.name)?;
        if options.types.is_empty() {
            return Err(bad("instance type", "", "none is given"));
        }
        let (identity, amis, types, offerings, subnets, account, serial, named) = tokio::try_join!(
            self.identity(),
            self.amis(),
            self.instance_types(&options.types),
            self.offerings(&options.types),
            self.subnets(options.subnet.as_deref()),
            self.account(),
            self.serial_status(),
            self.named(&options.name),
        )?;
        self.tell_missing(&options.types, &types);
        let places = places(options, &types, offerings, subnets, self.region())?;
        let fetch_elsewhere = options.subnet.is_some() && self.guests_fetch_elsewhere().await?;
        let (live, dead): (Vec<_>, Vec<_>) = named.into_iter().partition(|i| i.state.is_live());
        Ok(Prepared {
            options: options.clone(),
            identity,
            region: self.region().to_owned(),
            types,
            amis,
            account,
            serial,
            places,
            running: live.into_iter().next(),
            last_dead: dead.into_iter().next().map(|instance| instance.id),
            fetch_elsewhere,
        })
    }

    fn tell_missing(&self, asked: &[String], found: &[InstanceTypeFacts]) {
        for name in asked.iter().filter(|name| !found.iter().any(|f| f.name == **name)) {
            let text = format!("{} has no instance type {name}", self.region());
            self.tell(Event::Warning { text });
        }
    }

    /// The account's settings that a launch depends on.
    pub async fn account(&self) -> Result<AccountFacts, CloudError> {
        const CALL: &str = "ec2:GetInstanceMetadataDefaults";
        let request = self.ec2().get_instance_metadata_defaults().customize();
        let ask = self.call(CALL, request.config_override(self.brief_ec2()).send());
        let effect = "whether the account enforces IMDSv2 is unknown";
        let answer = self.optional(effect, CALL, ask).await?;
        let imds_v2_enforced = answer.map(|answer| {
            let enforced = answer.account_level.and_then(|level| level.http_tokens_enforced);
            enforced.is_some_and(|state| state.as_str() == "enabled")
        });
        Ok(AccountFacts { imds_v2_enforced })
    }

    /// Where the types are offered; `None` if the endpoint cannot say.
    async fn offerings(&self, types: &[String]) -> Result<Option<Vec<Offering>>, CloudError> {
        const CALL: &str = "ec2:DescribeInstanceTypeOfferings";
        let of_types = aws_sdk_ec2::types::Filter::builder()
            .name("instance-type")
            .set_values(Some(types.to_vec()))
            .build();
        let pages = self
            .ec2()
            .describe_instance_type_offerings()
            .location_type(aws_sdk_ec2::types::LocationType::AvailabilityZone)
            .filters(of_types)
            .into_paginator()
            .items()
            .send();
        let ask = self.call(CALL, pages.collect::<Result<Vec<_>, _>>());
        let effect = "all zones are tried";
        let offering = |found: aws_sdk_ec2::types::InstanceTypeOffering| {
            Some(Offering {
                instance_type: found.instance_type?.as_str().to_owned(),
                zone: found.location?,
            })
        };
        let answer = self.optional(effect, CALL, ask).await?;
        Ok(answer.map(|found| found.into_iter().filter_map(offering).collect()))
    }

    /// The subnet asked for, or the default one of each zone; `None` if the endpoint cannot
    /// say.
    async fn subnets(&self, id: Option<&str>) -> Result<Option<Vec<Subnet>>, CloudError> {
        const CALL: &str = "ec2:DescribeSubnets";
        let request = self.ec2().describe_subnets();
        let request = match id {
            Some(id) => request.subnet_ids(id),
            None => request.filters(filter("default-for-az", "true")),
        };
        let ask = self.call(CALL, request.send());
        let (answer, routes) = match id {
            Some(id) => {
                let (answer, routes) = tokio::try_join!(ask, self.routes(id))?;
                (Some(answer), routes)
            }
            None => (self.optional("EC2 chooses the subnet", CALL, ask).await?, None),
        };
        let subnet = |found: aws_sdk_ec2::types::Subnet| {
            let vpc = found.vpc_id;
            let (table, egress) = match (id, &routes) {
                (None, _) => (None, Egress::Gateway),
                (_, Some(routes)) => routes.of(vpc.as_deref()),
                (_, None) => (None, Egress::Unknown),
            };
            Some(Subnet {
                id: found.subnet_id?,
                zone: found.availability_zone?,
                public: found.map_public_ip_on_launch.unwrap_or_default(),
                default: id.is_none(),
                vpc,
                table,
                egress,
            })
        };
        Ok(answer.map(|a| a.subnets.unwrap_or_default().into_iter().filter_map(subnet).collect()))
    }
}

/// Names are typed on command lines, beside instance ids.
fn check_name(name: &str) -> Result<(), CloudError> {
    if name.is_empty() || name.chars().count() > 100 {
        return Err(bad("name", name, "it must have 1 to 100 characters"));
    }
    if name.chars().any(|c| c.is_control() || c.is_whitespace()) || name.starts_with('-') {
        return Err(bad("name", name, "it has white space, control characters or begins with `-`"));
    }
    if crate::lifecycle::is_instance_id(name) {
        return Err(bad("name", name, "it looks like an instance id"));
    }
    Ok(())
}

fn bad(what: &'static str, value: &str, reason: &str) -> CloudError {
    CloudError::BadOption { what, value: value.to_owned(), reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for good in ["hello", "vm-multi_p2p", "größe", "i-am-fine"] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        for poor in ["", "a b", "-x", "a\nb", "i-0123456789abcdef0", &"x".repeat(101)] {
            assert!(check_name(poor).is_err(), "{poor}");
        }
    }
}
