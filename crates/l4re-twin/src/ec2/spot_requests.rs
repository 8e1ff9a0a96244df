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
    ("create-time", "createTime"),
    ("instance-id", "instanceId"),
    ("launch.image-id", "launchSpecification.imageId"),
    ("launch.instance-type", "launchSpecification.instanceType"),
    ("launched-availability-zone", "launchedAvailabilityZone"),
    ("product-description", "productDescription"),
    ("spot-instance-request-id", "spotInstanceRequestId"),
    ("state", "state"),
    ("status-code", "status.code"),
    ("type", "type"),
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
