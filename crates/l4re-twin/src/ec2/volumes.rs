//! `DescribeVolumes` and `DeleteVolume`. Volumes are made by launches: one is in use as long as
//! its instance is not terminated, and goes with it or is available from then on.

use serde_json::{Value, json};

use super::actions::Call;
use super::filters::{self, Paths};
use super::instances::{tag_set, time};
use super::network::zone_id;
use super::pages::{page, refuse_pages_of_named};
use crate::fault::Fault;
use crate::state::{Instance, InstanceState, State, Volume};

const PATHS: Paths = &[
    ("attachment.attach-time", "attachmentSet.attachTime"),
    ("attachment.delete-on-termination", "attachmentSet.deleteOnTermination"),
    ("attachment.device", "attachmentSet.device"),
    ("attachment.instance-id", "attachmentSet.instanceId"),
    ("attachment.status", "attachmentSet.status"),
    ("availability-zone", "availabilityZone"),
    ("availability-zone-id", "availabilityZoneId"),
    ("create-time", "createTime"),
    ("encrypted", "encrypted"),
    ("fast-restored", "fastRestored"),
    ("multi-attach-enabled", "multiAttachEnabled"),
    ("operator.managed", "operator.managed"),
    ("operator.principal", "operator.principal"),
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
    settle(call)?;
    let state = call.twin.store.lock();
    for id in &ids {
        find(&state, id)?;
    }
    let mut list: Vec<Value> = all(&state)
        .filter(|(volume, _)| ids.is_empty() || ids.contains(&volume.id.as_str()))
        .map(|(volume, instance)| volume_value(&volume, instance))
        .collect();
    drop(state);
    filters::retain(&mut list, &root, PATHS)?;
    let (list, next) = page(list, &root, 5..=1000)?;
    Ok(json!({ "volumeSet": list, "nextToken": next }))
}

/// `DeleteVolume`: not while an instance has it.
pub(super) fn delete(call: &Call<'_>) -> Result<Value, Fault> {
    let id = call.root().require("VolumeId")?;
    settle(call)?;
    let mut state = call.twin.store.lock();
    if let (volume, Some(instance)) = find(&state, id)? {
        let message = format!("Volume {} is currently attached to {}", volume.id, instance.id);
        return Err(Fault::client("VolumeInUse", message));
    }
    call.twin.store.remove_volume(&mut state, id)?;
    Ok(json!({ "return": true }))
}

/// Volumes that outlive an instance are on their own before anybody looks, however short a time
/// ago it ended.
fn settle(call: &Call<'_>) -> Result<(), Fault> {
    let store = &call.twin.store;
    let ended: Vec<String> = {
        let state = store.lock();
        let ended = |instance: &&Instance| {
            instance.state == InstanceState::Terminated && instance.keeps_volumes()
        };
        state.instances.values().filter(ended).map(|instance| instance.id.clone()).collect()
    };
    ended.iter().try_for_each(|id| store.release_volumes(id))
}

/// All volumes, with the instance of those that have one.
fn all(state: &State) -> impl Iterator<Item = (Volume, Option<&Instance>)> {
    let alive = |instance: &&Instance| instance.state != InstanceState::Terminated;
    let attached =
        state.instances.values().filter(alive).flat_map(|instance| {
            instance.volumes().map(move |(_, volume)| (volume, Some(instance)))
        });
    attached.chain(state.volumes.values().map(|volume| (volume.clone(), None)))
}

fn find<'a>(state: &'a State, id: &str) -> Result<(Volume, Option<&'a Instance>), Fault> {
    if !id.starts_with("vol-") {
        let message = format!("Value ({id}) for parameter volumes is invalid.");
        return Err(Fault::client("InvalidParameterValue", message));
    }
    all(state).find(|(volume, _)| volume.id == id).ok_or_else(|| {
        Fault::client("InvalidVolume.NotFound", format!("The volume '{id}' does not exist."))
    })
}

/// What a volume is to an instance, as EC2 writes it there.
pub(super) fn mapping_value(volume: &Volume) -> Value {
    json!({
        "deviceName": volume.device.name,
        "ebs": {
            "volumeId": volume.id,
            "status": "attached",
            "attachTime": time(volume.created),
            "deleteOnTermination": volume.device.delete_on_termination,
        },
    })
}

fn volume_value(volume: &Volume, instance: Option<&Instance>) -> Value {
    let attachments: Vec<Value> = instance
        .into_iter()
        .map(|instance| {
            json!({
                "volumeId": volume.id,
                "instanceId": instance.id,
                "device": volume.device.name,
                "status": "attached",
                "attachTime": time(volume.created),
                "deleteOnTermination": volume.device.delete_on_termination,
            })
        })
        .collect();
    json!({
        "volumeId": volume.id,
        "size": volume.device.size_gib,
        "snapshotId": volume.device.snapshot_id.as_deref().unwrap_or_default(),
        "availabilityZone": volume.zone,
        "availabilityZoneId": zone_id(&volume.zone),
        "status": if instance.is_some() { "in-use" } else { "available" },
        "createTime": time(volume.created),
        "volumeType": volume.device.volume_type,
        "encrypted": false,
        "multiAttachEnabled": false,
        "attachmentSet": attachments,
        "tagSet": tag_set(&volume.tags),
    })
}

#[cfg(test)]
mod tests;
