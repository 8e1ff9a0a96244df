//! Writing: `StartSnapshot`, `PutSnapshotBlock`, `CompleteSnapshot`.
//!
//! Invariant: a block that was answered is whole, in its place and noted; a snapshot that is
//! complete has all blocks that its writer counted.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::refusals::{bad_parameter, invalid, no_snapshot};
use super::routes::{Call, number};
use crate::fault::Fault;
use crate::service::{Content, Rest};
use crate::state::{BLOCK_SIZE, Blocks, Snapshot, SnapshotState, State, Sum, Tags, random_hex};

/// EBS's largest volume in GiB.
const MAX_SIZE: u64 = 65_536;
const BLOCKS_PER_GIB: u64 = (1 << 30) / BLOCK_SIZE as u64;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct StartRequest {
    volume_size: u64,
    parent_snapshot_id: Option<String>,
    #[serde(default)]
    tags: Vec<Tag>,
    #[serde(default)]
    description: String,
    client_token: Option<String>,
    #[serde(default)]
    encrypted: bool,
    kms_key_arn: Option<String>,
    timeout: Option<i64>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Tag {
    key: String,
    #[serde(default)]
    value: String,
}

/// `StartSnapshot`.
pub(super) fn start(call: &Call<'_>) -> Result<Rest, Fault> {
    let mut request: StartRequest = serde_json::from_slice(call.body)
        .map_err(|error| bad_parameter(format!("The request is not of its form: {error}")))?;
    let token = request.client_token.take();
    let tags = check(&request)?;
    let digest = hex::encode(Sha256::digest(format!("{request:?}")));
    let mut state = call.twin.store.lock();
    if token.is_some()
        && let Some(before) = state.snapshots.values().find(|old| old.client_token == token)
    {
        if before.request_digest != digest {
            let message = "The client token was used for another request.";
            return Err(Fault::new(503, "ConflictException", message));
        }
        return Ok(started(before, &state, call.now));
    }
    let parent = request.parent_snapshot_id.as_deref();
    let parent = parent.map(|id| usable_parent(call, &state, id, request.volume_size));
    let parent = parent.transpose()?;
    let id = format!("snap-0{}", random_hex(16));
    let dir = call.twin.store.snapshot_dir(&id);
    let parent_dir = parent.as_ref().map(|parent| call.twin.store.snapshot_dir(&parent.id));
    Blocks(&dir)
        .create(request.volume_size, parent_dir.as_deref().map(Blocks))
        .map_err(|error| Fault::internal(error.to_string()))?;
    let minutes = jiff::SignedDuration::from_mins(request.timeout.unwrap_or(60));
    let snapshot = Snapshot {
        lineage: parent.as_ref().map_or(id.clone(), |parent| parent.lineage.clone()),
        parent: parent.map(|parent| parent.id),
        description: request.description,
        size_gib: request.volume_size,
        started: call.now,
        completed: None,
        expires: call.now + minutes,
        tags,
        played: None,
        client_token: token,
        request_digest: digest,
        id,
    };
    let answer = started(&snapshot, &state, call.now);
    call.twin.store.insert_snapshot(&mut state, snapshot)?;
    Ok(answer)
}

fn check(request: &StartRequest) -> Result<Tags, Fault> {
    if !(1..=MAX_SIZE).contains(&request.volume_size) {
        let message = format!("The volume size must be between 1 and {MAX_SIZE} GiB.");
        return Err(invalid("INVALID_VOLUME_SIZE", message));
    }
    if request.encrypted || request.kms_key_arn.is_some() {
        let message = "The twin encrypts no snapshots.";
        return Err(invalid("INVALID_CUSTOMER_KEY", message));
    }
    if request.timeout.is_some_and(|timeout| !(10..=4320).contains(&timeout)) {
        return Err(bad_parameter("The time-out must be between 10 and 4320 minutes."));
    }
    if request.description.chars().count() > 255 {
        return Err(bad_parameter("The description is limited to 255 characters."));
    }
    let pairs = request.tags.iter().map(|tag| (tag.key.as_str(), tag.value.as_str()));
    crate::ec2::checked_tags(pairs).map_err(|fault| invalid("INVALID_TAG", fault.message))
}

fn usable_parent(call: &Call<'_>, state: &State, id: &str, size: u64) -> Result<Snapshot, Fault> {
    let parent = state.snapshots.get(id).ok_or_else(|| no_snapshot(id))?;
    if parent.state(call.now) != SnapshotState::Completed {
        let message = format!("The parent snapshot '{id}' is not completed.");
        return Err(invalid("INVALID_SNAPSHOT_ID", message));
    }
    if size < parent.size_gib {
        let message = format!("The parent snapshot '{id}' is of {} GiB.", parent.size_gib);
        return Err(invalid("INVALID_VOLUME_SIZE", message));
    }
    Ok(parent.clone())
}

fn started(snapshot: &Snapshot, state: &State, now: jiff::Timestamp) -> Rest {
    let tags: Vec<_> =
        snapshot.tags.iter().map(|(key, value)| json!({ "Key": key, "Value": value })).collect();
    let mut body = json!({
        "SnapshotId": snapshot.id,
        "OwnerId": state.account.id,
        "Status": snapshot.state(now).name(),
        "StartTime": snapshot.started.as_second(),
        "VolumeSize": snapshot.size_gib,
        "BlockSize": BLOCK_SIZE,
        "Description": snapshot.description,
        "Tags": tags,
        "SseType": "none",
    });
    if let Some(parent) = &snapshot.parent {
        body["ParentSnapshotId"] = parent.as_str().into();
    }
    Rest { status: 201, headers: Vec::new(), body: Content::Json(body) }
}

/// `PutSnapshotBlock`.
pub(super) fn put(call: &Call<'_>, id: &str, index: u32) -> Result<Rest, Fault> {
    let sum = block_sum(call)?;
    let snapshot = written(call, id)?;
    if u64::from(index) >= snapshot.size_gib * BLOCKS_PER_GIB {
        let message = format!("The block {index} is outside of {} GiB.", snapshot.size_gib);
        return Err(invalid("INVALID_BLOCK", message));
    }
    let dir = call.twin.store.snapshot_dir(id);
    Blocks(&dir).put(index, call.body, sum).map_err(|error| Fault::internal(error.to_string()))?;
    let headers = vec![
        ("x-amz-checksum", STANDARD.encode(sum)),
        ("x-amz-checksum-algorithm", "SHA256".to_owned()),
    ];
    Ok(Rest { status: 201, headers, body: Content::Json(json!({})) })
}

/// The sum of the body, if the request claims the same.
fn block_sum(call: &Call<'_>) -> Result<Sum, Fault> {
    let length = number("DataLength", call.header("x-amz-data-length")?)? as usize;
    if length != BLOCK_SIZE || call.body.len() != length {
        return Err(invalid(
            "INVALID_BLOCK",
            format!("Blocks have {BLOCK_SIZE} bytes; this one has {}.", call.body.len()),
        ));
    }
    let algorithm = call.header("x-amz-checksum-algorithm")?;
    if algorithm != "SHA256" {
        return Err(bad_parameter(format!("The checksum algorithm is SHA256, not {algorithm}.")));
    }
    let sum: Sum = Sha256::digest(call.body).into();
    if call.header("x-amz-checksum")? != STANDARD.encode(sum) {
        let message = "The checksum is not that of the block's data.";
        return Err(invalid("INVALID_BLOCK", message));
    }
    Ok(sum)
}

/// `CompleteSnapshot`.
pub(super) fn complete(call: &Call<'_>, id: &str) -> Result<Rest, Fault> {
    let count = number("ChangedBlocksCount", call.header("x-amz-changedblockscount")?)?;
    written(call, id)?;
    let dir = call.twin.store.snapshot_dir(id);
    let blocks = Blocks(&dir).own().map_err(|error| Fault::internal(error.to_string()))?;
    if blocks.len() != count as usize {
        return Err(bad_parameter(format!(
            "ChangedBlocksCount is {count}, but {} blocks were put.",
            blocks.len()
        )));
    }
    if let Ok(claimed) = call.header("x-amz-checksum") {
        let mut all = Sha256::new();
        blocks.values().for_each(|sum| all.update(sum));
        if claimed != STANDARD.encode(all.finalize()) {
            return Err(bad_parameter("The checksum is not that of all blocks' checksums."));
        }
    }
    let mut state = call.twin.store.lock();
    let snapshot = state.snapshots.get_mut(id).ok_or_else(|| no_snapshot(id))?;
    let delay = call.twin.config.timing.snapshot;
    snapshot.completed = Some(call.now.saturating_add(delay).unwrap_or(call.now));
    call.twin.store.save_snapshot(snapshot)?;
    // EBS seals it first, however quick it is then.
    let body = Content::Json(json!({ "Status": "pending" }));
    Ok(Rest { status: 202, headers: Vec::new(), body })
}

/// A snapshot to which blocks can be put.
fn written(call: &Call<'_>, id: &str) -> Result<Snapshot, Fault> {
    let state = call.twin.store.lock();
    let snapshot = state.snapshots.get(id).ok_or_else(|| no_snapshot(id))?;
    if !snapshot.is_written(call.now) {
        let message = format!(
            "The snapshot '{id}' is {} and takes no blocks.",
            snapshot.state(call.now).name()
        );
        return Err(invalid("INVALID_SNAPSHOT_ID", message));
    }
    Ok(snapshot.clone())
}
