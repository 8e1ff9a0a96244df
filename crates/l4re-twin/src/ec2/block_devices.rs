//! Block device mappings: of AMIs as they are registered, and of launches, which change their
//! AMI's and add to them.
//!
//! Invariant: what comes out has each device once, the root device first, and no volume is
//! smaller than its snapshot.

use super::snapshots;
use crate::fault::Fault;
use crate::query::Scope;
use crate::state::{Device, Image, SnapshotState, State};

const VOLUME_TYPES: &[&str] = &["standard", "io1", "io2", "gp2", "gp3", "sc1", "st1"];
/// The largest volume of all types but one, in GiB.
const MAX_SIZE: u64 = 16_384;

/// The devices of an AMI that is registered.
pub(super) fn registered(
    root: &Scope<'_>,
    state: &State,
    now: jiff::Timestamp,
) -> Result<Vec<Device>, Fault> {
    let mut devices: Vec<Device> = Vec::new();
    for item in volumes(root)? {
        devices.push(device(&item, None, true, state, now)?);
    }
    Ok(devices)
}

/// The devices of a launch.
pub(super) fn launched(
    root: &Scope<'_>,
    image: &Image,
    state: &State,
    now: jiff::Timestamp,
) -> Result<Vec<Device>, Fault> {
    let mut devices = image.devices.clone();
    devices.sort_by_key(|device| device.name != image.root_device);
    for item in root.items("BlockDeviceMapping") {
        if item.get("NoDevice").is_some() {
            let name = item.require("DeviceName")?;
            if name == image.root_device {
                return Err(mapping("The root device cannot be left out of the mapping"));
            }
            devices.retain(|device| device.name != name);
        }
    }
    for item in volumes(root)? {
        let name = item.require("DeviceName")?;
        let own = devices.iter().position(|device| device.name == name);
        let base = own.map(|at| &devices[at]);
        let snapshot = item.below("Ebs").get("SnapshotId");
        if name == image.root_device
            && snapshot != base.and_then(|it| it.snapshot_id.as_deref())
            && snapshot.is_some()
        {
            return Err(mapping("snapshotId cannot be modified on root device"));
        }
        // Of what is added at a launch nothing goes with the instance unless it shall.
        let new = device(&item, base, false, state, now)?;
        match own {
            Some(at) => devices[at] = new,
            None => devices.push(new),
        }
    }
    Ok(devices)
}

/// The mappings that are volumes. An instance store's have none on the types of today.
fn volumes<'a>(root: &Scope<'a>) -> Result<Vec<Scope<'a>>, Fault> {
    let mut names: Vec<&str> = Vec::new();
    let mut list = Vec::new();
    for item in root.items("BlockDeviceMapping") {
        let name = item.require("DeviceName")?;
        if names.contains(&name) {
            let message = format!("The device '{name}' is used in more than one mapping");
            return Err(mapping(message));
        }
        names.push(name);
        if item.get("NoDevice").is_none() && item.get("VirtualName").is_none() {
            list.push(item);
        }
    }
    Ok(list)
}

fn device(
    item: &Scope<'_>,
    base: Option<&Device>,
    goes_with_instance: bool,
    state: &State,
    now: jiff::Timestamp,
) -> Result<Device, Fault> {
    let ebs = item.below("Ebs");
    if ebs.flag("Encrypted")? || ebs.get("KmsKeyId").is_some() {
        let message = "The twin encrypts no volumes";
        return Err(Fault::client("UnsupportedOperation", message));
    }
    let volume_type = ebs.get("VolumeType").or(base.map(|base| &*base.volume_type));
    let volume_type = volume_type.unwrap_or("gp2");
    if !VOLUME_TYPES.contains(&volume_type) {
        return Err(Fault::invalid(format!("Volume type '{volume_type}' is invalid.")));
    }
    let inherited = base.and_then(|base| base.snapshot_id.as_deref());
    let snapshot_id = ebs.get("SnapshotId").or(inherited);
    let snapshot = match snapshot_id {
        // That of an AMI which every twin has is nobody's to look at.
        Some(id) if Some(id) == inherited => state.snapshots.get(id),
        Some(id) => Some(snapshots::find(state, id)?),
        None => None,
    };
    if let Some(snapshot) = snapshot
        && snapshot.state(now) != SnapshotState::Completed
    {
        let state = snapshot.state(now).name();
        let message = format!("Snapshot '{}' is in invalid state - {state}", snapshot.id);
        return Err(Fault::client("IncorrectState", message));
    }
    let least = snapshot.map(|snapshot| snapshot.size_gib);
    let default = least.or(base.map(|base| base.size_gib));
    Ok(Device {
        name: item.require("DeviceName")?.to_owned(),
        snapshot_id: snapshot_id.map(str::to_owned),
        size_gib: size(&ebs, default, least.zip(snapshot_id), volume_type)?,
        volume_type: volume_type.to_owned(),
        delete_on_termination: ebs
            .maybe_flag("DeleteOnTermination")?
            .unwrap_or(base.map_or(goes_with_instance, |base| base.delete_on_termination)),
    })
}

fn size(
    ebs: &Scope<'_>,
    default: Option<u64>,
    least: Option<(u64, &str)>,
    volume_type: &str,
) -> Result<u64, Fault> {
    let size = ebs.number::<u64>("VolumeSize")?;
    let size = size.or(default).ok_or_else(|| mapping("Missing volume size"))?;
    if let Some((least, snapshot)) = least.filter(|(least, _)| size < *least) {
        return Err(mapping(format!(
            "Volume of size {size}GB is smaller than snapshot '{snapshot}', expect size>= {least}GB"
        )));
    }
    if !(1..=MAX_SIZE).contains(&size) {
        return Err(Fault::invalid(format!(
            "Volume of {size}GiB is out of range for volume type {volume_type}; it has 1GiB to \
             {MAX_SIZE}GiB"
        )));
    }
    Ok(size)
}

fn mapping(message: impl Into<String>) -> Fault {
    Fault::client("InvalidBlockDeviceMapping", message.into())
}
