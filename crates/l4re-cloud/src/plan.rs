//! The boot plan: from an image, a type, AMIs and an account to a chain that boots, or to
//! a refusal that says what would.
//!
//! Invariant: pure; no call, no clock, no environment. Follows the table of
//! "Three facts that decide the design" (EC2 user guide, "Boot modes").

use l4re_image::{Arch, Kind};

use crate::ami::AmiFacts;
use crate::types::InstanceTypeFacts;

/// What a plan depends on, of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageFacts {
    /// Its architecture.
    pub arch: Arch,
    /// EFI or ELF.
    pub kind: Kind,
    /// Bytes.
    pub size: u64,
    /// SHA-256, lower-case hexadecimal.
    pub sha256: String,
}

/// What a plan depends on, of an account in a region; `None` is unknown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AccountFacts {
    /// Whether the account refuses launches that do not require IMDSv2.
    pub imds_v2_enforced: Option<bool>,
}

/// What the user asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PlanOptions {
    /// Virtualization inside a virtual machine.
    pub nested: bool,
    /// IMDS tokens as asked, instead of by the AMI's date.
    pub tokens: Option<HttpTokens>,
}

/// Whether IMDS demands a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HttpTokens {
    /// IMDSv1 and v2.
    Optional,
    /// IMDSv2 only.
    Required,
}

/// How the image comes to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Chain {
    /// UEFI, the official arm64 iPXE, the EFI image.
    OfficialEfi,
    /// BIOS, the official x86_64 iPXE, the multiboot ELF image.
    OfficialBios,
    /// UEFI, this account's own UEFI iPXE for x86_64, the EFI image.
    OwnEfi,
}

/// A chain that boots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootPlan {
    /// The type.
    pub instance_type: String,
    /// How the image comes to run.
    pub chain: Chain,
    /// The AMI to launch.
    pub ami: AmiFacts,
    /// What to set for IMDS.
    pub tokens: HttpTokens,
    /// Whether to switch nested virtualization on.
    pub nested: bool,
    /// Whether it is a metal type: slower to start by an order, and dearer.
    pub metal: bool,
    /// Whether the type has a serial console.
    pub serial_console: bool,
    /// What may go wrong.
    pub warnings: Vec<PlanWarning>,
}

/// Something that may keep a plan from booting, or from being watched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanWarning {
    /// The AMI is older than iPXE's support for the type's network card.
    #[error(
        "{ami} is older than iPXE's driver for {instance_type} ({since}): it may find no network"
    )]
    OldNetworkDriver {
        /// The AMI's name.
        ami: String,
        /// The type.
        instance_type: String,
        /// When support came.
        since: &'static str,
    },
    /// The type has no serial console: output comes by polling, late and with gaps.
    #[error("{instance_type} has no serial console: its output is polled")]
    NoSerialConsole {
        /// The type.
        instance_type: String,
    },
    /// The account may refuse the launch, and could not be asked.
    #[error("{ami} needs IMDSv1, and whether this account allows it is unknown")]
    ImdsUnknown {
        /// The AMI's name.
        ami: String,
    },
}

/// Why an image cannot boot on a machine.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// The image is for another architecture than the machine.
    #[error("the image is for {image} and {instance_type} is {}", .machine.join("/"))]
    ArchMismatch {
        /// The image's.
        image: Arch,
        /// The machine's, in EC2's words.
        machine: Vec<String>,
        /// The type.
        instance_type: String,
    },
    /// x86_64 EFI on a type without UEFI; the ELF image works.
    #[error("{instance_type} has no UEFI{}: an x86_64 EFI image cannot boot there, an ELF image can", if *.metal { " (no x86_64 metal type has)" } else { "" })]
    NoUefi {
        /// The type.
        instance_type: String,
        /// Whether it is a metal type.
        metal: bool,
    },
    /// An ELF image of an architecture whose machines start only EFI images.
    #[error(
        "{arch} machines boot by UEFI: an ELF image cannot boot on {instance_type}, an EFI image can"
    )]
    ElfNeedsBios {
        /// The image's architecture.
        arch: Arch,
        /// The type.
        instance_type: String,
    },
    /// No official AMI for the architecture is visible in the region.
    #[error("no official iPXE AMI for {arch} is visible in this region")]
    NoOfficialAmi {
        /// The architecture.
        arch: Arch,
    },
    /// x86_64 EFI needs an AMI of this account, and there is none.
    #[error(
        "an x86_64 EFI image needs a UEFI iPXE AMI of this account, and there is none in this region"
    )]
    NoOwnAmi {
        /// The type.
        instance_type: String,
    },
    /// The account demands IMDSv2 and the AMI's iPXE does not speak it.
    #[error(
        "this account demands IMDSv2, which {ami} does not speak (iPXE builds since 2026-07-14 do)"
    )]
    ImdsV2Enforced {
        /// The AMI's name.
        ami: String,
    },
    /// The type has no nested virtualization.
    #[error("{instance_type} has no nested virtualization")]
    NoNested {
        /// The type.
        instance_type: String,
    },
}

impl PlanError {
    /// A stable word for the kind of refusal.
    pub fn code(&self) -> &'static str {
        match self {
            Self::ArchMismatch { .. } => "arch-mismatch",
            Self::NoUefi { .. } => "no-uefi",
            Self::ElfNeedsBios { .. } => "elf-needs-bios",
            Self::NoOfficialAmi { .. } => "no-official-ami",
            Self::NoOwnAmi { .. } => "no-own-ami",
            Self::ImdsV2Enforced { .. } => "imds-v2-enforced",
            Self::NoNested { .. } => "no-nested",
        }
    }
}

/// Which kind of image to build for a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KindChoice {
    /// EFI or ELF.
    pub kind: Kind,
    /// One sentence, when it is not the EFI image that one would expect.
    pub why: Option<String>,
}

/// Decides how `image` boots on `machine`, or says why it cannot.
pub fn plan(
    image: &ImageFacts,
    machine: &InstanceTypeFacts,
    amis: &[AmiFacts],
    account: &AccountFacts,
    options: &PlanOptions,
) -> Result<BootPlan, PlanError> {
    let _ = (image, machine, amis, account, options);
    todo!()
}

/// The kind of image that boots on `machine`: EFI wherever it can, ELF where x86_64 has no
/// UEFI or no AMI for it.
pub fn best_kind(arch: Arch, machine: &InstanceTypeFacts, amis: &[AmiFacts]) -> KindChoice {
    let _ = (arch, machine, amis);
    todo!()
}
