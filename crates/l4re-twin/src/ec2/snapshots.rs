//! `DescribeSnapshots` and `DeleteSnapshot`. Snapshots are made by EBS direct and by copies
//! of AMIs.

use serde_json::{Value, json};

use super::actions::Call;
use super::filters::{self, Paths};
use super::ids;
use super::instances::{tag_set, time};
use super::pages::{page, refuse_pages_of_named};
use crate::fault::Fault;
use crate::state::{Blocks, Snapshot, SnapshotState, State};

const PATHS: Paths = &[
    ("description", "description"),
    ("encrypted", "encrypted"),
    ("owner-alias", "ownerAlias"),
    ("owner-id", "ownerId"),
    ("progress", "progress"),
    ("snapshot-id", "snapshotId"),
    ("start-time", "startTime"),
    ("status", "status"),
    ("storage-tier", "storageTier"),
    ("transfer-type", "transferType"),
    ("volume-id", "volumeId"),
    ("volume-size", "volumeSize"),
];

/// The snapshot of this id.
pub(super) fn find<'a>(state: &'a State, id: &str) -> Result<&'a Snapshot, Fault> {
    ids::check("snap-", id, "InvalidSnapshotID.Malformed")?;
    state.snapshots.get(id).ok_or_else(|| {
        let message = format!("The snapshot '{id}' does not exist.");
        Fault::client("InvalidSnapshot.NotFound", message)
    })
}

/// `DescribeSnapshots`: those of the account, since no other shares any with it.
pub(super) fn describe(call: &Call<'_>) -> Result<Value, Fault> {
    let root = call.root();
    let ids = root.list("SnapshotId");
    refuse_pages_of_named(&root, &ids, "snapshotSet")?;
    let state = call.twin.store.lock();
    for id in &ids {
        find(&state, id)?;
    }
    let account = state.account.id.clone();
    let mine = |names: &[&str]| {
        names.is_empty() || names.iter().any(|name| *name == "self" || *name == account)
    };
    let shown = mine(&root.list("Owner")) && mine(&root.list("RestorableBy"));
    let mut list: Vec<Value> = state
        .snapshots
        .values()
        .filter(|snapshot| shown && (ids.is_empty() || ids.contains(&snapshot.id.as_str())))
        .map(|snapshot| snapshot_value(snapshot, &account, call))
        .collect();
    drop(state);
    filters::retain(&mut list, &root, PATHS)?;
    let (list, next) = page(list, &root, 5..=1000)?;
    Ok(json!({ "snapshotSet": list, "nextToken": next }))
}

fn snapshot_value(snapshot: &Snapshot, account: &str, call: &Call<'_>) -> Value {
    let state = snapshot.state(call.now);
    let dir = call.twin.store.snapshot_dir(&snapshot.id);
    let bytes = Blocks(&dir).all().map_or(0, |blocks| blocks.len() * crate::state::BLOCK_SIZE);
    json!({
        "snapshotId": snapshot.id,
        // What EC2 says of snapshots that were made from no volume.
        "volumeId": "vol-ffffffff",
        "status": state.name(),
        "statusMessage": (state == SnapshotState::Error)
            .then_some("The snapshot was not completed in time"),
        "startTime": time(snapshot.started),
        "completionTime": snapshot
            .completed
            .filter(|_| state == SnapshotState::Completed)
            .map(time),
        "progress": if state == SnapshotState::Completed { "100%" } else { "0%" },
        "ownerId": account,
        "description": snapshot.description,
        "volumeSize": snapshot.size_gib,
        "fullSnapshotSizeInBytes": bytes,
        "encrypted": false,
        "sseType": "none",
        "storageTier": "standard",
        "transferType": "standard",
        "tagSet": tag_set(&snapshot.tags),
    })
}

/// `DeleteSnapshot`: not while an AMI needs it.
pub(super) fn delete(call: &Call<'_>) -> Result<Value, Fault> {
    let id = call.root().require("SnapshotId")?;
    let mut state = call.twin.store.lock();
    find(&state, id)?;
    if let Some(image) = user_of(&state, id) {
        let message = format!("The snapshot {id} is currently in use by {image}");
        return Err(Fault::client("InvalidSnapshot.InUse", message));
    }
    call.twin.store.remove_snapshot(&mut state, id)?;
    Ok(json!({ "return": true }))
}

/// The AMI that a snapshot belongs to.
pub(super) fn user_of<'a>(state: &'a State, snapshot: &str) -> Option<&'a str> {
    let uses = |image: &&crate::state::Image| {
        image.devices.iter().any(|device| device.snapshot_id.as_deref() == Some(snapshot))
    };
    state.images.iter().find(uses).map(|image| image.id.as_str())
}
