//! `DescribeInstances` and `DescribeInstanceStatus`, and an instance as EC2 writes it.

use serde_json::{Map, Value, json};

use super::actions::Call;
use super::filters::{self, Paths};
use super::instance_filters::PATHS;
use super::network::{security_group_id, vpc_id, zone_id};
use super::pages::{page, refuse_pages_of_named};
use super::volumes::mapping_value;
use super::{ids, instance_types, kept_options};
use crate::fault::Fault;
use crate::state::{Architecture, BootMode, Instance, InstanceState, State, Tags};

const STATUS_PATHS: Paths = &[
    ("application-status.status", "applicationStatus.status"),
    ("attached-ebs-status.status", "attachedEbsStatus.status"),
    ("availability-zone", "availabilityZone"),
    ("availability-zone-id", "availabilityZoneId"),
    ("event.code", "eventsSet.code"),
    ("event.description", "eventsSet.description"),
    ("event.instance-event-id", "eventsSet.instanceEventId"),
    ("event.not-after", "eventsSet.notAfter"),
    ("event.not-before", "eventsSet.notBefore"),
    ("event.not-before-deadline", "eventsSet.notBeforeDeadline"),
    ("instance-state-code", "instanceState.code"),
    ("instance-state-name", "instanceState.name"),
    ("instance-status.reachability", "instanceStatus.details.status"),
    ("instance-status.status", "instanceStatus.status"),
    ("operator.managed", "operator.managed"),
    ("operator.principal", "operator.principal"),
    ("system-status.reachability", "systemStatus.details.status"),
    ("system-status.status", "systemStatus.status"),
];

/// EC2's NotFound for instances that are none, or are too new to be known everywhere.
pub(super) fn check_ids(state: &State, ids: &[&str], call: &Call<'_>) -> Result<(), Fault> {
    for id in ids {
        ids::check("i-", id, "InvalidInstanceID.Malformed")?;
    }
    let known = |id: &str| {
        state.instances.get(id).is_some_and(|instance| is_known_everywhere(instance, call))
    };
    let unknown: Vec<&str> = ids.iter().copied().filter(|id| !known(id)).collect();
    let message = match unknown.as_slice() {
        [] => return Ok(()),
        [id] => format!("The instance ID '{id}' does not exist"),
        many => format!("The instance IDs '{}' do not exist", many.join(", ")),
    };
    Err(Fault::client("InvalidInstanceID.NotFound", message))
}

/// EC2's eventual consistency: a new instance takes a while to be seen by all calls.
fn is_known_everywhere(instance: &Instance, call: &Call<'_>) -> bool {
    let delay = call.twin.config.timing.consistency;
    let delay = jiff::SignedDuration::try_from(delay).unwrap_or(jiff::SignedDuration::MAX);
    call.now.duration_since(instance.created) >= delay
}

/// `DescribeInstances`.
pub(super) fn describe(call: &Call<'_>) -> Result<Value, Fault> {
    let root = call.root();
    let ids = root.list("InstanceId");
    refuse_pages_of_named(&root, &ids, "instancesSet")?;
    let state = call.twin.store.lock();
    check_ids(&state, &ids, call)?;
    let account = state.account.id.clone();
    let mut instances: Vec<Value> = state
        .instances
        .values()
        .filter(|instance| ids.is_empty() || ids.contains(&instance.id.as_str()))
        .filter(|instance| is_known_everywhere(instance, call))
        .map(|instance| with_unshown(instance, &account, &call.twin.config.region))
        .collect();
    drop(state);
    filters::retain(&mut instances, &root, PATHS)?;
    let (reservations, next) = page(by_reservation(instances, &account), &root, 5..=1000)?;
    Ok(json!({ "reservationSet": reservations, "nextToken": next }))
}

/// What is filtered by and is not in an instance's tree: it is there until they are grouped.
const UNSHOWN: &str = "unshown";

fn with_unshown(instance: &Instance, account: &str, region: &str) -> Value {
    let mut value = instance_value(instance, account, region);
    value[UNSHOWN] = json!({
        "reservationId": instance.reservation_id,
        "ownerId": account,
        "eniTagSet": tag_set(&instance.eni_tags),
        "never": false,
    });
    value
}

fn by_reservation(instances: Vec<Value>, account: &str) -> Vec<Value> {
    let mut groups: Map<String, Value> = Map::new();
    for mut instance in instances {
        let unshown = instance.as_object_mut().and_then(|members| members.remove(UNSHOWN));
        let id = unshown.as_ref().and_then(|unshown| unshown["reservationId"].as_str());
        let id = id.unwrap_or_default().to_owned();
        let group = groups.entry(id.clone()).or_insert_with(
            || json!({"reservationId": id, "ownerId": account, "groupSet": [], "instancesSet": []}),
        );
        if let Some(set) = group["instancesSet"].as_array_mut() {
            set.push(instance);
        }
    }
    groups.into_iter().map(|(_, group)| group).collect()
}

/// A reservation as `RunInstances` answers it.
pub(super) fn reservation_value(instances: &[Instance], account: &str, region: &str) -> Value {
    let set: Vec<Value> =
        instances.iter().map(|instance| instance_value(instance, account, region)).collect();
    json!({
        "reservationId": instances.first().map(|instance| instance.reservation_id.as_str()),
        "ownerId": account,
        "groupSet": [],
        "instancesSet": set,
    })
}

/// Tags as EC2 lists them.
pub(super) fn tag_set(tags: &Tags) -> Value {
    tags.iter().map(|(key, value)| json!({"key": key, "value": value})).collect()
}

/// A state as EC2 writes it.
pub(super) fn state_value(state: InstanceState) -> Value {
    let (code, name) = state.code_and_name();
    json!({"code": code, "name": name})
}

/// EC2's time stamps.
pub(super) fn time(timestamp: jiff::Timestamp) -> String {
    timestamp.strftime("%Y-%m-%dT%H:%M:%S.000Z").to_string()
}

/// The metadata options as EC2 writes them.
pub(super) fn metadata_value(instance: &Instance) -> Value {
    let options = &instance.metadata;
    let enabled = |on: bool| if on { "enabled" } else { "disabled" };
    json!({
        "state": "applied",
        "httpTokens": if options.tokens_required { "required" } else { "optional" },
        "httpPutResponseHopLimit": options.hop_limit,
        "httpEndpoint": enabled(options.endpoint_enabled),
        "httpProtocolIpv6": "disabled",
        "instanceMetadataTags": enabled(options.tags_enabled),
    })
}

fn instance_value(instance: &Instance, account: &str, region: &str) -> Value {
    let mut value = identity(instance, region);
    kept_options::show(&instance.asked, &mut value);
    let alive = instance.state != InstanceState::Terminated;
    let groups = json!([{"groupId": security_group_id(account), "groupName": "default"}]);
    if alive {
        value["networkInterfaceSet"] = json!([interface(instance, account, region, &groups)]);
        value["blockDeviceMapping"] =
            instance.volumes().map(|(_, volume)| mapping_value(&volume)).collect();
        value["groupSet"] = groups;
        value["subnetId"] = instance.subnet_id.clone().into();
        value["vpcId"] = vpc_id(account).into();
        value["privateIpAddress"] = instance.private_ip.clone().into();
        if instance.state == InstanceState::Running {
            value["ipAddress"] = instance.public_ip.clone().into();
            value["dnsName"] = public_dns(instance, region).unwrap_or_default().into();
        }
    }
    value
}

fn identity(instance: &Instance, region: &str) -> Value {
    let kind = instance_types::find(&instance.instance_type).ok();
    let (cores, threads) = kind.map_or((1, 1), instance_types::InstanceType::cores_and_threads);
    json!({
        "instanceId": instance.id,
        "imageId": instance.image_id,
        "instanceState": state_value(instance.state),
        "stateReason": instance.state_reason.as_ref().map(|reason| {
            json!({"code": reason.code, "message": reason.message})
        }),
        "reason": instance.transition_reason,
        "privateDnsName": private_dns(instance, region),
        "dnsName": "",
        "keyName": instance.key_name,
        "amiLaunchIndex": instance.launch_index,
        "productCodes": [],
        "instanceType": instance.instance_type,
        "launchTime": time(instance.launch_time),
        "placement": {
            "availabilityZone": instance.zone,
            "availabilityZoneId": zone_id(&instance.zone),
            "groupName": "",
            "tenancy": "default",
        },
        "monitoring": { "state": if instance.monitoring { "enabled" } else { "disabled" } },
        "architecture": instance.architecture.name(),
        "bootMode": instance.image_boot_mode.map(BootMode::name),
        "currentInstanceBootMode": instance.boot_mode.name(),
        "clientToken": instance.client_token.clone().unwrap_or_default(),
        "ebsOptimized": instance.ebs_optimized,
        "enaSupport": true,
        "hypervisor": "xen",
        "instanceLifecycle": instance.spot.as_ref().map(|_| "spot"),
        "spotInstanceRequestId": instance.spot.as_ref().map(|spot| spot.request_id.clone()),
        "rootDeviceName": instance.root_device,
        "rootDeviceType": "ebs",
        "sourceDestCheck": instance.source_dest_check,
        "tagSet": tag_set(&instance.tags),
        "virtualizationType": "hvm",
        "platformDetails": "Linux/UNIX",
        "usageOperation": "RunInstances",
        "usageOperationUpdateTime": time(instance.launch_time),
        "cpuOptions": {
            "coreCount": instance.core_count.map_or(cores, u64::from),
            "threadsPerCore": instance.threads_per_core.map_or(threads, u64::from),
            "nestedVirtualization": nested(instance),
        },
        "hibernationOptions": { "configured": false },
        "enclaveOptions": { "enabled": false },
        "operator": { "managed": false },
        "metadataOptions": metadata_value(instance),
    })
}

fn nested(instance: &Instance) -> Option<&'static str> {
    (instance.architecture == Architecture::X86_64 && instance.nested_virtualization)
        .then_some("enabled")
}

fn private_dns(instance: &Instance, region: &str) -> String {
    if instance.state == InstanceState::Terminated {
        return String::new();
    }
    let domain = match region {
        "us-east-1" => "ec2.internal".to_owned(),
        region => format!("{region}.compute.internal"),
    };
    match kept_options::is_named_by_id(&instance.asked) {
        true => format!("{}.{domain}", instance.id),
        false => format!("ip-{}.{domain}", instance.private_ip.replace('.', "-")),
    }
}

/// The name of the public address, while the instance has one.
fn public_dns(instance: &Instance, region: &str) -> Option<String> {
    let address = instance.public_ip.as_ref().filter(|address| !address.is_empty())?;
    let domain = match region {
        "us-east-1" => "compute-1".to_owned(),
        region => format!("{region}.compute"),
    };
    Some(format!("ec2-{}.{domain}.amazonaws.com", address.replace('.', "-")))
}

fn interface(instance: &Instance, account: &str, region: &str, groups: &Value) -> Value {
    let running = instance.state == InstanceState::Running;
    let public = public_dns(instance, region).filter(|_| running).map(|name| {
        json!({"ipOwnerId": "amazon", "publicDnsName": name, "publicIp": instance.public_ip})
    });
    let private_name = private_dns(instance, region);
    json!({
        "association": public,
        "description": "",
        "operator": { "managed": false },
        "privateDnsName": private_name,
        "networkInterfaceId": instance.eni_id,
        "subnetId": instance.subnet_id,
        "vpcId": vpc_id(account),
        "ownerId": account,
        "status": "in-use",
        "macAddress": instance.mac,
        "privateIpAddress": instance.private_ip,
        "sourceDestCheck": instance.source_dest_check,
        "groupSet": groups,
        "interfaceType": "interface",
        "attachment": {
            "attachmentId": format!("eni-attach-{}", &instance.eni_id["eni-".len()..]),
            "deviceIndex": 0,
            "networkCardIndex": 0,
            "status": "attached",
            "attachTime": time(instance.launch_time),
            "deleteOnTermination": true,
        },
        "privateIpAddressesSet": [{
            "association": public,
            "primary": true,
            "privateDnsName": private_name,
            "privateIpAddress": instance.private_ip,
        }],
        "ipv6AddressesSet": [],
    })
}

/// `DescribeInstanceStatus`.
pub(super) fn describe_status(call: &Call<'_>) -> Result<Value, Fault> {
    let root = call.root();
    let ids = root.list("InstanceId");
    let all = root.flag("IncludeAllInstances")?;
    refuse_pages_of_named(&root, &ids, "instancesSet")?;
    let state = call.twin.store.lock();
    check_ids(&state, &ids, call)?;
    let mut list: Vec<Value> = state
        .instances
        .values()
        .filter(|instance| ids.is_empty() || ids.contains(&instance.id.as_str()))
        .filter(|instance| all || instance.state == InstanceState::Running)
        .map(status_value)
        .collect();
    drop(state);
    filters::retain(&mut list, &root, STATUS_PATHS)?;
    let (list, next) = page(list, &root, 5..=1000)?;
    Ok(json!({ "instanceStatusSet": list, "nextToken": next }))
}

fn status_value(instance: &Instance) -> Value {
    let running = instance.state == InstanceState::Running;
    let summary = if running {
        json!({"status": "ok", "details": [{"name": "reachability", "status": "passed"}]})
    } else {
        json!({"status": "not-applicable"})
    };
    json!({
        "instanceId": instance.id,
        "availabilityZone": instance.zone,
        "availabilityZoneId": zone_id(&instance.zone),
        "instanceState": state_value(instance.state),
        "instanceStatus": summary,
        "systemStatus": summary,
        "attachedEbsStatus": summary,
        "eventsSet": [],
    })
}
