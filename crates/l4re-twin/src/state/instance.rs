//! The record of an instance: all that EC2 would remember of it. One file each, so that a
//! daemon that is killed loses nothing that was answered.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::state::{Chain, Device, ROOT, Volume};

/// Tags of one resource.
pub(crate) type Tags = BTreeMap<String, String>;

/// EC2's instance states.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum InstanceState {
    Pending,
    Running,
    ShuttingDown,
    Terminated,
    Stopping,
    Stopped,
}

impl InstanceState {
    /// EC2's code and name.
    pub(crate) fn code_and_name(self) -> (u16, &'static str) {
        match self {
            Self::Pending => (0, "pending"),
            Self::Running => (16, "running"),
            Self::ShuttingDown => (32, "shutting-down"),
            Self::Terminated => (48, "terminated"),
            Self::Stopping => (64, "stopping"),
            Self::Stopped => (80, "stopped"),
        }
    }

    /// The state's name as EC2 spells it.
    pub(crate) fn name(self) -> &'static str {
        self.code_and_name().1
    }

    /// Whether a QEMU process belongs to this state.
    pub(crate) fn is_alive(self) -> bool {
        !matches!(self, Self::Terminated | Self::Stopped)
    }
}

/// EC2's two spellings of an architecture that the twin boots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Architecture {
    #[serde(rename = "x86_64")]
    X86_64,
    Arm64,
}

impl Architecture {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Arm64 => "arm64",
        }
    }
}

/// How an instance's firmware starts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum BootMode {
    LegacyBios,
    Uefi,
    /// Only of AMIs: UEFI where the type has it.
    UefiPreferred,
}

impl BootMode {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::LegacyBios => "legacy-bios",
            Self::Uefi => "uefi",
            Self::UefiPreferred => "uefi-preferred",
        }
    }
}

/// Settings of the instance's metadata service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MetadataOptions {
    pub(crate) tokens_required: bool,
    pub(crate) hop_limit: u8,
    pub(crate) endpoint_enabled: bool,
    pub(crate) tags_enabled: bool,
}

/// What happens when the guest switches itself off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ShutdownBehavior {
    Stop,
    Terminate,
}

impl ShutdownBehavior {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Terminate => "terminate",
        }
    }
}

/// What makes an instance a spot instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Spot {
    pub(crate) request_id: String,
    /// Persistent requests with the interruption behaviour `stop` can be stopped.
    pub(crate) can_be_stopped: bool,
    #[serde(default)]
    pub(crate) cancelled: bool,
    /// The request's own.
    #[serde(default)]
    pub(crate) tags: Tags,
}

/// Why an instance is in its state: EC2's `stateReason`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StateReason {
    pub(crate) code: String,
    pub(crate) message: String,
}

impl StateReason {
    pub(crate) fn new(code: &str, message: impl Into<String>) -> Self {
        Self { code: code.to_owned(), message: message.into() }
    }

    /// A user's stop or terminate.
    pub(crate) fn user(verb: &str) -> Self {
        let code = format!("Client.User{verb}");
        Self::new(&code, format!("{code}: User initiated {}", verb.to_lowercase()))
    }
}

fn on() -> bool {
    true
}

fn first_disk() -> String {
    "/dev/sda1".to_owned()
}

/// One instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Instance {
    pub(crate) id: String,
    pub(crate) reservation_id: String,
    pub(crate) launch_index: u32,
    pub(crate) client_token: Option<String>,
    /// What the launch asked for, as a digest, to recognise a token used for another.
    pub(crate) request_digest: String,
    pub(crate) image_id: String,
    pub(crate) instance_type: String,
    pub(crate) architecture: Architecture,
    pub(crate) boot_mode: BootMode,
    /// What its AMI said of the boot mode.
    #[serde(default)]
    pub(crate) image_boot_mode: Option<BootMode>,
    /// What it boots; its AMI may be gone. Records that do not say it yet go by the AMI.
    #[serde(default)]
    pub(crate) chain: Option<Chain>,
    #[serde(default = "first_disk")]
    pub(crate) root_device: String,
    /// What its root device was made from.
    #[serde(default)]
    pub(crate) root: Option<Device>,
    /// The volumes besides its root device.
    #[serde(default)]
    pub(crate) data: Vec<Volume>,
    pub(crate) bare_metal: bool,
    pub(crate) zone: String,
    pub(crate) subnet_id: String,
    pub(crate) private_ip: String,
    pub(crate) public_ip: Option<String>,
    pub(crate) mac: String,
    pub(crate) eni_id: String,
    pub(crate) volume_id: String,
    pub(crate) key_name: Option<String>,
    pub(crate) state: InstanceState,
    pub(crate) state_reason: Option<StateReason>,
    /// EC2's `reason`, such as `User initiated (2026-11-01 12:00:00 GMT)`.
    pub(crate) transition_reason: String,
    /// When `RunInstances` was answered; long ago in records that do not say it yet.
    #[serde(default)]
    pub(crate) created: jiff::Timestamp,
    /// When it was started last.
    pub(crate) launch_time: jiff::Timestamp,
    /// When the instance reached its last state; terminated ones are forgotten by it.
    pub(crate) changed: jiff::Timestamp,
    /// Base64, as it came.
    pub(crate) user_data: Option<String>,
    pub(crate) tags: Tags,
    pub(crate) volume_tags: Tags,
    pub(crate) eni_tags: Tags,
    pub(crate) metadata: MetadataOptions,
    pub(crate) shutdown_behavior: ShutdownBehavior,
    pub(crate) disable_api_termination: bool,
    pub(crate) disable_api_stop: bool,
    pub(crate) spot: Option<Spot>,
    pub(crate) core_count: Option<u32>,
    pub(crate) threads_per_core: Option<u32>,
    pub(crate) nested_virtualization: bool,
    pub(crate) monitoring: bool,
    pub(crate) ebs_optimized: bool,
    #[serde(default = "on")]
    pub(crate) source_dest_check: bool,
    /// Options that it shows as its launch asked for them: parameter and value.
    #[serde(default)]
    pub(crate) asked: BTreeMap<String, String>,
}

impl Instance {
    /// Whether its processor lets the guest be a hypervisor: SVM or VMX, or EL2.
    pub(crate) fn may_be_hypervisor(&self) -> bool {
        self.bare_metal || self.nested_virtualization
    }

    /// Its volumes, each with the name of its disk, the root device's first.
    pub(crate) fn volumes(&self) -> impl Iterator<Item = (String, Volume)> {
        let played = || Device {
            name: self.root_device.clone(),
            snapshot_id: None,
            size_gib: 1,
            volume_type: "gp2".to_owned(),
            delete_on_termination: true,
        };
        let root = Volume {
            id: self.volume_id.clone(),
            device: self.root.clone().unwrap_or_else(played),
            zone: self.zone.clone(),
            created: self.created,
            tags: self.volume_tags.clone(),
        };
        let data = self.data.iter().map(|volume| (volume.id.clone(), volume.clone()));
        std::iter::once((ROOT.to_owned(), root)).chain(data)
    }

    /// The devices behind them, to be changed.
    pub(crate) fn devices_mut(&mut self) -> impl Iterator<Item = &mut Device> {
        self.root.iter_mut().chain(self.data.iter_mut().map(|volume| &mut volume.device))
    }

    /// Whether any of its volumes is to outlive it.
    pub(crate) fn keeps_volumes(&self) -> bool {
        self.volumes().any(|(_, volume)| !volume.device.delete_on_termination)
    }

    /// It is terminated, and its volumes are others' or gone.
    pub(crate) fn forget_volumes(&mut self) {
        self.root = None;
        self.data.clear();
        self.volume_tags.clear();
    }

    /// Whether it has a screen: on EC2 metal and arm64 have none.
    pub(crate) fn has_screen(&self) -> bool {
        self.architecture == Architecture::X86_64 && !self.bare_metal
    }
}
