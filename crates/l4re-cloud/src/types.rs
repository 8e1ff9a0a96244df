//! Instance types: what EC2 says of them, reduced to what a boot depends on.
//!
//! Invariant: facts come from DescribeInstanceTypes, never from a list of names, but for
//! the serial console, which that call does not report.

use aws_sdk_ec2::types::{
    EnaSupport, InstanceType, InstanceTypeHypervisor, InstanceTypeInfo,
    SupportedAdditionalProcessorFeature, UsageClassType,
};
use l4re_image::Arch;

use crate::connect::Cloud;
use crate::error::CloudError;

/// What DescribeInstanceTypes takes in one call.
const MOST_NAMES: usize = 100;

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

impl InstanceTypeFacts {
    /// Whether it has this firmware.
    pub fn boots(&self, mode: BootMode) -> bool {
        self.boot_modes.contains(&mode)
    }

    /// `m7g` of `m7g.metal`.
    pub fn family(&self) -> &str {
        self.name.split('.').next().unwrap_or(&self.name)
    }

    /// `7` of `m7g.metal`: the first number in the family.
    pub fn generation(&self) -> Option<u32> {
        let digits = self.family().trim_start_matches(|c: char| !c.is_ascii_digit());
        let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
        digits[..end].parse().ok()
    }

    /// Whether it has a serial console: virtual Nitro and metal have, with exceptions that
    /// the EC2 user guide lists and no call reports.
    pub fn serial_console(&self) -> bool {
        let family = self.family();
        let without = matches!(family, "a1" | "g5g")
            || family.starts_with("mac")
            || (self.bare_metal && family.starts_with("u-") && family.ends_with("tb1"));
        self.hypervisor != Hypervisor::Xen && !without
    }

    /// The date since which iPXE drives the type's network card, where that is recent
    /// (iPXE commits c1badf71c and b2e846821, dfea3bbfa for m8g.medium).
    pub(crate) fn ipxe_driver_since(&self) -> Option<&'static str> {
        match self.generation() {
            Some(8) if self.name == "m8g.medium" => Some("2025-11-24"),
            Some(generation) if generation >= 7 && self.ena => Some("2025-10-01"),
            _ => None,
        }
    }
}

impl Cloud {
    /// Facts of the types, in the order of `names`; those that the region does not have are
    /// left out.
    pub async fn instance_types(
        &self,
        names: &[String],
    ) -> Result<Vec<InstanceTypeFacts>, CloudError> {
        let chunks = names.chunks(MOST_NAMES).map(|names| self.known_types(names));
        let found = futures::future::try_join_all(chunks).await?.concat();
        let facts: Vec<InstanceTypeFacts> = found.iter().filter_map(facts).collect();
        let in_order = |name: &String| facts.iter().find(|f| f.name == *name).cloned();
        Ok(names.iter().filter_map(in_order).collect())
    }

    /// One unknown name spoils the answer for all: then each is asked for by itself.
    async fn known_types(&self, names: &[String]) -> Result<Vec<InstanceTypeInfo>, CloudError> {
        let answer = self.described_types(names).await;
        if names.len() > 1 && answer.as_ref().is_err_and(is_unknown_type) {
            let each = names.iter().map(|name| self.described_types(std::slice::from_ref(name)));
            let answers = futures::future::join_all(each).await.into_iter();
            let known = answers.filter(|answer| !answer.as_ref().is_err_and(is_unknown_type));
            return known.collect::<Result<Vec<_>, _>>().map(|found| found.concat());
        }
        match answer {
            Err(error) if is_unknown_type(&error) => Ok(Vec::new()),
            answer => answer,
        }
    }

    async fn described_types(&self, names: &[String]) -> Result<Vec<InstanceTypeInfo>, CloudError> {
        let types = names.iter().map(|name| InstanceType::from(name.as_str())).collect();
        let request = self.ec2().describe_instance_types().set_instance_types(Some(types));
        let answer = self.call("ec2:DescribeInstanceTypes", request.send()).await?;
        Ok(answer.instance_types.unwrap_or_default())
    }
}

fn is_unknown_type(error: &CloudError) -> bool {
    matches!(error, CloudError::Service { code, .. } if code == "InvalidInstanceType")
}

fn facts(info: &InstanceTypeInfo) -> Option<InstanceTypeFacts> {
    let processor = info.processor_info.as_ref();
    let ec2_archs: Vec<String> = processor
        .map(|p| p.supported_architectures().iter().map(|a| a.as_str().to_owned()).collect())
        .unwrap_or_default();
    let has_nested = |p: &aws_sdk_ec2::types::ProcessorInfo| {
        p.supported_features().contains(&SupportedAdditionalProcessorFeature::NestedVirtualization)
    };
    let bare_metal = info.bare_metal.unwrap_or_default();
    let number = |n: i64| u64::try_from(n).unwrap_or_default();
    let modes = info.supported_boot_modes();
    Some(InstanceTypeFacts {
        name: info.instance_type.as_ref()?.as_str().to_owned(),
        archs: archs(&ec2_archs),
        ec2_archs,
        bare_metal,
        hypervisor: match info.hypervisor.as_ref() {
            Some(InstanceTypeHypervisor::Xen) => Hypervisor::Xen,
            None if bare_metal => Hypervisor::None,
            _ => Hypervisor::Nitro,
        },
        boot_modes: modes.iter().filter_map(|mode| BootMode::from_ec2(mode.as_str())).collect(),
        nested_virtualization: processor.is_some_and(has_nested),
        vcpus: info
            .v_cpu_info
            .as_ref()
            .and_then(|v| v.default_v_cpus)
            .map_or(0, |n| n.cast_unsigned()),
        memory_mib: info.memory_info.as_ref().and_then(|m| m.size_in_mib).map_or(0, number),
        spot: info.supported_usage_classes().contains(&UsageClassType::Spot),
        ena: info.network_info.as_ref().is_some_and(|network| {
            matches!(network.ena_support, Some(EnaSupport::Required | EnaSupport::Supported))
        }),
    })
}

/// The architectures that L4Re has, of EC2's words. A Mac's word is none of them.
pub(crate) fn archs(words: &[String]) -> Vec<Arch> {
    words.iter().filter_map(|word| Arch::all().find(|a| a.ec2() == Some(word))).collect()
}
