//! `DescribeImages`.

use serde_json::{Value, json};

use super::actions::Call;
use super::filters::{self, Paths};
use super::instances::tag_set;
use super::pages::page;
use crate::fault::Fault;
use crate::state::{BootMode, Image};

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
    ("owner-alias", "imageOwnerAlias"),
    ("owner-id", "imageOwnerId"),
    ("platform-details", "platformDetails"),
    ("root-device-name", "rootDeviceName"),
    ("root-device-type", "rootDeviceType"),
    ("state", "imageState"),
    ("virtualization-type", "virtualizationType"),
];

/// `DescribeImages`.
pub(super) fn describe(call: &Call<'_>) -> Result<Value, Fault> {
    let root = call.root();
    let ids = root.list("ImageId");
    let owners = root.list("Owner");
    let state = call.twin.store.lock();
    if let Some(unknown) = ids.iter().find(|id| state.images.iter().all(|image| image.id != **id)) {
        let (code, message) = if unknown.starts_with("ami-") {
            ("InvalidAMIID.NotFound", format!("The image id '[{unknown}]' does not exist"))
        } else {
            ("InvalidAMIID.Malformed", format!("Invalid id: \"{unknown}\""))
        };
        return Err(Fault::client(code, message));
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
        .map(image_value)
        .collect();
    drop(state);
    filters::retain(&mut images, &root, PATHS)?;
    let (images, next) = page(images, &root, 1..=1000)?;
    Ok(json!({ "imagesSet": images, "nextToken": next }))
}

fn image_value(image: &Image) -> Value {
    json!({
        "imageId": image.id,
        "imageLocation": format!("{}/{}", image.owner, image.name),
        "imageState": "available",
        "imageOwnerId": image.owner,
        "isPublic": image.public,
        "architecture": image.architecture.name(),
        "imageType": "machine",
        "name": image.name,
        "description": image.description,
        "creationDate": image.created,
        "rootDeviceType": "ebs",
        "rootDeviceName": "/dev/sda1",
        "blockDeviceMapping": [{
            "deviceName": "/dev/sda1",
            "ebs": {
                "snapshotId": image.id.replacen("ami-", "snap-", 1),
                "volumeSize": 1,
                "volumeType": "gp2",
                "deleteOnTermination": true,
                "encrypted": false,
            },
        }],
        "bootMode": image.boot_mode.map(BootMode::name),
        "enaSupport": true,
        "sriovNetSupport": "simple",
        "hypervisor": "xen",
        "virtualizationType": "hvm",
        "platformDetails": "Linux/UNIX",
        "usageOperation": "RunInstances",
        "tagSet": tag_set(&image.tags),
    })
}
