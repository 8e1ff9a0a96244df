//! Attributes of an instance after its launch: user data, protection, metadata options.

use serde_json::{Value, json};

use super::actions::Call;
use super::instance_types;
use super::instances::{check_ids, metadata_value};
use super::launch_request::{metadata_options, shutdown_behavior, user_data};
use super::metadata_defaults::refuse_first_version;
use super::volumes::mapping_value;
use crate::fault::Fault;
use crate::query::Scope;
use crate::state::{Instance, InstanceState};

/// `DescribeInstanceAttribute`.
pub(super) fn describe(call: &Call<'_>) -> Result<Value, Fault> {
    let root = call.root();
    let id = root.require("InstanceId")?;
    let attribute = root.require("Attribute")?;
    let state = call.twin.store.lock();
    check_ids(&state, &[id], call)?;
    let instance = &state.instances[id];
    let value = match attribute {
        "userData" => json!({"value": instance.user_data}),
        "instanceType" => json!({"value": instance.instance_type}),
        "disableApiTermination" => json!({"value": instance.disable_api_termination}),
        "disableApiStop" => json!({"value": instance.disable_api_stop}),
        "instanceInitiatedShutdownBehavior" => json!({"value": instance.shutdown_behavior.name()}),
        "ebsOptimized" => json!({"value": instance.ebs_optimized}),
        "rootDeviceName" => json!({"value": instance.root_device}),
        "sourceDestCheck" | "enaSupport" => json!({"value": true}),
        "enclaveOptions" => json!({"enabled": false}),
        "kernel" | "ramdisk" | "sriovNetSupport" => json!({}),
        "blockDeviceMapping" => {
            instance.volumes().map(|(_, volume)| mapping_value(&volume)).collect()
        }
        "productCodes" | "groupSet" => json!([]),
        other => {
            return Err(Fault::invalid(format!(
                "Value ({other}) for parameter attribute is invalid. Unknown attribute."
            )));
        }
    };
    Ok(json!({"instanceId": id, attribute: value}))
}

/// `ModifyInstanceAttribute`: either `Attribute` and `Value`, or one structure.
pub(super) fn modify(call: &Call<'_>) -> Result<Value, Fault> {
    let root = call.root();
    let change = Change::read(&root)?;
    with_instance(call, |instance| change.apply(instance))?;
    Ok(json!({ "return": true }))
}

enum Change<'a> {
    UserData(Option<String>),
    InstanceType(&'a str),
    ShutdownBehavior(&'a str),
    DisableApiTermination(bool),
    DisableApiStop(bool),
    /// Devices by name, and whether they go with the instance.
    DeleteOnTermination(Vec<(&'a str, bool)>),
    Nothing,
}

impl<'a> Change<'a> {
    fn read(root: &Scope<'a>) -> Result<Self, Fault> {
        const NAMES: &[(&str, &str)] = &[
            ("userData", "UserData"),
            ("instanceType", "InstanceType"),
            ("instanceInitiatedShutdownBehavior", "InstanceInitiatedShutdownBehavior"),
            ("disableApiTermination", "DisableApiTermination"),
            ("disableApiStop", "DisableApiStop"),
            ("sourceDestCheck", "SourceDestCheck"),
            ("ebsOptimized", "EbsOptimized"),
        ];
        let mappings = root.items("BlockDeviceMapping");
        if !mappings.is_empty() {
            let one = |mapping: &Scope<'a>| {
                let goes = mapping.below("Ebs").maybe_flag("DeleteOnTermination")?;
                Ok((mapping.require("DeviceName")?, goes.unwrap_or(true)))
            };
            let all: Result<_, Fault> = mappings.iter().map(one).collect();
            return all.map(Self::DeleteOnTermination);
        }
        let given = root.get("Attribute");
        let found = NAMES.iter().find_map(|(attribute, structure)| {
            let value = match given {
                Some(name) if name == *attribute => root.get("Value").or(Some("")),
                Some(_) => None,
                None if root.below(structure).is_given() => {
                    root.below(structure).get("Value").or(Some(""))
                }
                None => None,
            };
            value.map(|value| (*structure, value))
        });
        let Some((name, value)) = found else {
            let message = "No attributes specified.";
            return Err(Fault::client("InvalidParameterCombination", message));
        };
        Ok(match name {
            "UserData" => Self::UserData(user_data(value)?),
            "InstanceType" => Self::InstanceType(value),
            "InstanceInitiatedShutdownBehavior" => Self::ShutdownBehavior(value),
            "DisableApiTermination" => Self::DisableApiTermination(value == "true"),
            "DisableApiStop" => Self::DisableApiStop(value == "true"),
            _ => Self::Nothing,
        })
    }

    fn apply(&self, instance: &mut Instance) -> Result<(), Fault> {
        if matches!(self, Self::UserData(_) | Self::InstanceType(_))
            && instance.state != InstanceState::Stopped
        {
            return Err(Fault::client(
                "IncorrectInstanceState",
                format!("The instance '{}' is not in the 'stopped' state.", instance.id),
            ));
        }
        match self {
            Self::UserData(data) => instance.user_data.clone_from(data),
            Self::InstanceType(name) => change_type(instance, name)?,
            Self::ShutdownBehavior(value) => {
                instance.shutdown_behavior = shutdown_behavior(Some(value))?;
            }
            Self::DisableApiTermination(on) => instance.disable_api_termination = *on,
            Self::DisableApiStop(on) => instance.disable_api_stop = *on,
            Self::DeleteOnTermination(devices) => {
                for (name, goes) in devices {
                    change_device(instance, name, *goes)?;
                }
            }
            Self::Nothing => {}
        }
        Ok(())
    }
}

fn change_device(instance: &mut Instance, name: &str, goes: bool) -> Result<(), Fault> {
    let mut devices = instance.devices_mut();
    let device = devices.find(|device| device.name == name).ok_or_else(|| {
        let message = format!("No device is currently mapped at {name}");
        Fault::client("InvalidInstanceAttributeValue", message)
    })?;
    device.delete_on_termination = goes;
    Ok(())
}

fn change_type(instance: &mut Instance, name: &str) -> Result<(), Fault> {
    let kind = instance_types::find(name)?;
    if !kind.supports_architecture(instance.architecture)
        || !kind.supports_boot_mode(instance.boot_mode)
    {
        return Err(Fault::invalid(format!(
            "The instance configuration for this instance cannot be changed to '{name}': its \
             architecture or boot mode does not fit."
        )));
    }
    name.clone_into(&mut instance.instance_type);
    instance.bare_metal = kind.is_bare_metal();
    Ok(())
}

/// `ModifyInstanceMetadataOptions`.
pub(super) fn modify_metadata_options(call: &Call<'_>) -> Result<Value, Fault> {
    let root = call.root();
    let id = root.require("InstanceId")?;
    let account = call.twin.store.lock().account.clone();
    let options = with_instance(call, |instance| {
        instance.metadata = metadata_options(&root, instance.metadata.clone())?;
        refuse_first_version(&instance.metadata, &account)?;
        Ok(metadata_value(instance))
    })?;
    Ok(json!({"instanceId": id, "instanceMetadataOptions": options}))
}

fn with_instance<T>(
    call: &Call<'_>,
    change: impl FnOnce(&mut Instance) -> Result<T, Fault>,
) -> Result<T, Fault> {
    let id = call.root().require("InstanceId")?;
    let mut state = call.twin.store.lock();
    check_ids(&state, &[id], call)?;
    let mut instance = state.instances[id].clone();
    let result = change(&mut instance)?;
    call.twin.store.save(&instance)?;
    state.instances.insert(instance.id.clone(), instance);
    Ok(result)
}
