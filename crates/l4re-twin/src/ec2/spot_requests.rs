//! `DescribeSpotInstanceRequests` and `CancelSpotInstanceRequests`. A request is made by
//! `RunInstances`, is fulfilled at once, and is remembered as long as its instance.

use serde_json::{Value, json};

use super::actions::Call;
use super::filters::{self, Paths};
use super::instances::{tag_set, time};
use super::pages::{page, refuse_pages_of_named};
use crate::fault::Fault;
use crate::state::{Instance, InstanceState, Spot, State};

const PATHS: Paths = &[
    ("availability-zone", "launchedAvailabilityZone"),
    ("availability-zone-group", "availabilityZoneGroup"),
    ("create-time", "createTime"),
    ("fault-code", "fault.code"),
    ("fault-message", "fault.message"),
    ("instance-id", "instanceId"),
    ("launch-group", "launchGroup"),
    (
        "launch.block-device-mapping.delete-on-termination",
        "launchSpecification.blockDeviceMapping.ebs.deleteOnTermination",
    ),
    (
        "launch.block-device-mapping.device-name",
        "launchSpecification.blockDeviceMapping.deviceName",
    ),
    (
        "launch.block-device-mapping.snapshot-id",
        "launchSpecification.blockDeviceMapping.ebs.snapshotId",
    ),
    (
        "launch.block-device-mapping.volume-size",
        "launchSpecification.blockDeviceMapping.ebs.volumeSize",
    ),
    (
        "launch.block-device-mapping.volume-type",
        "launchSpecification.blockDeviceMapping.ebs.volumeType",
    ),
    ("launch.group-id", "launchSpecification.groupSet.groupId"),
    ("launch.group-name", "launchSpecification.groupSet.groupName"),
    ("launch.image-id", "launchSpecification.imageId"),
    ("launch.instance-type", "launchSpecification.instanceType"),
    ("launch.kernel-id", "launchSpecification.kernelId"),
    ("launch.key-name", "launchSpecification.keyName"),
    ("launch.monitoring-enabled", "launchSpecification.monitoring.enabled"),
    ("launch.ramdisk-id", "launchSpecification.ramdiskId"),
    ("launched-availability-zone", "launchedAvailabilityZone"),
    ("launched-availability-zone-id", "launchedAvailabilityZoneId"),
    (
        "network-interface.addresses.primary",
        "launchSpecification.networkInterfaceSet.privateIpAddressesSet.primary",
    ),
    (
        "network-interface.delete-on-termination",
        "launchSpecification.networkInterfaceSet.deleteOnTermination",
    ),
    ("network-interface.description", "launchSpecification.networkInterfaceSet.description"),
    ("network-interface.device-index", "launchSpecification.networkInterfaceSet.deviceIndex"),
    ("network-interface.group-id", "launchSpecification.networkInterfaceSet.groupSet.groupId"),
    (
        "network-interface.network-interface-id",
        "launchSpecification.networkInterfaceSet.networkInterfaceId",
    ),
    (
        "network-interface.private-ip-address",
        "launchSpecification.networkInterfaceSet.privateIpAddress",
    ),
    ("network-interface.subnet-id", "launchSpecification.networkInterfaceSet.subnetId"),
    ("product-description", "productDescription"),
    ("spot-instance-request-id", "spotInstanceRequestId"),
    ("spot-price", "spotPrice"),
    ("state", "state"),
    ("status-code", "status.code"),
    ("status-message", "status.message"),
    ("type", "type"),
    ("valid-from", "validFrom"),
    ("valid-until", "validUntil"),
];

/// `DescribeSpotInstanceRequests`.
pub(super) fn describe(call: &Call<'_>) -> Result<Value, Fault> {
    let root = call.root();
    let ids = root.list("SpotInstanceRequestId");
    refuse_pages_of_named(&root, &ids, "spotInstanceRequestSet")?;
    let state = call.twin.store.lock();
    check(&state, &ids)?;
    let mut list: Vec<Value> = requests(&state)
        .filter(|(_, spot)| ids.is_empty() || ids.contains(&spot.request_id.as_str()))
        .map(|(instance, spot)| request_value(instance, spot))
        .collect();
    drop(state);
    filters::retain(&mut list, &root, PATHS)?;
    let (list, next) = page(list, &root, 5..=1000)?;
    Ok(json!({ "spotInstanceRequestSet": list, "nextToken": next }))
}

/// `CancelSpotInstanceRequests`: the instances live on.
pub(super) fn cancel(call: &Call<'_>) -> Result<Value, Fault> {
    let ids = call.root().list("SpotInstanceRequestId");
    if ids.is_empty() {
        let message = "The request must contain the parameter SpotInstanceRequestId";
        return Err(Fault::client("MissingParameter", message));
    }
    let mut state = call.twin.store.lock();
    check(&state, &ids)?;
    let mut cancelled = Vec::new();
    for instance in state.instances.values_mut() {
        let Some(spot) = instance.spot.as_mut() else { continue };
        if ids.contains(&spot.request_id.as_str()) {
            spot.cancelled = true;
            cancelled.push(json!({
                "spotInstanceRequestId": spot.request_id, "state": "cancelled",
            }));
            call.twin.store.save(instance)?;
        }
    }
    Ok(json!({ "spotInstanceRequestSet": cancelled }))
}

fn requests(state: &State) -> impl Iterator<Item = (&Instance, &Spot)> {
    state.instances.values().filter_map(|instance| Some((instance, instance.spot.as_ref()?)))
}

fn check(state: &State, ids: &[&str]) -> Result<(), Fault> {
    let known = |id: &str| requests(state).any(|(_, spot)| spot.request_id == id);
    match ids.iter().find(|id| !known(id)) {
        None => Ok(()),
        Some(id) => {
            let message = format!("The spot instance request ID '{id}' does not exist");
            Err(Fault::client("InvalidSpotInstanceRequestID.NotFound", message))
        }
    }
}

fn request_value(instance: &Instance, spot: &Spot) -> Value {
    let ended = instance.state == InstanceState::Terminated;
    let (state, code) = match (spot.cancelled, ended) {
        (true, true) => ("cancelled", "instance-terminated-by-user"),
        (true, false) => ("cancelled", "request-canceled-and-instance-running"),
        (false, true) => ("closed", "instance-terminated-by-user"),
        (false, false) => ("active", "fulfilled"),
    };
    json!({
        "spotInstanceRequestId": spot.request_id,
        "instanceId": instance.id,
        "state": state,
        "status": {"code": code, "message": code, "updateTime": time(instance.changed)},
        "type": if spot.can_be_stopped { "persistent" } else { "one-time" },
        "instanceInterruptionBehavior": if spot.can_be_stopped { "stop" } else { "terminate" },
        "createTime": time(instance.created),
        "launchedAvailabilityZone": instance.zone,
        "productDescription": "Linux/UNIX",
        "launchSpecification": {
            "imageId": instance.image_id,
            "instanceType": instance.instance_type,
            "subnetId": instance.subnet_id,
            "placement": {"availabilityZone": instance.zone},
            "monitoring": {"enabled": instance.monitoring},
        },
        "tagSet": tag_set(&spot.tags),
    })
}
