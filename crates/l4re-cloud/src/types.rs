//! Instance types: what EC2 says of them, reduced to what a boot depends on.
//!
//! Invariant: facts come from DescribeInstanceTypes, never from a list of names, but for
//! the serial console, which that call does not report.

use l4re_image::Arch;

/// How firmware starts a machine, in EC2's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BootMode {
    /// `legacy-bios`.
    LegacyBios,
    /// `uefi`.
    Uefi,
    /// `uefi-preferred`, which only AMIs have.
    UefiPreferred,
}

/// What runs under the guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Hypervisor {
    /// Nothing: a metal type.
    None,
    /// Nitro.
    Nitro,
    /// Xen.
    Xen,
}

/// What a boot depends on, of one instance type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceTypeFacts {
    /// `m7g.metal`.
    pub name: String,
    /// Architectures that L4Re has; empty for Macs.
    pub archs: Vec<Arch>,
    /// Architectures in EC2's words, as reported.
    pub ec2_archs: Vec<String>,
    /// Whether it is a metal type.
    pub bare_metal: bool,
    /// What runs under the guest.
    pub hypervisor: Hypervisor,
    /// The firmware it has.
    pub boot_modes: Vec<BootMode>,
    /// Whether a guest may use virtualization, metal aside.
    pub nested_virtualization: bool,
    /// Default number of virtual processors.
    pub vcpus: u32,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// Whether it can be had as spot capacity.
    pub spot: bool,
    /// Whether its network interface is ENA.
    pub ena: bool,
}

impl BootMode {
    /// EC2's spelling.
    pub fn ec2(self) -> &'static str {
        match self {
            Self::LegacyBios => "legacy-bios",
            Self::Uefi => "uefi",
            Self::UefiPreferred => "uefi-preferred",
        }
    }

    /// From EC2's spelling.
    pub fn from_ec2(text: &str) -> Option<Self> {
        [Self::LegacyBios, Self::Uefi, Self::UefiPreferred].into_iter().find(|m| m.ec2() == text)
    }
}
