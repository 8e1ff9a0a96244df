//! What `RunInstances` asks for, checked as EC2 checks it before anything is made.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use super::actions::Call;
use super::instance_types::{self, InstanceType};
use super::network::{Zone, security_group_id, vpc_id, zones};
use super::tags::{TagSpecifications, tag_specifications};
use super::{block_devices, ids, images, kept_options, metadata_defaults, spot_prices, unplayed};
use crate::fault::Fault;
use crate::query::{Params, Scope};
use crate::state::{
    Architecture, BootMode, Chain, Device, Image, MetadataOptions, ShutdownBehavior, State,
};

/// EC2's limit for user data before base64.
pub(super) const MAX_USER_DATA: usize = 16 * 1024;
/// More than any desk carries at once.
const MAX_INSTANCES: u32 = 20;

/// A launch that EC2 would accept.
pub(super) struct LaunchRequest {
    pub(super) image: Image,
    pub(super) instance_type: InstanceType,
    pub(super) type_name: String,
    pub(super) boot_mode: BootMode,
    pub(super) count: u32,
    /// Its disks, the root device first.
    pub(super) devices: Vec<Device>,
    /// Where it may go: the zone that is named, or all.
    pub(super) zones: Vec<Zone>,
    pub(super) user_data: Option<String>,
    pub(super) tags: TagSpecifications,
    pub(super) metadata: MetadataOptions,
    pub(super) shutdown_behavior: ShutdownBehavior,
    pub(super) disable_api_termination: bool,
    pub(super) disable_api_stop: bool,
    /// Whether the market is spot, and if so whether the instance can be stopped.
    pub(super) spot: Option<bool>,
    pub(super) core_count: Option<u32>,
    pub(super) threads_per_core: Option<u32>,
    pub(super) nested_virtualization: bool,
    pub(super) monitoring: bool,
    pub(super) ebs_optimized: bool,
    /// Whether it gets one, if it says so; else it is the subnet's affair.
    pub(super) public_address: Option<bool>,
    /// What it shows as it was asked for.
    pub(super) asked: BTreeMap<String, String>,
}

impl LaunchRequest {
    /// Reads and checks the parameters of the call.
    pub(super) fn read(call: &Call<'_>, state: &State) -> Result<Self, Fault> {
        let root = &call.root();
        let region = &call.twin.config.region;
        if root.below("LaunchTemplate").is_given() {
            let message = "The twin has no launch templates";
            return Err(Fault::client("InvalidLaunchTemplateId.NotFound", message));
        }
        refuse_foreign_names(root)?;
        unplayed::refuse(root)?;
        let image = image(root, state, call.now)?;
        let type_name = root.get("InstanceType").unwrap_or("m1.small").to_owned();
        let instance_type = instance_types::find(&type_name)?;
        let boot_mode = boot_mode(&image, &type_name, instance_type)?;
        let spot = spot(root, &type_name, instance_type, call)?;
        let cpu = root.below("CpuOptions");
        let (core_count, threads_per_core) = cores(&cpu, &type_name, instance_type)?;
        Ok(Self {
            boot_mode,
            count: count(root)?,
            zones: places(root, &state.account.id, region)?,
            devices: block_devices::launched(root, &image, state, call.now)?,
            user_data: root.get("UserData").map(user_data).transpose()?.flatten(),
            tags: tag_specifications(root, spot.is_some())?,
            metadata: metadata_defaults::for_launch(
                &root.below("MetadataOptions"),
                &state.account,
                image.tokens_required,
            )?,
            shutdown_behavior: shutdown_behavior(root.get("InstanceInitiatedShutdownBehavior"))?,
            disable_api_termination: root.flag("DisableApiTermination")?,
            disable_api_stop: root.flag("DisableApiStop")?,
            spot,
            core_count,
            threads_per_core,
            nested_virtualization: nested_virtualization(&cpu, &type_name, instance_type)?,
            monitoring: root.below("Monitoring").flag("Enabled")?,
            ebs_optimized: root.flag("EbsOptimized")?,
            public_address: public_address(root)?,
            asked: kept_options::read(root)?,
            image,
            instance_type,
            type_name,
        })
    }
}

impl LaunchRequest {
    /// The firmware that it needs, by the seeded AMI that has the same.
    pub(super) fn firmware(&self) -> Chain {
        match (self.image.chain, self.image.architecture, self.boot_mode) {
            (Chain::Disk, _, BootMode::LegacyBios) => Chain::Bios,
            (Chain::Disk, Architecture::X86_64, _) => Chain::Uefi,
            (Chain::Disk, Architecture::Arm64, _) => Chain::Arm64,
            (chain, ..) => chain,
        }
    }

    /// The root device, and the others.
    pub(super) fn root_and_data(&self) -> (Option<&Device>, &[Device]) {
        match self.devices.split_first() {
            Some((first, others)) if first.name == self.image.root_device => (Some(first), others),
            _ => (None, &self.devices),
        }
    }
}

/// What a client token stands for: everything but the token and the transport's parts.
pub(super) fn digest(params: &Params) -> String {
    let mut hash = Sha256::new();
    for (name, value) in
        params.iter().filter(|(name, _)| !matches!(*name, "ClientToken" | "DryRun"))
    {
        hash.update(format!("{}:{name}{}:{value}", name.len(), value.len()));
    }
    hex::encode(hash.finalize())
}

/// A token of EC2's form, if one is given.
pub(super) fn client_token<'a>(root: &Scope<'a>) -> Result<Option<&'a str>, Fault> {
    let token = root.get("ClientToken").filter(|token| !token.is_empty());
    if token.is_some_and(|token| token.len() > 64 || !token.is_ascii()) {
        let message = "Client token must be at most 64 ASCII characters";
        return Err(Fault::client("InvalidParameterValue", message));
    }
    Ok(token)
}

/// Base64 of at most 16 KiB; empty means none.
pub(super) fn user_data(base64: &str) -> Result<Option<String>, Fault> {
    let compact: String = base64.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    let bytes = STANDARD
        .decode(&compact)
        .map_err(|_| Fault::invalid("Invalid BASE64 encoding of user data."))?;
    if bytes.len() > MAX_USER_DATA {
        return Err(Fault::invalid("User data is limited to 16384 bytes"));
    }
    Ok(Some(compact).filter(|_| !bytes.is_empty()))
}

/// `stop` or `terminate`, and `stop` if nothing is said.
pub(super) fn shutdown_behavior(value: Option<&str>) -> Result<ShutdownBehavior, Fault> {
    match value.unwrap_or("stop") {
        "stop" => Ok(ShutdownBehavior::Stop),
        "terminate" => Ok(ShutdownBehavior::Terminate),
        other => Err(Fault::invalid(format!(
            "Value ({other}) for parameter instanceInitiatedShutdownBehavior is invalid."
        ))),
    }
}

/// The options with those changed that are given.
pub(super) fn metadata_options(
    scope: &Scope<'_>,
    old: MetadataOptions,
) -> Result<MetadataOptions, Fault> {
    let choose = |name: &str, yes: &str, no: &str, old: bool| match scope.get(name) {
        None => Ok(old),
        Some(value) if value == yes => Ok(true),
        Some(value) if value == no => Ok(false),
        Some(other) => Err(Fault::invalid(format!("Value ({other}) for {name} is invalid."))),
    };
    if choose("HttpProtocolIpv6", "enabled", "disabled", false)? {
        let message = "The twin's metadata service speaks IPv4 only";
        return Err(Fault::client("UnsupportedOperation", message));
    }
    let hop_limit = scope.number::<u8>("HttpPutResponseHopLimit")?.unwrap_or(old.hop_limit);
    if !(1..=64).contains(&hop_limit) {
        return Err(Fault::invalid("HttpPutResponseHopLimit must be between 1 and 64"));
    }
    Ok(MetadataOptions {
        tokens_required: choose("HttpTokens", "required", "optional", old.tokens_required)?,
        hop_limit,
        endpoint_enabled: choose("HttpEndpoint", "enabled", "disabled", old.endpoint_enabled)?,
        tags_enabled: choose("InstanceMetadataTags", "enabled", "disabled", old.tags_enabled)?,
    })
}

fn image(root: &Scope<'_>, state: &State, now: jiff::Timestamp) -> Result<Image, Fault> {
    let image = images::find(state, root.require("ImageId")?)?;
    if !images::is_available(image, state, now) {
        let message = format!("The image ID '{}' is not available", image.id);
        return Err(Fault::client("InvalidAMIID.Unavailable", message));
    }
    Ok(image.clone())
}

fn boot_mode(image: &Image, name: &str, instance_type: InstanceType) -> Result<BootMode, Fault> {
    if !instance_type.supports_architecture(image.architecture) {
        return Err(Fault::invalid(format!(
            "The architecture '{}' of the specified instance type does not match the \
             architecture '{}' of the specified AMI. Specify an instance type and an AMI that \
             have matching architectures, and try again. You can use 'describe-instance-types' \
             or 'describe-images' to discover the architecture of the instance type or AMI.",
            instance_type.architecture(),
            image.architecture.name()
        )));
    }
    let mode = image.effective_boot_mode(instance_type.supports_boot_mode(BootMode::Uefi));
    if mode == BootMode::Uefi && !instance_type.supports_boot_mode(mode) {
        return Err(Fault::invalid(format!(
            "The {name} instance type does not support an AMI with a boot mode of UEFI. Only \
             instance types built on the Nitro System support UEFI. Specify an instance type \
             that supports UEFI, and try again."
        )));
    }
    if image.architecture == Architecture::X86_64 && !instance_type.supports_boot_mode(mode) {
        let message = format!("The {name} instance type does not support legacy BIOS boot mode.");
        return Err(Fault::invalid(message));
    }
    Ok(mode)
}

fn count(root: &Scope<'_>) -> Result<u32, Fault> {
    root.require("MinCount")?;
    root.require("MaxCount")?;
    let minimum = root.number::<u32>("MinCount")?.unwrap_or(0);
    let maximum = root.number::<u32>("MaxCount")?.unwrap_or(0);
    if minimum == 0 || maximum == 0 {
        let which = if minimum == 0 { "Minimum" } else { "Maximum" };
        return Err(Fault::invalid(format!("{which} instance count must be greater than zero")));
    }
    if maximum < minimum {
        return Err(Fault::invalid(
            "Minimum instance count must not be greater than maximum instance count",
        ));
    }
    if minimum > MAX_INSTANCES {
        let message = format!(
            "You have requested more instances ({minimum}) than your current \
                               instance limit of {MAX_INSTANCES} allows."
        );
        return Err(Fault::client("InstanceLimitExceeded", message));
    }
    Ok(maximum.min(MAX_INSTANCES))
}

/// Zone and subnet agree, whichever of them is given, in either of the two forms; all zones
/// where neither is.
fn places(root: &Scope<'_>, account: &str, region: &str) -> Result<Vec<Zone>, Fault> {
    let interface = root.items("NetworkInterface").into_iter().next();
    let subnet = match &interface {
        Some(interface) => interface.get("SubnetId"),
        None => root.get("SubnetId"),
    };
    if interface.is_some() {
        refuse_mixed_network(root)?;
    }
    refuse_unknown_groups(root, interface.as_ref(), account)?;
    let placement = root.below("Placement");
    let (name, id) = (placement.get("AvailabilityZone"), placement.get("AvailabilityZoneId"));
    let by_zone: Vec<Zone> = zones(region)
        .filter(|zone| {
            name.is_none_or(|name| name == zone.name) && id.is_none_or(|id| id == zone.id)
        })
        .collect();
    if by_zone.is_empty() {
        let zone = name.or(id).unwrap_or_default();
        return Err(Fault::invalid(format!("Invalid availability zone: [{zone}]")));
    }
    let Some(subnet) = subnet else { return Ok(by_zone) };
    let by_subnet =
        zones(region).find(|zone| zone.subnet_id(account) == subnet).ok_or_else(|| {
            let message = format!("The subnet ID '{subnet}' does not exist");
            Fault::client("InvalidSubnetID.NotFound", message)
        })?;
    if !by_zone.iter().any(|zone| zone.name == by_subnet.name) {
        return Err(Fault::invalid(format!(
            "The availability zone '{}' does not match the subnet '{subnet}' in '{}'",
            by_zone[0].name, by_subnet.name
        )));
    }
    Ok(vec![by_subnet])
}

fn refuse_mixed_network(root: &Scope<'_>) -> Result<(), Fault> {
    let mixed = if root.get("SubnetId").is_some() {
        "subnet ID"
    } else if root.below("SecurityGroupId").is_given() || root.below("SecurityGroup").is_given() {
        "security groups"
    } else {
        return Ok(());
    };
    Err(Fault::client(
        "InvalidParameterCombination",
        format!(
            "Network interfaces and an instance-level {mixed} may not be specified on the same \
             request"
        ),
    ))
}

fn refuse_unknown_groups(
    root: &Scope<'_>,
    interface: Option<&Scope<'_>>,
    account: &str,
) -> Result<(), Fault> {
    refuse_foreign_groups(&interface.unwrap_or(root).list("SecurityGroupId"), account)?;
    let own = security_group_id(account);
    let names = root.list("SecurityGroup");
    match names.into_iter().find(|name| *name != "default" && *name != own) {
        None => Ok(()),
        Some(group) => {
            let vpc = vpc_id(account);
            let message =
                format!("The security group '{group}' does not exist in default VPC '{vpc}'");
            Err(Fault::client("InvalidGroup.NotFound", message))
        }
    }
}

/// The account has its default group only.
pub(super) fn refuse_foreign_groups(groups: &[&str], account: &str) -> Result<(), Fault> {
    let own = security_group_id(account);
    let Some(foreign) = groups.iter().find(|id| **id != own) else { return Ok(()) };
    ids::check("sg-", foreign, "InvalidGroupId.Malformed")?;
    let message = format!("The security group '{foreign}' does not exist");
    Err(Fault::client("InvalidGroup.NotFound", message))
}

/// Keys and roles are none of the twin's: naming one is EC2's NotFound.
fn refuse_foreign_names(root: &Scope<'_>) -> Result<(), Fault> {
    if let Some(key) = root.get("KeyName") {
        let message = format!("The key pair '{key}' does not exist");
        return Err(Fault::client("InvalidKeyPair.NotFound", message));
    }
    let profile = root.below("IamInstanceProfile");
    if let Some(name) = profile.get("Name").or_else(|| profile.get("Arn")) {
        return Err(Fault::invalid(format!(
            "Value ({name}) for parameter iamInstanceProfile is invalid. Invalid IAM Instance \
             Profile"
        )));
    }
    Ok(())
}

fn spot(
    root: &Scope<'_>,
    name: &str,
    kind: InstanceType,
    call: &Call<'_>,
) -> Result<Option<bool>, Fault> {
    let market = root.below("InstanceMarketOptions");
    match market.get("MarketType") {
        None => return Ok(None),
        Some("spot") => {}
        Some(other) => return Err(Fault::invalid(format!("Invalid market type: {other}"))),
    }
    if !kind.supports_spot() {
        let message = format!("The instance type '{name}' is not supported for Spot.");
        return Err(Fault::client("UnsupportedOperation", message));
    }
    let options = market.below("SpotOptions");
    spot_prices::refuse_low_price(options.get("MaxPrice"), name, call)?;
    let persistent = match options.get("SpotInstanceType").unwrap_or("one-time") {
        "one-time" => false,
        "persistent" => true,
        other => return Err(Fault::invalid(format!("Invalid spot instance type: {other}"))),
    };
    let behavior = options.get("InstanceInterruptionBehavior").unwrap_or("terminate");
    if behavior == "hibernate" {
        return Err(unplayed::hibernation());
    }
    if !["stop", "terminate"].contains(&behavior) {
        let message = format!("Invalid instance interruption behavior: {behavior}");
        return Err(Fault::invalid(message));
    }
    if behavior != "terminate" && !persistent {
        let message = "The instanceInterruptionBehavior can be stop or hibernate only for \
                       persistent Spot requests";
        return Err(Fault::client("InvalidParameterCombination", message));
    }
    Ok(Some(behavior == "stop"))
}

/// Cores and threads are given together, and as the type can have them.
fn cores(
    cpu: &Scope<'_>,
    name: &str,
    kind: InstanceType,
) -> Result<(Option<u32>, Option<u32>), Fault> {
    let (cores, threads) = (cpu.number("CoreCount")?, cpu.number("ThreadsPerCore")?);
    let wrong = |message: String| Fault::client("InvalidParameterCombination", message);
    match (cores, threads) {
        (None, None) => return Ok((None, None)),
        (Some(cores), Some(threads)) if kind.can_have(cores, threads) => {}
        (Some(cores), Some(threads)) => {
            return Err(wrong(format!(
                "The CPU options of {cores} cores with {threads} threads each are not supported \
                 for instance type '{name}'."
            )));
        }
        _ => return Err(wrong("CoreCount and ThreadsPerCore must be specified together".into())),
    }
    if cpu.get("NestedVirtualization") == Some("enabled") {
        let message = "Nested virtualization cannot be combined with CoreCount and ThreadsPerCore";
        return Err(wrong(message.into()));
    }
    Ok((cores, threads))
}

fn nested_virtualization(cpu: &Scope<'_>, name: &str, kind: InstanceType) -> Result<bool, Fault> {
    match cpu.get("NestedVirtualization") {
        None | Some("disabled") => return Ok(false),
        Some("enabled") => {}
        Some(other) => {
            return Err(Fault::invalid(format!(
                "Value ({other}) for NestedVirtualization is invalid."
            )));
        }
    }
    if !kind.supports_nested_virtualization() {
        let message = format!("Nested virtualization is not supported for instance type '{name}'.");
        return Err(Fault::client("InvalidParameterCombination", message));
    }
    Ok(true)
}

fn public_address(root: &Scope<'_>) -> Result<Option<bool>, Fault> {
    match root.items("NetworkInterface").first() {
        Some(interface) => interface.maybe_flag("AssociatePublicIpAddress"),
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_data_is_limited_before_base64() {
        let encode = |length: usize| STANDARD.encode(vec![b'x'; length]);
        assert!(user_data(&encode(16384)).unwrap().is_some());
        let fault = user_data(&encode(16385)).unwrap_err();
        assert_eq!(fault.message, "User data is limited to 16384 bytes");
        assert_eq!(user_data("not base64!").unwrap_err().code, "InvalidParameterValue");
        assert_eq!(user_data("").unwrap(), None);
    }

    #[test]
    fn the_digest_ignores_the_token_and_nothing_else() {
        let of = |form: &str| digest(&Params::parse(form.as_bytes()).unwrap());
        assert_eq!(of("A=1&ClientToken=x"), of("A=1&ClientToken=y"));
        assert_ne!(of("A=1&B=2"), of("A=1&B=3"));
        assert_ne!(of("A=11&B="), of("A=1&B=1"));
    }
}
