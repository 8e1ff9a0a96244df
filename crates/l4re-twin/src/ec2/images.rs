//! `DescribeImages`, and AMIs as EC2 writes them.

use serde_json::{Value, json};

use super::actions::Call;
use super::filters::{self, Paths};
use super::ids;
use super::instances::tag_set;
use super::pages::page;
use crate::fault::Fault;
use crate::state::{BootMode, Device, Image, SnapshotState, State};

const PATHS: Paths = &[
    ("architecture", "architecture"),
    ("boot-mode", "bootMode"),
    ("creation-date", "creationDate"),
    ("description", "description"),
    ("ena-support", "enaSupport"),
    ("hypervisor", "hypervisor"),
    ("image-id", "imageId"),
    ("image-type", "imageType"),
    ("is-public", "isPublic"),
    ("name", "name"),
    ("block-device-mapping.device-name", "blockDeviceMapping.deviceName"),
    ("block-device-mapping.snapshot-id", "blockDeviceMapping.ebs.snapshotId"),
    ("block-device-mapping.volume-size", "blockDeviceMapping.ebs.volumeSize"),
    ("owner-alias", "imageOwnerAlias"),
    ("owner-id", "imageOwnerId"),
    ("platform-details", "platformDetails"),
    ("root-device-name", "rootDeviceName"),
    ("root-device-type", "rootDeviceType"),
    ("source-image-id", "sourceImageId"),
    ("source-image-region", "sourceImageRegion"),
    ("state", "imageState"),
    ("virtualization-type", "virtualizationType"),
];

/// `DescribeImages`.
pub(super) fn describe(call: &Call<'_>) -> Result<Value, Fault> {
    let root = call.root();
    let ids = root.list("ImageId");
    let owners = root.list("Owner");
    let state = call.twin.store.lock();
    for id in &ids {
        find(&state, id)?;
    }
    let known = |owner: &&str| {
        ["self", "amazon", "aws-marketplace"].contains(owner)
            || owner.len() == 12 && owner.bytes().all(|c| c.is_ascii_digit())
    };
    if let Some(bad) = owners.iter().find(|owner| !known(owner)) {
        let message = format!("Invalid user id: \"{bad}\"");
        return Err(Fault::client("InvalidUserID.Malformed", message));
    }
    let account = state.account.id.as_str();
    let owned = |image: &Image| {
        owners.is_empty()
            || owners.iter().any(|owner| match *owner {
                "self" => image.owner == account,
                other => image.owner == other,
            })
    };
    let mut images: Vec<Value> = state
        .images
        .iter()
        .filter(|image| ids.is_empty() || ids.contains(&image.id.as_str()))
        .filter(|image| owned(image))
        .map(|image| image_value(image, &state, call.now))
        .collect();
    drop(state);
    filters::retain(&mut images, &root, PATHS)?;
    let (images, next) = page(images, &root, 1..=1000)?;
    Ok(json!({ "imagesSet": images, "nextToken": next }))
}

/// The AMI of this id.
pub(super) fn find<'a>(state: &'a State, id: &str) -> Result<&'a Image, Fault> {
    ids::check("ami-", id, "InvalidAMIID.Malformed")?;
    state.images.iter().find(|image| image.id == id).ok_or_else(|| {
        let message = format!("The image id '[{id}]' does not exist");
        Fault::client("InvalidAMIID.NotFound", message)
    })
}

/// Whether instances can be launched: its snapshots are complete.
pub(super) fn is_available(image: &Image, state: &State, now: jiff::Timestamp) -> bool {
    image
        .devices
        .iter()
        .filter_map(|device| state.snapshots.get(device.snapshot_id.as_ref()?))
        .all(|snapshot| snapshot.state(now) == SnapshotState::Completed)
}

fn image_value(image: &Image, state: &State, now: jiff::Timestamp) -> Value {
    let available = is_available(image, state, now);
    let (source, region) = image
        .source
        .as_ref()
        .map_or((None, None), |(id, region)| (Some(id.as_str()), Some(region.as_str())));
    json!({
        "imageId": image.id,
        "imageLocation": format!("{}/{}", image.owner, image.name),
        "imageState": if available { "available" } else { "pending" },
        "imageOwnerId": image.owner,
        "isPublic": image.public,
        "architecture": image.architecture.name(),
        "imageType": "machine",
        "name": image.name,
        "description": Some(&image.description).filter(|text| !text.is_empty()),
        "creationDate": image.created,
        "rootDeviceType": "ebs",
        "rootDeviceName": image.root_device,
        "blockDeviceMapping": image.devices.iter().map(device_value).collect::<Vec<_>>(),
        "bootMode": image.boot_mode.map(BootMode::name),
        "enaSupport": image.ena_support,
        "sriovNetSupport": image.sriov_support.then_some("simple"),
        "imdsSupport": image.tokens_required.then_some("v2.0"),
        "tpmSupport": image.tpm_support.then_some("v2.0"),
        "hypervisor": "xen",
        "virtualizationType": "hvm",
        "platformDetails": "Linux/UNIX",
        "usageOperation": "RunInstances",
        "sourceImageId": source,
        "sourceImageRegion": region,
        "tagSet": tag_set(&image.tags),
    })
}

fn device_value(device: &Device) -> Value {
    json!({
        "deviceName": device.name,
        "ebs": {
            "snapshotId": device.snapshot_id,
            "volumeSize": device.size_gib,
            "volumeType": device.volume_type,
            "deleteOnTermination": device.delete_on_termination,
            "encrypted": false,
        },
    })
}
