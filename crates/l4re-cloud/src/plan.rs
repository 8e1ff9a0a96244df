//! The boot plan: from an image, a type, AMIs and an account to a chain that boots, or to
//! a refusal that says what would.
//!
//! Invariant: pure; no call, no clock, no environment. Follows the table of
//! "Three facts that decide the design" (EC2 user guide, "Boot modes").

use std::time::Duration;

use l4re_image::{Arch, Image, Inspection, Kind};

use crate::ami::{AmiFacts, AmiOwner};
use crate::place::CutOff;
use crate::types::{BootMode, InstanceTypeFacts};

/// What a plan depends on, of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageFacts {
    /// Its architecture.
    pub arch: Arch,
    /// EFI or ELF.
    pub kind: Kind,
    /// Bytes, if known.
    pub size: Option<u64>,
    /// SHA-256 in lower-case hexadecimal, if known.
    pub sha256: Option<String>,
    /// Whether its kernel must be entered in EL2, if known.
    pub wants_el2: Option<bool>,
}

impl From<&Image> for ImageFacts {
    fn from(image: &Image) -> Self {
        Self {
            arch: image.arch,
            kind: image.kind,
            size: Some(image.size),
            sha256: Some(image.sha256.clone()),
            wants_el2: None,
        }
    }
}

impl From<&Inspection> for ImageFacts {
    fn from(inspection: &Inspection) -> Self {
        Self {
            arch: inspection.arch,
            kind: inspection.kind,
            size: Some(inspection.size),
            sha256: inspection.sha256.clone(),
            wants_el2: inspection.wants_el2,
        }
    }
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
    /// What firmware starts, instead of what fits.
    pub boot: Option<Boot>,
}

/// What firmware starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Boot {
    /// The image, from a disk of its own: an AMI for each image.
    Disk,
    /// An iPXE, which fetches the image: one AMI for all.
    Ipxe,
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
    /// UEFI, the EFI image from its own disk: an AMI of this account.
    Disk,
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
    /// The kernel wants EL2, which a virtual Graviton does not offer.
    #[error(
        "the image's kernel wants EL2, which {instance_type} is not known to offer (metal does)"
    )]
    WantsEl2 {
        /// The type.
        instance_type: String,
    },
    /// The type has no serial console: output comes by polling, late and with gaps.
    #[error("{instance_type} has no serial console: its output is polled")]
    NoSerialConsole {
        /// The type.
        instance_type: String,
    },
    /// IMDSv2 was asked for and the AMI's iPXE does not speak it.
    #[error("{ami} does not speak IMDSv2: with tokens required it finds no script")]
    NoImdsV2 {
        /// The AMI's name.
        ami: String,
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
        /// Whether the image was to start from a disk, which only an EFI image can.
        disk: bool,
    },
    /// An ELF image on a type that has only UEFI; the EFI image works.
    #[error("{instance_type} boots by UEFI only: an ELF image cannot boot there, an EFI image can")]
    NoBios {
        /// The type.
        instance_type: String,
    },
    /// No official AMI for the architecture is visible in the region.
    #[error("no official iPXE AMI for {arch} is visible in this region")]
    NoOfficialAmi {
        /// The architecture.
        arch: Arch,
        /// Whether the type could start an EFI image from a disk instead.
        disk: bool,
    },
    /// The image would start from a disk, and no AMI of this account holds it yet.
    #[error("no AMI of this account holds the image")]
    NoDiskAmi,
    /// Firmware starts EFI images from disks only.
    #[error("an ELF image cannot start from a disk: firmware starts EFI images only")]
    ElfOnDisk,
    /// There is no iPXE with UEFI for x86_64 in the account, and it was asked for.
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
    /// No machine was asked for that the region has.
    #[error("no instance type is left to plan for")]
    NoMachine,
    /// The type is not sold as spot capacity, and nothing else was asked for.
    #[error("{instance_type} cannot be had as spot capacity")]
    NoSpot {
        /// The type.
        instance_type: String,
    },
    /// A machine in the subnet that was asked for could not fetch the image.
    #[error("a machine in {subnet} could not fetch its image: {}", .why.sentence())]
    CutOff {
        /// Why not.
        why: CutOff,
        /// The subnet.
        subnet: String,
        /// Its VPC.
        vpc: Option<String>,
        /// Its route table.
        table: Option<String>,
        /// The region.
        region: String,
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
            Self::NoBios { .. } => "no-bios",
            Self::NoOfficialAmi { .. } => "no-official-ami",
            Self::NoDiskAmi => "no-disk-ami",
            Self::ElfOnDisk => "elf-on-disk",
            Self::NoOwnAmi { .. } => "no-own-ami",
            Self::ImdsV2Enforced { .. } => "imds-v2-enforced",
            Self::NoMachine => "no-machine",
            Self::NoSpot { .. } => "no-spot",
            Self::CutOff { .. } => "cut-off",
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

const METAL_USUAL: Duration = Duration::from_secs(20 * 60);
const VIRTUAL_USUAL: Duration = Duration::from_secs(60);

/// How long a machine usually takes from `running` to its first output.
pub const fn usual_wait(metal: bool) -> Duration {
    if metal { METAL_USUAL } else { VIRTUAL_USUAL }
}

/// Decides how `image` boots on `machine`, or says why it cannot.
pub fn plan(
    image: &ImageFacts,
    machine: &InstanceTypeFacts,
    amis: &[AmiFacts],
    account: &AccountFacts,
    options: &PlanOptions,
) -> Result<BootPlan, PlanError> {
    fits(image, machine, options.boot)?;
    if options.nested && !machine.bare_metal && !machine.nested_virtualization {
        return Err(PlanError::NoNested { instance_type: machine.name.clone() });
    }
    let (ami, chain) = choose_ami(image, machine, amis, options.boot)?;
    let tokens = tokens(ami, account, options)?;
    Ok(BootPlan {
        instance_type: machine.name.clone(),
        chain,
        tokens,
        nested: options.nested && !machine.bare_metal,
        metal: machine.bare_metal,
        serial_console: machine.serial_console(),
        warnings: warnings(image, machine, ami, tokens, account),
        ami: ami.clone(),
    })
}

/// Whether firmware of the machine can come to start an image of this kind at all.
fn fits(
    image: &ImageFacts,
    machine: &InstanceTypeFacts,
    boot: Option<Boot>,
) -> Result<(), PlanError> {
    let instance_type = machine.name.clone();
    if !machine.archs.contains(&image.arch) {
        return Err(PlanError::ArchMismatch {
            image: image.arch,
            machine: machine.ec2_archs.clone(),
            instance_type,
        });
    }
    match image.kind {
        Kind::Efi if !machine.boots(BootMode::Uefi) => {
            let disk = boot == Some(Boot::Disk);
            Err(PlanError::NoUefi { instance_type, metal: machine.bare_metal, disk })
        }
        Kind::Elf if !machine.boots(BootMode::LegacyBios) => {
            Err(PlanError::NoBios { instance_type })
        }
        _ => Ok(()),
    }
}

/// The newest AMI of the chain. On x86_64 an own UEFI AMI comes first: there is no
/// official one, and should there be one some day, its boot mode will tell. Where there is
/// none at all, the image starts from a disk of its own.
fn choose_ami<'a>(
    image: &ImageFacts,
    machine: &InstanceTypeFacts,
    amis: &'a [AmiFacts],
    boot: Option<Boot>,
) -> Result<(&'a AmiFacts, Chain), PlanError> {
    let newest = |owner: AmiOwner, uefi: bool| {
        amis.iter()
            .filter(|ami| ami.image.is_none() && ami.owner == owner)
            .filter(|ami| ami.starts(machine) && ami.is_uefi() == uefi)
            .max_by_key(|ami| ami.created)
    };
    let disk = || {
        amis.iter()
            .filter(|ami| ami.image.is_some() && ami.image == image.sha256 && ami.starts(machine))
            .max_by_key(|ami| ami.created)
            .map(|ami| (ami, Chain::Disk))
            .ok_or(PlanError::NoDiskAmi)
    };
    let own = || newest(AmiOwner::Own, true).map(|ami| (ami, Chain::OwnEfi));
    let official = |uefi, chain| newest(AmiOwner::Ipxe, uefi).map(|ami| (ami, chain));
    let arch = image.arch;
    let none = || PlanError::NoOfficialAmi { arch, disk: machine.boots(BootMode::Uefi) };
    if boot == Some(Boot::Disk) {
        return if image.kind == Kind::Elf { Err(PlanError::ElfOnDisk) } else { disk() };
    }
    match (image.kind, arch) {
        (Kind::Elf, _) => official(false, Chain::OfficialBios).ok_or_else(none),
        (Kind::Efi, Arch::Arm64) => official(true, Chain::OfficialEfi).ok_or_else(none),
        (Kind::Efi, _) => match own().or_else(|| official(true, Chain::OfficialEfi)) {
            Some(found) => Ok(found),
            None if boot == Some(Boot::Ipxe) => {
                Err(PlanError::NoOwnAmi { instance_type: machine.name.clone() })
            }
            None => disk(),
        },
    }
}

/// IMDSv2 only, where the AMI's iPXE speaks it; an account that enforces it rules out
/// older ones.
fn tokens(
    ami: &AmiFacts,
    account: &AccountFacts,
    options: &PlanOptions,
) -> Result<HttpTokens, PlanError> {
    let enforced = account.imds_v2_enforced == Some(true);
    if enforced && !ami.speaks_imds_v2() {
        return Err(PlanError::ImdsV2Enforced { ami: ami.name.clone() });
    }
    let by_ami = if ami.speaks_imds_v2() { HttpTokens::Required } else { HttpTokens::Optional };
    if enforced {
        return Ok(HttpTokens::Required);
    }
    Ok(options.tokens.unwrap_or(by_ami))
}

fn warnings(
    image: &ImageFacts,
    machine: &InstanceTypeFacts,
    ami: &AmiFacts,
    tokens: HttpTokens,
    account: &AccountFacts,
) -> Vec<PlanWarning> {
    let mut warnings = Vec::new();
    let instance_type = machine.name.clone();
    if let Some(since) = machine.ipxe_driver_since()
        && ami.owner == AmiOwner::Ipxe
        && ami.built().as_str() < since
    {
        let ami = ami.name.clone();
        warnings.push(PlanWarning::OldNetworkDriver {
            ami,
            instance_type: instance_type.clone(),
            since,
        });
    }
    if image.wants_el2 == Some(true) && image.arch == Arch::Arm64 && !machine.bare_metal {
        warnings.push(PlanWarning::WantsEl2 { instance_type: instance_type.clone() });
    }
    if !machine.serial_console() {
        warnings.push(PlanWarning::NoSerialConsole { instance_type });
    }
    if tokens == HttpTokens::Optional && account.imds_v2_enforced.is_none() {
        warnings.push(PlanWarning::ImdsUnknown { ami: ami.name.clone() });
    }
    if tokens == HttpTokens::Required && !ami.speaks_imds_v2() {
        warnings.push(PlanWarning::NoImdsV2 { ami: ami.name.clone() });
    }
    warnings
}

/// The kind of image that boots on `machine`: EFI wherever it can, ELF where x86_64 has no
/// UEFI or no AMI for it.
pub fn best_kind(arch: Arch, machine: &InstanceTypeFacts, amis: &[AmiFacts]) -> KindChoice {
    let name = &machine.name;
    let elf = |why| KindChoice { kind: Kind::Elf, why: Some(why) };
    if arch == Arch::Arm64 || !machine.boots(BootMode::LegacyBios) {
        return KindChoice { kind: Kind::Efi, why: None };
    }
    if !machine.boots(BootMode::Uefi) {
        let class = if machine.bare_metal { "x86_64 metal has no UEFI" } else { "it has no UEFI" };
        return elf(format!("{class}: {name} boots an ELF image through BIOS iPXE"));
    }
    if !amis.iter().any(|ami| ami.image.is_none() && ami.starts(machine) && ami.is_uefi()) {
        return elf(format!(
            "this account has no UEFI iPXE AMI for x86_64: {name} boots an ELF image through BIOS iPXE"
        ));
    }
    KindChoice { kind: Kind::Efi, why: None }
}

#[cfg(test)]
mod tests;
