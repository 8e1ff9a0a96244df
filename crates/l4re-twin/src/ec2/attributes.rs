//! Attributes of an instance after its launch: user data, protection, metadata options.

use serde_json::{Value, json};

use super::actions::Call;
use super::instance_types;
use super::instances::{check_ids, metadata_value};
use super::launch_request::{
    metadata_options, refuse_foreign_groups, shutdown_behavior, user_data,
};
use super::metadata_defaults::refuse_first_version;
use super::network::security_group_id;
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
        "sourceDestCheck" => json!({"value": instance.source_dest_check}),
        "enaSupport" => json!({"value": true}),
        "enclaveOptions" => json!({"enabled": false}),
        "kernel" | "ramdisk" | "sriovNetSupport" => json!({}),
        "blockDeviceMapping" => {
            instance.volumes().map(|(_, volume)| mapping_value(&volume)).collect()
        }
        "productCodes" => json!([]),
        "groupSet" => json!([{"groupId": security_group_id(&state.account.id)}]),
        other => return Err(unknown_attribute(other)),
    };
    Ok(json!({"instanceId": id, attribute: value}))
}

/// `ModifyInstanceAttribute`: either `Attribute` and `Value`, or one structure.
pub(super) fn modify(call: &Call<'_>) -> Result<Value, Fault> {
    let root = call.root();
    let change = Change::read(&root)?;
    let account = call.twin.store.lock().account.id.clone();
    with_instance(call, |instance| change.apply(instance, &account))?;
    Ok(json!({ "return": true }))
}

fn unknown_attribute(name: &str) -> Fault {
    Fault::invalid(format!("Value ({name}) for parameter attribute is invalid. Unknown attribute."))
}

/// The attribute's name and the parameter that has its new value.
const NAMES: &[(&str, &str)] = &[
    ("userData", "UserData"),
    ("instanceType", "InstanceType"),
    ("instanceInitiatedShutdownBehavior", "InstanceInitiatedShutdownBehavior"),
    ("disableApiTermination", "DisableApiTermination"),
    ("disableApiStop", "DisableApiStop"),
    ("sourceDestCheck", "SourceDestCheck"),
    ("ebsOptimized", "EbsOptimized"),
    ("enaSupport", "EnaSupport"),
    ("sriovNetSupport", "SriovNetSupport"),
    ("kernel", "Kernel"),
    ("ramdisk", "Ramdisk"),
    ("groupSet", "GroupId"),
    ("blockDeviceMapping", "BlockDeviceMapping"),
];

enum Change<'a> {
    UserData(Option<String>),
    InstanceType(&'a str),
    ShutdownBehavior(&'a str),
    DisableApiTermination(bool),
    DisableApiStop(bool),
    SourceDestCheck(bool),
    EbsOptimized(bool),
    /// The twin's network cards are as they are.
    NetworkCard,
    Groups(Vec<&'a str>),
    /// Devices by name, and whether they go with the instance.
    DeleteOnTermination(Vec<(&'a str, bool)>),
}

impl<'a> Change<'a> {
    fn read(root: &Scope<'a>) -> Result<Self, Fault> {
        let (name, value) = changed(root)?;
        let flag = || match value {
            "true" | "false" => Ok(value == "true"),
            other => Err(Fault::invalid(format!(
                "Invalid value '{other}' for {name}. It must be a boolean."
            ))),
        };
        Ok(match name {
            "userData" => Self::UserData(user_data(value)?),
            "instanceType" => Self::InstanceType(value),
            "instanceInitiatedShutdownBehavior" => Self::ShutdownBehavior(value),
            "disableApiTermination" => Self::DisableApiTermination(flag()?),
            "disableApiStop" => Self::DisableApiStop(flag()?),
            "sourceDestCheck" => Self::SourceDestCheck(flag()?),
            "ebsOptimized" => Self::EbsOptimized(flag()?),
            "enaSupport" if flag()? => Self::NetworkCard,
            "sriovNetSupport" if value == "simple" => Self::NetworkCard,
            "groupSet" => Self::Groups(root.list("GroupId")),
            "blockDeviceMapping" => Self::DeleteOnTermination(mappings(root)?),
            _ => {
                let message = format!("The twin cannot change the {name} of an instance so");
                return Err(Fault::client("UnsupportedOperation", message));
            }
        })
    }

    fn apply(&self, instance: &mut Instance, account: &str) -> Result<(), Fault> {
        let rests = instance.state == InstanceState::Stopped;
        let at_rest_only = matches!(
            self,
            Self::UserData(_) | Self::InstanceType(_) | Self::EbsOptimized(_) | Self::NetworkCard
        );
        if at_rest_only && !rests {
            return Err(not_stopped(&instance.id));
        }
        match self {
            Self::UserData(data) => instance.user_data.clone_from(data),
            Self::InstanceType(name) => change_type(instance, name)?,
            Self::ShutdownBehavior(value) => {
                instance.shutdown_behavior = shutdown_behavior(Some(value))?;
            }
            Self::DisableApiTermination(on) => instance.disable_api_termination = *on,
            Self::DisableApiStop(on) => instance.disable_api_stop = *on,
            Self::SourceDestCheck(on) => instance.source_dest_check = *on,
            Self::EbsOptimized(on) => instance.ebs_optimized = *on,
            Self::Groups(groups) => refuse_foreign_groups(groups, account)?,
            Self::DeleteOnTermination(devices) => {
                for (name, goes) in devices {
                    change_device(instance, name, *goes)?;
                }
            }
            Self::NetworkCard => {}
        }
        Ok(())
    }
}

/// The one attribute that is to change, and its value.
fn changed<'a>(root: &Scope<'a>) -> Result<(&'static str, &'a str), Fault> {
    if let Some(given) = root.get("Attribute") {
        let known = NAMES.iter().find(|(attribute, _)| *attribute == given);
        let (attribute, _) = known.ok_or_else(|| unknown_attribute(given))?;
        return Ok((attribute, root.get("Value").unwrap_or_default()));
    }
    let given = |parameter: &str| root.below(parameter).is_given();
    let all: Vec<_> = NAMES.iter().filter(|(_, parameter)| given(parameter)).collect();
    match all.as_slice() {
        [] => {
            let message = "No attributes specified.";
            Err(Fault::client("InvalidParameterCombination", message))
        }
        [(attribute, parameter)] => {
            Ok((attribute, root.below(parameter).get("Value").unwrap_or_default()))
        }
        many => {
            let names: Vec<&str> = many.iter().map(|(attribute, _)| *attribute).collect();
            let message =
                format!("Fields for multiple attribute types specified: {}", names.join(", "));
            Err(Fault::client("InvalidParameterCombination", message))
        }
    }
}

fn mappings<'a>(root: &Scope<'a>) -> Result<Vec<(&'a str, bool)>, Fault> {
    let one = |mapping: &Scope<'a>| {
        let goes = mapping.below("Ebs").maybe_flag("DeleteOnTermination")?;
        Ok((mapping.require("DeviceName")?, goes.unwrap_or(true)))
    };
    root.items("BlockDeviceMapping").iter().map(one).collect()
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
    if instance.state == InstanceState::Terminated {
        return Err(not_stopped(id));
    }
    let result = change(&mut instance)?;
    call.twin.store.save(&instance)?;
    state.instances.insert(instance.id.clone(), instance);
    Ok(result)
}

fn not_stopped(id: &str) -> Fault {
    let message = format!("The instance '{id}' is not in the 'stopped' state.");
    Fault::client("IncorrectInstanceState", message)
}
