//! What a launch will ask for, worked out before the first call: one attempt for each place.
//!
//! Invariant: pure, but for building the SDK's request; `--dry-run` shows exactly what a
//! launch would send.

use aws_sdk_ec2::Client;
use aws_sdk_ec2::operation::run_instances::builders::RunInstancesFluentBuilder;
use aws_sdk_ec2::types::{
    CpuOptionsRequest, HttpTokensState, InstanceInterruptionBehavior, InstanceMarketOptionsRequest,
    InstanceMetadataEndpointState, InstanceMetadataOptionsRequest,
    InstanceNetworkInterfaceSpecification, InstanceType, MarketType,
    NestedVirtualizationSpecification, Placement, ResourceType, ShutdownBehavior, SpotInstanceType,
    SpotMarketOptions, Tag, TagSpecification,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;

use crate::error::CloudError;
use crate::instance::Instance;
use crate::place::Place;
use crate::plan::{Boot, BootPlan, Chain, HttpTokens, ImageFacts, PlanError, PlanOptions};
use crate::prepare::Prepared;
use crate::publish::Object;
use crate::script::{AfterFailure, ScriptOptions, file_name, script};
use crate::tags::{self, TagValues, launch_tags};
use crate::token::{TokenSeed, client_token, digest};

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
    /// Security groups; the VPC's default group, which lets nothing in, if empty.
    pub security_groups: Vec<String>,
    /// User data, instead of the script that boots the image.
    pub user_data: Option<String>,
    /// Further tags, on every resource.
    pub tags: Vec<(String, String)>,
    /// Whether to take a live instance of that name for one's own, if the same owner asked for
    /// the same image in the same way.
    pub adopt: bool,
}

impl LaunchOptions {
    /// The value of the owner's tag.
    pub(crate) fn owner_for<'a>(&'a self, prepared: &'a Prepared) -> &'a str {
        self.owner.as_deref().unwrap_or_else(|| prepared.identity.owner())
    }
}

/// One RunInstances call, before it is made.
#[derive(Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The instance's name.
    pub name: String,
    /// The boot plan.
    pub plan: BootPlan,
    /// Where.
    pub place: Place,
    /// Whether it asks for spot capacity.
    pub spot: bool,
    /// The client token.
    pub token: String,
    /// The tags.
    pub tags: Vec<(String, String)>,
    /// The user data, before base64: holds the presigned URL. Empty if nothing reads it.
    pub user_data: String,
    /// Security groups.
    pub security_groups: Vec<String>,
    /// Whether machines get a public address; `None` lets it follow from the subnet.
    pub public_address: Option<bool>,
}

impl std::fmt::Debug for Attempt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Attempt")
            .field("name", &self.name)
            .field("place", &self.place)
            .field("spot", &self.spot)
            .finish_non_exhaustive()
    }
}

/// The attempts of a launch in order. Types that the image cannot boot on are left out; if
/// it can boot on none, the first type's refusal.
///
/// Without an object only images that start from a disk can be launched.
pub fn attempts<'a>(
    prepared: &Prepared,
    image: &ImageFacts,
    object: impl Into<Option<&'a Object>>,
    options: &LaunchOptions,
    now: Timestamp,
) -> Result<Vec<Attempt>, CloudError> {
    let script = match &options.user_data {
        Some(user_data) => Some(user_data.clone()),
        None => script_of(image, object.into(), options)?,
    };
    let tags = launch_tags(
        &TagValues {
            name: &prepared.options.name,
            owner: options.owner_for(prepared),
            created: now,
            expires: options.expires,
            image: image.sha256.as_deref(),
            launch: &launch_sum(image, options),
        },
        &options.tags,
    );
    let mut attempts = Vec::new();
    let mut refusal = None;
    let only_spot = options.market == Market::Spot;
    for &spot in markets(options.market) {
        for place in &prepared.places {
            if spot && !prepared.has_spot(&place.instance_type) {
                let instance_type = place.instance_type.clone();
                refusal =
                    refusal.or_else(|| only_spot.then_some(PlanError::NoSpot { instance_type }));
                continue;
            }
            match plan_for(prepared, place, image, &options.plan) {
                Ok(plan) => {
                    let user_data = match (plan.chain, &script) {
                        (Chain::Disk, _) => disk_user_data(options)?,
                        (_, Some(script)) => script.clone(),
                        (_, None) => return Err(PlanError::NoDiskAmi.into()),
                    };
                    let mut attempt = Attempt {
                        name: prepared.options.name.clone(),
                        plan,
                        place: place.clone(),
                        spot,
                        token: String::new(),
                        tags: tags.clone(),
                        user_data,
                        security_groups: options.security_groups.clone(),
                        public_address: prepared.options.public_address,
                    };
                    attempt.token = attempt.token_of(prepared, 0);
                    attempts.push(attempt);
                }
                Err(error) => refusal = refusal.or(Some(error)),
            }
        }
    }
    match refusal {
        Some(refusal) if attempts.is_empty() => Err(refusal.into()),
        _ => Ok(attempts),
    }
}

/// The script for iPXE, if there is something to fetch.
fn script_of(
    image: &ImageFacts,
    object: Option<&Object>,
    options: &LaunchOptions,
) -> Result<Option<String>, CloudError> {
    let Some(object) = object else { return Ok(None) };
    let options = ScriptOptions {
        sha256: object.sha256.clone().or_else(|| image.sha256.clone()),
        size: image.size,
        command_line: options.command_line.clone(),
        after_failure: options.after_failure,
        ..ScriptOptions::new(&object.url, file_name(image.arch, image.kind))
    };
    script(&options).map(Some)
}

/// Firmware starts an image from a disk without a command line, and nothing reads user data.
fn disk_user_data(options: &LaunchOptions) -> Result<String, CloudError> {
    match &options.command_line {
        None => Ok(String::new()),
        Some(text) => Err(CloudError::BadOption {
            what: "command line",
            value: text.clone(),
            reason: "an image that starts from a disk gets none".to_owned(),
        }),
    }
}

/// What tells two launches under one name apart that a user would not take for the same.
pub(crate) fn launch_sum(image: &ImageFacts, options: &LaunchOptions) -> String {
    let nested = if options.plan.nested { "nested" } else { "" };
    let image = image.sha256.as_deref().unwrap_or_default();
    let command_line = options.command_line.as_deref().unwrap_or_default();
    let boot = match options.plan.boot {
        Some(Boot::Disk) => "disk",
        Some(Boot::Ipxe) => "ipxe",
        None => "",
    };
    let mut sum = digest("l4re-same-launch-1", &[image, command_line, nested, boot]);
    sum.truncate(32);
    sum
}

/// Whether each round asks for spot capacity.
fn markets(market: Market) -> &'static [bool] {
    match market {
        Market::OnDemand => &[false],
        Market::Spot => &[true],
        Market::SpotThenOnDemand => &[true, false],
    }
}

fn plan_for(
    prepared: &Prepared,
    place: &Place,
    image: &ImageFacts,
    options: &PlanOptions,
) -> Result<BootPlan, PlanError> {
    let machine = prepared.types.iter().find(|facts| facts.name == place.instance_type);
    prepared.plan_for(machine.ok_or(PlanError::NoMachine)?, image, options)
}

impl Attempt {
    /// Whether an instance is what this attempt would launch: same owner, image and wishes.
    pub(crate) fn is_same_launch(&self, instance: &Instance) -> bool {
        [tags::OWNER, tags::IMAGE, tags::LAUNCH]
            .iter()
            .all(|key| tags::value(&instance.tags, key) == tags::value(&self.tags, key))
    }

    /// The token of this attempt after `generation` spent ones.
    pub(crate) fn token_of(&self, prepared: &Prepared, generation: u32) -> String {
        client_token(&TokenSeed {
            name: &self.name,
            last_dead: prepared.last_dead.as_deref(),
            instance_type: &self.place.instance_type,
            zone: self.place.zone.as_deref(),
            spot: self.spot,
            generation,
        })
    }

    /// The request.
    pub(crate) fn request(&self, ec2: &Client, token: &str) -> RunInstancesFluentBuilder {
        let request = ec2
            .run_instances()
            .min_count(1)
            .max_count(1)
            .image_id(&self.plan.ami.id)
            .instance_type(InstanceType::from(self.place.instance_type.as_str()))
            .client_token(token)
            .set_user_data(encoded(&self.user_data))
            .metadata_options(self.metadata_options())
            .instance_initiated_shutdown_behavior(ShutdownBehavior::Terminate)
            .set_tag_specifications(Some(self.tag_specifications()))
            .set_instance_market_options(self.spot.then(spot_once))
            .set_cpu_options(self.plan.nested.then(nested));
        self.with_network(request)
    }

    fn metadata_options(&self) -> InstanceMetadataOptionsRequest {
        let tokens = match self.plan.tokens {
            HttpTokens::Optional => HttpTokensState::Optional,
            HttpTokens::Required => HttpTokensState::Required,
        };
        InstanceMetadataOptionsRequest::builder()
            .http_endpoint(InstanceMetadataEndpointState::Enabled)
            .http_tokens(tokens)
            .build()
    }

    fn tag_specifications(&self) -> Vec<TagSpecification> {
        let pair = |(key, value): &(String, String)| Tag::builder().key(key).value(value).build();
        let tags: Vec<Tag> = self.tags.iter().map(pair).collect();
        let mut resources =
            vec![ResourceType::Instance, ResourceType::Volume, ResourceType::NetworkInterface];
        if self.spot {
            resources.push(ResourceType::SpotInstancesRequest);
        }
        let on = |resource| {
            TagSpecification::builder().resource_type(resource).set_tags(Some(tags.clone())).build()
        };
        resources.into_iter().map(on).collect()
    }

    /// A public address can only be asked for, or declined, in a network interface, which then
    /// has to name subnet and groups too.
    fn with_network(&self, request: RunInstancesFluentBuilder) -> RunInstancesFluentBuilder {
        let groups =
            Some(self.security_groups.clone()).filter(|groups: &Vec<String>| !groups.is_empty());
        let subnet = self.place.subnet.as_ref();
        let address = subnet.and_then(|subnet| subnet.ask_address(self.public_address));
        match (subnet, &self.place.zone) {
            (Some(subnet), _) if address.is_some() => {
                let interface = InstanceNetworkInterfaceSpecification::builder()
                    .device_index(0)
                    .subnet_id(&subnet.id)
                    .set_groups(groups)
                    .set_associate_public_ip_address(address)
                    .delete_on_termination(true)
                    .build();
                request.network_interfaces(interface)
            }
            (Some(subnet), _) => request.subnet_id(&subnet.id).set_security_group_ids(groups),
            (None, Some(zone)) => request
                .placement(Placement::builder().availability_zone(zone).build())
                .set_security_group_ids(groups),
            (None, None) => request.set_security_group_ids(groups),
        }
    }
}

fn encoded(user_data: &str) -> Option<String> {
    (!user_data.is_empty()).then(|| STANDARD.encode(user_data))
}

fn spot_once() -> InstanceMarketOptionsRequest {
    let options = SpotMarketOptions::builder()
        .spot_instance_type(SpotInstanceType::OneTime)
        .instance_interruption_behavior(InstanceInterruptionBehavior::Terminate)
        .build();
    InstanceMarketOptionsRequest::builder()
        .market_type(MarketType::Spot)
        .spot_options(options)
        .build()
}

fn nested() -> CpuOptionsRequest {
    CpuOptionsRequest::builder()
        .nested_virtualization(NestedVirtualizationSpecification::Enabled)
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ami::AmiFacts;
    use crate::testing::{ami, image, prepared};
    use l4re_image::{Arch, Kind};

    fn object() -> Object {
        Object::at_url("http://host/l4re/x", Some("ab".repeat(32)))
    }

    fn make(options: &LaunchOptions) -> Result<Vec<Attempt>, CloudError> {
        let prepared = prepared(&["m7g.metal", "c7i-flex.large"], &[ami("arm64"), ami("x86_64")]);
        let now = "2026-11-01T00:00:00Z".parse().unwrap();
        attempts(&prepared, &image(Arch::Arm64, Kind::Efi), &object(), options, now)
    }

    #[test]
    fn types_that_do_not_fit_are_left_out() {
        let attempts = make(&LaunchOptions::default()).unwrap();
        assert!(attempts.iter().all(|a| a.place.instance_type == "m7g.metal"));
        assert_eq!(attempts.len(), 2);
        assert_ne!(attempts[0].token, attempts[1].token);
    }

    #[test]
    fn spot_in_all_places_before_on_demand() {
        let options =
            LaunchOptions { market: Market::SpotThenOnDemand, ..LaunchOptions::default() };
        let spots: Vec<bool> = make(&options).unwrap().iter().map(|a| a.spot).collect();
        assert_eq!(spots, [true, true, false, false]);
    }

    #[test]
    fn no_type_fits_tells_the_first_refusal() {
        let prepared = prepared(&["c5.metal", "m7g.metal"], &[ami("arm64"), ami("x86_64")]);
        let image = image(Arch::X86_64, Kind::Efi);
        let now = Timestamp::UNIX_EPOCH;
        let error = attempts(&prepared, &image, &object(), &LaunchOptions::default(), now);
        assert_eq!(error.unwrap_err().code(), "no-uefi");
    }

    #[test]
    fn a_disk_needs_no_object_and_takes_no_command_line() {
        let image = image(Arch::X86_64, Kind::Efi);
        let disk = AmiFacts { image: image.sha256.clone(), ..ami("own") };
        let prepared = prepared(&["c5.metal", "c7i-flex.large"], &[disk]);
        let plan = PlanOptions { nested: true, ..PlanOptions::default() };
        let options = LaunchOptions { plan, ..LaunchOptions::default() };
        let found = attempts(&prepared, &image, None, &options, Timestamp::UNIX_EPOCH).unwrap();
        assert!(found.iter().all(|a| a.plan.chain == Chain::Disk && a.user_data.is_empty()));
        assert!(!prepared.wants_disk(&image, &options.plan));
        let options = LaunchOptions { command_line: Some("-v".into()), ..options };
        let refused = attempts(&prepared, &image, None, &options, Timestamp::UNIX_EPOCH);
        assert_eq!(refused.unwrap_err().code(), "bad-option");
        let without = Prepared { amis: Vec::new(), ..prepared };
        assert!(without.wants_disk(&image, &options.plan));
    }

    #[test]
    fn debug_shows_no_user_data() {
        let attempts = make(&LaunchOptions::default()).unwrap();
        assert!(attempts[0].user_data.contains("http://host/"));
        assert!(!format!("{attempts:?}").contains("http://host/"));
    }
}
