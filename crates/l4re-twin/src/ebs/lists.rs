//! Reading: `ListSnapshotBlocks`, `ListChangedBlocks`, `GetSnapshotBlock`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::refusals::{bad_parameter, invalid, no_snapshot};
use super::routes::Call;
use super::tokens;
use crate::fault::Fault;
use crate::service::{Content, Rest};
use crate::state::{BLOCK_SIZE, Blocks, Snapshot, SnapshotState};

/// `ListSnapshotBlocks`.
pub(super) fn blocks(call: &Call<'_>, id: &str) -> Result<Rest, Fault> {
    let snapshot = complete(call, id)?;
    let blocks = all(call, id)?;
    let expires = call.now + tokens::LIFE;
    let list = blocks.into_keys().map(|index| {
        let token = tokens::token(&call.twin.credentials, id, index, expires);
        (index, json!({ "BlockIndex": index, "BlockToken": token }))
    });
    page(call, "Blocks", &snapshot, expires, list)
}

/// `ListChangedBlocks`: what the second snapshot has otherwise than the first.
pub(super) fn changed(call: &Call<'_>, id: &str) -> Result<Rest, Fault> {
    let second = complete(call, id)?;
    let first = call.query("firstSnapshotId").map(|id| complete(call, &id)).transpose()?;
    if first.as_ref().is_some_and(|first| first.lineage != second.lineage) {
        let message = "The snapshots are of different lineage.";
        return Err(invalid("UNRELATED_SNAPSHOTS", message));
    }
    let old = first.as_ref().map(|first| all(call, &first.id)).transpose()?.unwrap_or_default();
    let new = all(call, id)?;
    let expires = call.now + tokens::LIFE;
    let token = |id: &str, index| tokens::token(&call.twin.credentials, id, index, expires);
    let changes = new.iter().filter(|(index, sum)| old.get(*index) != Some(*sum));
    let list = changes.map(|(index, _)| {
        let mut change = json!({ "BlockIndex": index, "SecondBlockToken": token(id, *index) });
        if let Some(first) = first.as_ref().filter(|_| old.contains_key(index)) {
            change["FirstBlockToken"] = token(&first.id, *index).into();
        }
        (*index, change)
    });
    page(call, "ChangedBlocks", &second, expires, list)
}

/// `GetSnapshotBlock`.
pub(super) fn get(call: &Call<'_>, id: &str, index: u32) -> Result<Rest, Fault> {
    complete(call, id)?;
    let token = call.query("blockToken").unwrap_or_default();
    let sum = all(call, id)?.get(&index).copied();
    let opens = tokens::opens(&token, &call.twin.credentials, id, index, call.now);
    let Some(sum) = sum.filter(|_| opens) else {
        return Err(invalid("INVALID_BLOCK_TOKEN", "The block token is invalid or has expired."));
    };
    let dir = call.twin.store.snapshot_dir(id);
    let bytes = Blocks(&dir).get(index).map_err(|error| Fault::internal(error.to_string()))?;
    let headers = vec![
        ("x-amz-data-length", bytes.len().to_string()),
        ("x-amz-checksum", STANDARD.encode(sum)),
        ("x-amz-checksum-algorithm", "SHA256".to_owned()),
    ];
    Ok(Rest { status: 200, headers, body: Content::Bytes(bytes) })
}

fn complete(call: &Call<'_>, id: &str) -> Result<Snapshot, Fault> {
    let state = call.twin.store.lock();
    let snapshot = state.snapshots.get(id).ok_or_else(|| no_snapshot(id))?;
    let now = snapshot.state(call.now);
    if now != SnapshotState::Completed {
        let message = format!("The snapshot '{id}' is {}, not completed.", now.name());
        return Err(invalid("INVALID_SNAPSHOT_ID", message));
    }
    Ok(snapshot.clone())
}

fn all(
    call: &Call<'_>,
    id: &str,
) -> Result<std::collections::BTreeMap<u32, crate::state::Sum>, Fault> {
    let dir = call.twin.store.snapshot_dir(id);
    Blocks(&dir).all().map_err(|error| Fault::internal(error.to_string()))
}

/// A page from the block on that is asked for, or that the last page ended before.
fn page(
    call: &Call<'_>,
    name: &str,
    snapshot: &Snapshot,
    expires: jiff::Timestamp,
    list: impl Iterator<Item = (u32, Value)>,
) -> Result<Rest, Fault> {
    let size = call.query_number("maxResults")?.unwrap_or(10_000);
    if !(100..=10_000).contains(&size) {
        return Err(bad_parameter("MaxResults must be between 100 and 10000."));
    }
    let start = match call.query("pageToken") {
        Some(token) => STANDARD
            .decode(&token)
            .ok()
            .and_then(|bytes| Some(u32::from_be_bytes(bytes.try_into().ok()?)))
            .ok_or_else(|| invalid("INVALID_PAGE_TOKEN", "The page token is invalid."))?,
        None => call.query_number("startingBlockIndex")?.unwrap_or(0),
    };
    let mut rest = list.filter(|(index, _)| *index >= start);
    let blocks: Vec<Value> = rest.by_ref().take(size as usize).map(|(_, block)| block).collect();
    let mut body = json!({
        name: blocks,
        "ExpiryTime": expires.as_second(),
        "VolumeSize": snapshot.size_gib,
        "BlockSize": BLOCK_SIZE,
    });
    if let Some((next, _)) = rest.next() {
        body["NextToken"] = STANDARD.encode(next.to_be_bytes()).into();
    }
    Ok(Rest { status: 200, headers: Vec::new(), body: Content::Json(body) })
}
