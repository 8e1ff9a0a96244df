//! `RunInstances`: client tokens, records, and the machines behind them.

use serde_json::Value;

use super::actions::{Call, dry_run_succeeded};
use super::instances::reservation_value;
use super::launch_request::{LaunchRequest, client_token, digest};
use super::network::{Zone, mac_of};
use crate::fault::Fault;
use crate::faults::{Effect, Faults, Launching, planned};
use crate::machine;
use crate::quotas::refuse_excess;
use crate::state::{Chain, Device, Instance, InstanceState, ROOT, Spot, State, Volume, random_hex};

/// `RunInstances`. Answered as soon as the records are written; the machines start beside.
pub(super) fn run(call: &Call<'_>) -> Result<Value, Fault> {
    let twin = call.twin;
    let root = call.root();
    let token = client_token(&root)?;
    let digest = digest(call.params);
    let mut state = twin.store.lock();
    if let Some(token) = token
        && let Some(answer) = repeated(&state, token, &digest, &twin.config.region)?
    {
        return Ok(answer);
    }
    let request = LaunchRequest::read(call, &state)?;
    refuse_missing_files(call, &request)?;
    let each = (request.type_name.as_str(), request.spot.is_some());
    refuse_excess(&state, &vec![each; request.count as usize])?;
    if root.flag("DryRun")? {
        return Err(dry_run_succeeded());
    }
    let zone = with_capacity(&twin.faults, &request)?;
    let reservation = format!("r-0{}", random_hex(16));
    let mut launched = Vec::new();
    for index in 0..request.count {
        let mut instance = record(call, &state, &request, zone, index)?;
        instance.reservation_id.clone_from(&reservation);
        instance.client_token = token.map(str::to_owned);
        instance.request_digest.clone_from(&digest);
        keep_contents(call, &request, &instance)?;
        twin.store.insert(&mut state, instance.clone())?;
        launched.push(instance);
    }
    let answer = reservation_value(&launched, &state.account.id, &twin.config.region);
    drop(state);
    for instance in &launched {
        machine::launch(twin, &instance.id);
    }
    Ok(answer)
}

/// What the same token launched before, dead or alive; another request with it is refused.
fn repeated(
    state: &State,
    token: &str,
    digest: &str,
    region: &str,
) -> Result<Option<Value>, Fault> {
    let before: Vec<Instance> = state
        .instances
        .values()
        .filter(|instance| instance.client_token.as_deref() == Some(token))
        .cloned()
        .collect();
    let Some(first) = before.first() else { return Ok(None) };
    if first.request_digest != digest {
        return Err(Fault::client(
            "IdempotentParameterMismatch",
            "Arguments on this idempotent request are inconsistent with arguments used in \
             previous request(s).",
        ));
    }
    Ok(Some(reservation_value(&before, &state.account.id, region)))
}

/// EC2 has its hardware; the twin's may be missing, and says so before anything is made.
fn refuse_missing_files(call: &Call<'_>, request: &LaunchRequest) -> Result<(), Fault> {
    let missing = crate::doctor::missing_for(&call.twin.config, request.firmware());
    if missing.is_empty() {
        return Ok(());
    }
    let list: Vec<String> = missing.iter().map(ToString::to_string).collect();
    // Status 400, so that clients do not try again what cannot succeed.
    Err(Fault::client("Server.InternalError", list.join("; ")))
}

/// The first zone that the plan of faults leaves capacity in. What is said of no zone holds in
/// all of them.
fn with_capacity<'a>(faults: &Faults, request: &'a LaunchRequest) -> Result<&'a Zone, Fault> {
    let refusal = |zone| {
        let spot = request.spot.is_some();
        let launching = Launching { zone, instance_type: &request.type_name, spot };
        match faults.decide_launch(launching).effect {
            Some(Effect::Error { code, status }) => Some((code, status)),
            _ => None,
        }
    };
    let refused = |(code, status)| planned("ec2:RunInstances", code, status);
    if let Some(anywhere) = refusal(None) {
        return Err(refused(anywhere));
    }
    let mut full = None;
    for zone in &request.zones {
        match refusal(Some(&*zone.name)) {
            None => return Ok(zone),
            Some(why) if why.0 == "InsufficientInstanceCapacity" => full = Some(why),
            Some(why) => return Err(refused(why)),
        }
    }
    let none = || Fault::internal("a launch without a zone");
    Err(full.map_or_else(none, refused))
}

/// Holds on to what the instance's disks are made from; where the twin plays the AMI, its root
/// device has no content.
fn keep_contents(
    call: &Call<'_>,
    request: &LaunchRequest,
    instance: &Instance,
) -> Result<(), Fault> {
    for (name, volume) in instance.volumes() {
        let played = name == ROOT && request.image.chain != Chain::Disk;
        if let Some(snapshot) = volume.device.snapshot_id.filter(|_| !played) {
            call.twin.store.keep_content(&snapshot, &instance.id, &name)?;
        }
    }
    Ok(())
}

fn volume(call: &Call<'_>, request: &LaunchRequest, zone: &Zone, device: &Device) -> Volume {
    Volume {
        id: format!("vol-0{}", random_hex(16)),
        device: device.clone(),
        zone: zone.name.clone(),
        created: call.now,
        tags: request.tags.volume.clone(),
    }
}

fn record(
    call: &Call<'_>,
    state: &State,
    request: &LaunchRequest,
    zone: &Zone,
    index: u32,
) -> Result<Instance, Fault> {
    let eni_id = format!("eni-0{}", random_hex(16));
    let (root, data) = request.root_and_data();
    let network = zone.network();
    let subnet_id = zone.subnet_id(&state.account.id);
    let public = !state.account.private_subnets.contains(&subnet_id);
    let host = free_host(state)?;
    Ok(Instance {
        id: format!("i-0{}", random_hex(16)),
        reservation_id: String::new(),
        launch_index: index,
        client_token: None,
        request_digest: String::new(),
        image_id: request.image.id.clone(),
        instance_type: request.type_name.clone(),
        architecture: request.image.architecture,
        boot_mode: request.boot_mode,
        image_boot_mode: request.image.boot_mode,
        chain: Some(request.image.chain),
        root_device: request.image.root_device.clone(),
        root: root.cloned(),
        data: data.iter().map(|device| volume(call, request, zone, device)).collect(),
        bare_metal: request.instance_type.is_bare_metal(),
        zone: zone.name.clone(),
        subnet_id,
        private_ip: format!("172.31.{network}.{host}"),
        public_ip: request.public_address.unwrap_or(public).then(|| format!("203.0.113.{host}")),
        mac: mac_of(&eni_id),
        eni_id,
        volume_id: format!("vol-0{}", random_hex(16)),
        key_name: None,
        state: InstanceState::Pending,
        state_reason: None,
        transition_reason: String::new(),
        created: call.now,
        launch_time: call.now,
        changed: call.now,
        user_data: request.user_data.clone(),
        tags: request.tags.instance.clone(),
        volume_tags: request.tags.volume.clone(),
        eni_tags: request.tags.network_interface.clone(),
        metadata: request.metadata.clone(),
        shutdown_behavior: request.shutdown_behavior,
        disable_api_termination: request.disable_api_termination,
        disable_api_stop: request.disable_api_stop,
        spot: request.spot.map(|can_be_stopped| Spot {
            request_id: format!("sir-{}", random_hex(8)),
            can_be_stopped,
            cancelled: false,
            tags: request.tags.spot_request.clone(),
        }),
        core_count: request.core_count,
        threads_per_core: request.threads_per_core,
        nested_virtualization: request.nested_virtualization,
        monitoring: request.monitoring,
        ebs_optimized: request.ebs_optimized,
        source_dest_check: true,
        asked: request.asked.clone(),
    })
}

/// The last number of an address that no other instance has, the lowest first. The first
/// addresses of a subnet, and its last, are EC2's own.
fn free_host(state: &State) -> Result<u8, Fault> {
    let alive = |instance: &&Instance| instance.state != InstanceState::Terminated;
    let last = |instance: &Instance| instance.private_ip.rsplit('.').next()?.parse::<u8>().ok();
    let taken: Vec<u8> = state.instances.values().filter(alive).filter_map(last).collect();
    (4..255).find(|host| !taken.contains(host)).ok_or_else(|| {
        let message = "There are not enough free addresses in the subnet to satisfy the request.";
        Fault::client("InsufficientFreeAddressesInSubnet", message)
    })
}
