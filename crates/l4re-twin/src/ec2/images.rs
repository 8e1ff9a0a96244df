//! `DescribeImages`, and AMIs as EC2 writes them.

use serde_json::{Value, json};

use super::actions::Call;
use super::filters::{self, NOWHERE, Paths};
use super::ids;
use super::instances::tag_set;
use super::pages::page;
use crate::fault::Fault;
use crate::state::{BootMode, Device, Image, SnapshotState, State};

const PATHS: Paths = &[
    ("architecture", "architecture"),
    ("block-device-mapping.delete-on-termination", "blockDeviceMapping.ebs.deleteOnTermination"),
    ("block-device-mapping.device-name", "blockDeviceMapping.deviceName"),
    ("block-device-mapping.encrypted", "blockDeviceMapping.ebs.encrypted"),
    ("block-device-mapping.snapshot-id", "blockDeviceMapping.ebs.snapshotId"),
    ("block-device-mapping.volume-size", "blockDeviceMapping.ebs.volumeSize"),
    ("block-device-mapping.volume-type", "blockDeviceMapping.ebs.volumeType"),
    ("boot-mode", "bootMode"),
    ("creation-date", "creationDate"),
    ("description", "description"),
    ("ena-support", "enaSupport"),
    ("free-tier-eligible", "freeTierEligible"),
    ("hypervisor", "hypervisor"),
    ("image-allowed", "imageAllowed"),
    ("image-id", "imageId"),
    ("image-type", "imageType"),
    ("image-watermark.source-image-creation-time", "imageWatermarkSet.sourceImageCreationTime"),
    ("image-watermark.source-image-id", "imageWatermarkSet.sourceImageId"),
    ("image-watermark.source-image-region", "imageWatermarkSet.sourceImageRegion"),
    ("image-watermark.watermark-creation-time", "imageWatermarkSet.watermarkCreationTime"),
    ("image-watermark.watermark-key", "imageWatermarkSet.watermarkKey"),
    ("instance-type-specification.supported-instance-type", NOWHERE),
    ("instance-type-specification.unsupported-instance-type", NOWHERE),
    ("is-public", "isPublic"),
    ("kernel-id", "kernelId"),
    ("manifest-location", "imageLocation"),
    ("name", "name"),
    ("owner-alias", "imageOwnerAlias"),
    ("owner-id", "imageOwnerId"),
    ("platform", "platform"),
    ("platform-details", "platformDetails"),
    ("product-code", "productCodes.productCode"),
    ("product-code.type", "productCodes.type"),
    ("public-ssm-parameter-name", "publicSsmParameterName"),
    ("ramdisk-id", "ramdiskId"),
    ("root-device-name", "rootDeviceName"),
    ("root-device-type", "rootDeviceType"),
    ("scan-result.critical-fix-available-since", "scanResults.criticalFixAvailableSince"),
    ("scan-result.finding-scan-date", "scanResults.findingScanDate"),
    ("scan-result.high-fix-available-since", "scanResults.highFixAvailableSince"),
    ("scan-result.highest-finding-severity-label", "scanResults.highestFindingSeverityLabel"),
    ("scan-result.informational-fix-available-since", "scanResults.informationalFixAvailableSince"),
    ("scan-result.low-fix-available-since", "scanResults.lowFixAvailableSince"),
    ("scan-result.medium-fix-available-since", "scanResults.mediumFixAvailableSince"),
    ("source-image-id", "sourceImageId"),
    ("source-image-region", "sourceImageRegion"),
    ("source-instance-id", "sourceInstanceId"),
    ("sriov-net-support", "sriovNetSupport"),
    ("state", "imageState"),
    ("state-reason-code", "stateReason.code"),
    ("state-reason-message", "stateReason.message"),
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
    let users = root.list("ExecutableBy");
    // None was given to single accounts, so that only what all may launch is meant.
    let executable = |image: &Image| users.is_empty() || image.public && users.contains(&"all");
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
        .filter(|image| owned(image) && executable(image))
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
