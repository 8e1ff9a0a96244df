//! `DescribeVolumes` and `DeleteVolume`. A volume is an instance's root device: it is in use
//! as long as the instance is not terminated, and goes with it.

use serde_json::{Value, json};

use super::actions::Call;
use super::filters::{self, Paths};
use super::instances::{tag_set, time};
use super::network::zone_id;
use super::pages::{page, refuse_pages_of_named};
use crate::fault::Fault;
use crate::state::{Instance, InstanceState, State};

const PATHS: Paths = &[
    ("attachment.delete-on-termination", "attachmentSet.deleteOnTermination"),
    ("attachment.device", "attachmentSet.device"),
    ("attachment.instance-id", "attachmentSet.instanceId"),
    ("attachment.status", "attachmentSet.status"),
    ("availability-zone", "availabilityZone"),
    ("availability-zone-id", "availabilityZoneId"),
    ("create-time", "createTime"),
    ("encrypted", "encrypted"),
    ("multi-attach-enabled", "multiAttachEnabled"),
    ("size", "size"),
    ("snapshot-id", "snapshotId"),
    ("status", "status"),
    ("volume-id", "volumeId"),
    ("volume-type", "volumeType"),
];

/// `DescribeVolumes`.
pub(super) fn describe(call: &Call<'_>) -> Result<Value, Fault> {
    let root = call.root();
    let ids = root.list("VolumeId");
    refuse_pages_of_named(&root, &ids, "volumeSet")?;
    let state = call.twin.store.lock();
    for id in &ids {
        find(&state, id)?;
    }
    let mut list: Vec<Value> = with_volume(&state)
        .filter(|instance| ids.is_empty() || ids.contains(&instance.volume_id.as_str()))
        .map(volume_value)
        .collect();
    drop(state);
    filters::retain(&mut list, &root, PATHS)?;
    let (list, next) = page(list, &root, 5..=1000)?;
    Ok(json!({ "volumeSet": list, "nextToken": next }))
}

/// `DeleteVolume`: what there is, is in use.
pub(super) fn delete(call: &Call<'_>) -> Result<Value, Fault> {
    let state = call.twin.store.lock();
    let instance = find(&state, call.root().require("VolumeId")?)?;
    let message = format!("Volume {} is currently attached to {}", instance.volume_id, instance.id);
    Err(Fault::client("VolumeInUse", message))
}

fn with_volume(state: &State) -> impl Iterator<Item = &Instance> {
    state.instances.values().filter(|instance| instance.state != InstanceState::Terminated)
}

fn find<'a>(state: &'a State, id: &str) -> Result<&'a Instance, Fault> {
    if !id.starts_with("vol-") {
        let message = format!("Value ({id}) for parameter volumes is invalid.");
        return Err(Fault::client("InvalidParameterValue", message));
    }
    with_volume(state).find(|instance| instance.volume_id == id).ok_or_else(|| {
        Fault::client("InvalidVolume.NotFound", format!("The volume '{id}' does not exist."))
    })
}

fn volume_value(instance: &Instance) -> Value {
    let root = instance.root.as_ref();
    json!({
        "volumeId": instance.volume_id,
        "size": root.map_or(1, |root| root.size_gib),
        "snapshotId": root.and_then(|root| root.snapshot_id.as_deref()).unwrap_or_default(),
        "availabilityZone": instance.zone,
        "availabilityZoneId": zone_id(&instance.zone),
        "status": "in-use",
        "createTime": time(instance.created),
        "volumeType": root.map_or("gp2", |root| &root.volume_type),
        "encrypted": false,
        "multiAttachEnabled": false,
        "attachmentSet": [{
            "volumeId": instance.volume_id,
            "instanceId": instance.id,
            "device": instance.root_device,
            "status": "attached",
            "attachTime": time(instance.created),
            "deleteOnTermination": true,
        }],
        "tagSet": tag_set(&instance.volume_tags),
    })
}
