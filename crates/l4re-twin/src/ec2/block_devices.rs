//! Block device mappings: of AMIs as they are registered, and of launches, which change their
//! AMI's and add to them.
//!
//! Invariant: what comes out has each device once, the root device first, and no volume is
//! smaller than its snapshot.

use std::ops::RangeInclusive;

use super::snapshots;
use crate::fault::Fault;
use crate::query::Scope;
use crate::state::{Device, Image, SnapshotState, State};

/// Types of volumes, their sizes in GiB, and whether a number of I/O operations may, must or
/// cannot be asked of them.
const VOLUME_TYPES: &[(&str, RangeInclusive<u64>, Iops)] = &[
    ("standard", 1..=1024, Iops::None),
    ("io1", 4..=16_384, Iops::Must),
    ("io2", 4..=65_536, Iops::Must),
    ("gp2", 1..=16_384, Iops::None),
    ("gp3", 1..=65_536, Iops::May),
    ("sc1", 125..=16_384, Iops::None),
    ("st1", 125..=16_384, Iops::None),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Iops {
    None,
    May,
    Must,
}

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
    let kind = VOLUME_TYPES.iter().find(|(name, ..)| *name == volume_type);
    let Some((_, sizes, iops)) = kind else {
        return Err(Fault::invalid(format!("Volume type '{volume_type}' is invalid.")));
    };
    refuse_iops(&ebs, *iops, volume_type)?;
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
        size_gib: size(&ebs, default, least.zip(snapshot_id), volume_type, sizes)?,
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
    sizes: &RangeInclusive<u64>,
) -> Result<u64, Fault> {
    let size = ebs.number::<u64>("VolumeSize")?;
    let size = size.or(default).ok_or_else(|| mapping("Missing volume size"))?;
    if let Some((least, snapshot)) = least.filter(|(least, _)| size < *least) {
        return Err(mapping(format!(
            "Volume of size {size}GB is smaller than snapshot '{snapshot}', expect size>= {least}GB"
        )));
    }
    let (least, most) = (sizes.start(), sizes.end());
    if size < *least {
        return Err(Fault::invalid(format!(
            "Volume of {size}GiB is too small for volume type {volume_type}; minimum is {least}GiB."
        )));
    }
    if size > *most {
        return Err(Fault::invalid(format!(
            "Volume of {size}GiB is too large for volume type {volume_type}; maximum is {most}GiB."
        )));
    }
    Ok(size)
}

/// What is asked of a volume's speed is checked, and not kept: the disks are as fast as the desk's.
fn refuse_iops(ebs: &Scope<'_>, iops: Iops, volume_type: &str) -> Result<(), Fault> {
    let given = ebs.number::<u32>("Iops")?.is_some();
    let wrong = |name: &str| {
        let message = format!("The parameter {name} is not supported for {volume_type} volumes.");
        Fault::client("InvalidParameterCombination", message)
    };
    match iops {
        Iops::Must if !given => {
            let message = "The request must contain the parameter iops";
            Err(Fault::client("MissingParameter", message))
        }
        Iops::None if given => Err(wrong("iops")),
        _ if ebs.number::<u32>("Throughput")?.is_some() && volume_type != "gp3" => {
            Err(wrong("throughput"))
        }
        _ => Ok(()),
    }
}

fn mapping(message: impl Into<String>) -> Fault {
    Fault::client("InvalidBlockDeviceMapping", message.into())
}
