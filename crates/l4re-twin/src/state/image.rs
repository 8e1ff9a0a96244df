//! The record of an AMI.

use serde::{Deserialize, Serialize};

use crate::state::{Architecture, BootMode, Tags};

/// What an AMI boots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Chain {
    /// SeaBIOS and the network card's iPXE.
    Bios,
    /// UEFI and iPXE for x86_64 on an EFI system partition.
    Uefi,
    /// UEFI and, for arm64, iPXE or the twin in its place.
    Arm64,
    /// What is on the root device's snapshot, by the firmware of the instance's boot mode.
    Disk,
}

impl Chain {
    /// Whether firmware of this boot mode, if one is named, comes to it.
    pub(crate) fn fits(self, architecture: Architecture, mode: Option<BootMode>) -> bool {
        match self {
            Self::Bios => {
                architecture == Architecture::X86_64
                    && mode.is_none_or(|it| it == BootMode::LegacyBios)
            }
            Self::Uefi => architecture == Architecture::X86_64 && mode == Some(BootMode::Uefi),
            Self::Arm64 => architecture == Architecture::Arm64,
            Self::Disk => true,
        }
    }
}

/// A disk that an instance of the AMI gets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Device {
    pub(crate) name: String,
    pub(crate) snapshot_id: Option<String>,
    pub(crate) size_gib: u64,
    pub(crate) volume_type: String,
    pub(crate) delete_on_termination: bool,
}

/// An AMI.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Image {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) owner: String,
    pub(crate) architecture: Architecture,
    /// None, as for iPXE's own x86_64 AMI, means BIOS there and UEFI on arm64.
    pub(crate) boot_mode: Option<BootMode>,
    pub(crate) created: String,
    pub(crate) public: bool,
    pub(crate) tags: Tags,
    pub(crate) chain: Chain,
    pub(crate) root_device: String,
    pub(crate) devices: Vec<Device>,
    pub(crate) ena_support: bool,
    pub(crate) sriov_support: bool,
    /// Whether its instances get IMDSv2 unless a launch says otherwise.
    pub(crate) tokens_required: bool,
    pub(crate) tpm_support: bool,
    /// The AMI and region that it was copied from.
    pub(crate) source: Option<(String, String)>,
    pub(crate) client_token: Option<String>,
    /// Every new twin has it: it has no record of its own.
    #[serde(skip)]
    pub(crate) seeded: bool,
}

impl Image {
    /// How it boots on a type that does or does not support UEFI.
    pub(crate) fn effective_boot_mode(&self, uefi: bool) -> BootMode {
        match (self.boot_mode, self.architecture) {
            (Some(BootMode::UefiPreferred), _) if uefi => BootMode::Uefi,
            (Some(BootMode::UefiPreferred), _) | (None, Architecture::X86_64) => {
                BootMode::LegacyBios
            }
            (None, Architecture::Arm64) => BootMode::Uefi,
            (Some(mode), _) => mode,
        }
    }
}
