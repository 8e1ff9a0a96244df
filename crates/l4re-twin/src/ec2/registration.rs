//! AMIs that come and go: `RegisterImage`, `CopyImage`, `DeregisterImage`.
//!
//! Invariant: an AMI's root device is a complete snapshot of the twin; a copy of an AMI that
//! the twin plays knows which, and so does an AMI that is registered from its snapshot.

use serde_json::{Value, json};

use super::actions::Call;
use super::instances::time;
use super::launch_request::client_token;
use super::snapshots::user_of;
use super::tags::tags_of;
use super::{block_devices, images};
use crate::fault::Fault;
use crate::query::Scope;
use crate::state::{
    Architecture, Blocks, BootMode, Chain, Device, Image, Snapshot, State, Tags, random_hex,
};

/// `RegisterImage`.
pub(super) fn register(call: &Call<'_>) -> Result<Value, Fault> {
    let root = call.root();
    let mut state = call.twin.store.lock();
    let name = name(&root, &state)?;
    let architecture = architecture(&root)?;
    let root_device = root.get("RootDeviceName").unwrap_or("/dev/sda1").to_owned();
    let devices = block_devices::registered(&root, &state, call.now)?;
    let root_snapshot = devices.iter().find(|device| device.name == root_device);
    let Some(root_snapshot) = root_snapshot.and_then(|device| device.snapshot_id.as_ref()) else {
        return Err(Fault::client(
            "InvalidBlockDeviceMapping",
            format!("The root device {root_device} has no snapshot in the block device mapping."),
        ));
    };
    let [tags] = tags_of(&root, ["image"])?;
    let boot_mode = boot_mode(&root, architecture)?;
    let played = state.snapshots.get(root_snapshot).and_then(|snapshot| snapshot.played);
    let chain = played.filter(|chain| chain.fits(architecture, boot_mode)).unwrap_or(Chain::Disk);
    let image = Image {
        id: format!("ami-0{}", random_hex(16)),
        name,
        description: description(&root)?,
        owner: state.account.id.clone(),
        architecture,
        boot_mode,
        created: time(call.now),
        public: false,
        tags,
        chain,
        root_device,
        devices,
        ena_support: root.flag("EnaSupport")?,
        sriov_support: only(&root, "SriovNetSupport", "simple")?,
        tokens_required: only(&root, "ImdsSupport", "v2.0")?,
        tpm_support: only(&root, "TpmSupport", "v2.0")?,
        source: None,
        client_token: None,
        seeded: false,
    };
    let id = image.id.clone();
    call.twin.store.insert_image(&mut state, image)?;
    Ok(json!({ "imageId": id }))
}

/// `CopyImage`: within the twin's region, the only one that there is.
pub(super) fn copy(call: &Call<'_>) -> Result<Value, Fault> {
    let root = call.root();
    let token = client_token(&root)?.map(str::to_owned);
    if root.flag("Encrypted")? || root.get("KmsKeyId").is_some() {
        let message = "The twin encrypts no snapshots";
        return Err(Fault::client("UnsupportedOperation", message));
    }
    let mut state = call.twin.store.lock();
    let source = images::find(&state, root.require("SourceImageId")?)?.clone();
    let region = root.require("SourceRegion")?;
    if region != call.twin.config.region {
        let message = format!("The twin has no region {region} to copy from");
        return Err(Fault::client("InvalidRequest", message));
    }
    if let Some(before) =
        state.images.iter().find(|image| token.is_some() && image.client_token == token)
    {
        let same = before.source.as_ref().is_some_and(|(id, _)| *id == source.id)
            && root.get("Name") == Some(&before.name);
        if same {
            return Ok(json!({ "imageId": before.id }));
        }
        let message = "The client token was used for another copy";
        return Err(Fault::client("IdempotentParameterMismatch", message));
    }
    let name = name(&root, &state)?;
    let [mut tags, snapshot_tags] = tags_of(&root, ["image", "snapshot"])?;
    if root.flag("CopyImageTags")? {
        let own = source.tags.iter().filter(|(key, _)| !tags.contains_key(*key));
        let own: Vec<_> = own.map(|(key, value)| (key.clone(), value.clone())).collect();
        tags.extend(own);
    }
    let id = format!("ami-0{}", random_hex(16));
    let devices = copy_devices(call, &mut state, &source, &id, &snapshot_tags)?;
    let image = Image {
        id: id.clone(),
        name,
        description: description(&root)?,
        owner: state.account.id.clone(),
        created: time(call.now),
        public: false,
        tags,
        devices,
        source: Some((source.id.clone(), region.to_owned())),
        client_token: token,
        seeded: false,
        ..source
    };
    call.twin.store.insert_image(&mut state, image)?;
    Ok(json!({ "imageId": id }))
}

/// `DeregisterImage`: instances live on, and snapshots too unless they shall not.
pub(super) fn deregister(call: &Call<'_>) -> Result<Value, Fault> {
    let root = call.root();
    let mut state = call.twin.store.lock();
    let image = images::find(&state, root.require("ImageId")?)?.clone();
    if image.owner != state.account.id {
        let message = format!("Not authorized for image:{}", image.id);
        return Err(Fault::new(403, "AuthFailure", message));
    }
    call.twin.store.remove_image(&mut state, &image.id)?;
    if !root.flag("DeleteAssociatedSnapshots")? {
        return Ok(json!({ "return": true }));
    }
    let mut results = Vec::new();
    for id in image.devices.iter().filter_map(|device| device.snapshot_id.as_deref()) {
        let code = if user_of(&state, id).is_some() {
            "skipped"
        } else if state.snapshots.contains_key(id) {
            call.twin.store.remove_snapshot(&mut state, id)?;
            "success"
        } else {
            "client-error"
        };
        results.push(json!({ "snapshotId": id, "returnCode": code }));
    }
    Ok(json!({ "return": true, "deleteSnapshotResultSet": results }))
}

fn name(root: &Scope<'_>, state: &State) -> Result<String, Fault> {
    let name = root.require("Name")?;
    let known = |c: char| c.is_ascii_alphanumeric() || " ()[]./-'@_".contains(c);
    if !(3..=128).contains(&name.len()) || !name.chars().all(known) {
        return Err(Fault::client(
            "InvalidAMIName.Malformed",
            "AMI names must be between 3 and 128 characters long, and may contain letters, \
             numbers, '(', ')', '[', ']', ' ', '.', '/', '-', ''', '@' and '_'",
        ));
    }
    let own = |image: &&Image| image.owner == state.account.id && image.name == name;
    if let Some(other) = state.images.iter().find(own) {
        let message = format!("AMI name {name} is already in use by AMI {}", other.id);
        return Err(Fault::client("InvalidAMIName.Duplicate", message));
    }
    Ok(name.to_owned())
}

fn description(root: &Scope<'_>) -> Result<String, Fault> {
    let text = root.get("Description").unwrap_or_default();
    if text.chars().count() > 255 {
        return Err(Fault::invalid("AMI descriptions are limited to 255 characters"));
    }
    Ok(text.to_owned())
}

/// EC2's defaults are i386 and paravirtual, of which the twin has neither.
fn architecture(root: &Scope<'_>) -> Result<Architecture, Fault> {
    if root.get("ImageLocation").is_some() {
        let message = "The twin registers AMIs whose root device is a snapshot only";
        return Err(Fault::client("UnsupportedOperation", message));
    }
    match root.get("VirtualizationType").unwrap_or("paravirtual") {
        "hvm" => {}
        other => {
            return Err(Fault::invalid(format!(
                "Value ({other}) for parameter virtualizationType is not supported: the twin \
                 has hvm only."
            )));
        }
    }
    match root.get("Architecture").unwrap_or("i386") {
        "x86_64" => Ok(Architecture::X86_64),
        "arm64" => Ok(Architecture::Arm64),
        other => Err(Fault::invalid(format!(
            "Value ({other}) for parameter architecture is not supported: the twin has x86_64 \
             and arm64."
        ))),
    }
}

fn boot_mode(root: &Scope<'_>, architecture: Architecture) -> Result<Option<BootMode>, Fault> {
    let mode = match root.get("BootMode") {
        None => return Ok(None),
        Some("legacy-bios") => BootMode::LegacyBios,
        Some("uefi") => BootMode::Uefi,
        Some("uefi-preferred") => BootMode::UefiPreferred,
        Some(other) => {
            let message = format!("Value ({other}) for parameter bootMode is invalid.");
            return Err(Fault::invalid(message));
        }
    };
    if architecture == Architecture::Arm64 && mode != BootMode::Uefi {
        let message = format!("The boot mode {} is not supported for arm64", mode.name());
        return Err(Fault::client("InvalidParameterCombination", message));
    }
    Ok(Some(mode))
}

/// Whether a parameter that has one value is given.
fn only(root: &Scope<'_>, name: &str, value: &str) -> Result<bool, Fault> {
    match root.get(name) {
        None => Ok(false),
        Some(given) if given == value => Ok(true),
        Some(other) => Err(Fault::invalid(format!("Value ({other}) for {name} is invalid."))),
    }
}

/// Each device with a snapshot of its own. That of an AMI which every twin has is empty, and
/// says which: what it boots is the twin's.
fn copy_devices(
    call: &Call<'_>,
    state: &mut State,
    source: &Image,
    target: &str,
    tags: &Tags,
) -> Result<Vec<Device>, Fault> {
    let store = &call.twin.store;
    let failed = |error: std::io::Error| Fault::internal(error.to_string());
    let mut devices = source.devices.clone();
    for device in &mut devices {
        let Some(from) = device.snapshot_id.replace(format!("snap-0{}", random_hex(16))) else {
            device.snapshot_id = None;
            continue;
        };
        let id = device.snapshot_id.clone().unwrap_or_default();
        let (dir, old) = (store.snapshot_dir(&id), state.snapshots.get(&from));
        match old {
            Some(old) => Blocks(&dir).copy(Blocks(&store.snapshot_dir(&old.id))),
            None => Blocks(&dir).create(device.size_gib, None),
        }
        .map_err(failed)?;
        let snapshot = Snapshot {
            parent: None,
            lineage: id.clone(),
            description: format!(
                "Copied for DestinationAmi {target} from SourceAmi {} for SourceSnapshot {from}.",
                source.id
            ),
            size_gib: old.map_or(device.size_gib, |old| old.size_gib),
            started: call.now,
            completed: Some(after(call)),
            expires: call.now,
            tags: tags.clone(),
            played: Some(source.chain)
                .filter(|chain| *chain != Chain::Disk && device.name == source.root_device),
            client_token: None,
            request_digest: String::new(),
            id,
        };
        store.insert_snapshot(state, snapshot)?;
    }
    Ok(devices)
}

/// When what is complete now can be used.
fn after(call: &Call<'_>) -> jiff::Timestamp {
    call.now.saturating_add(call.twin.config.timing.snapshot).unwrap_or(call.now)
}
