//! Instance types: real ones with AWS's own attributes, as data. The file holds what
//! `DescribeInstanceTypes` answers, one type a line, with EC2's XML names.

use std::sync::LazyLock;

use serde_json::{Value, json};

use super::actions::Call;
use super::filters::{self, Paths, glob};
use super::network::zones;
use super::pages::page;
use crate::fault::Fault;
use crate::state::{Architecture, BootMode};

static TYPES: LazyLock<Vec<Value>> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../../data/instance-types.json"))
        .unwrap_or_else(|error| unreachable!("the table is checked by a test: {error}"))
});

const PATHS: Paths = &[
    ("auto-recovery-supported", "autoRecoverySupported"),
    ("bare-metal", "bareMetal"),
    ("burstable-performance-supported", "burstablePerformanceSupported"),
    ("current-generation", "currentGeneration"),
    ("dedicated-hosts-supported", "dedicatedHostsSupported"),
    ("ebs-info.attachment-limit-type", "ebsInfo.attachmentLimitType"),
    (
        "ebs-info.ebs-optimized-info.baseline-bandwidth-in-mbps",
        "ebsInfo.ebsOptimizedInfo.baselineBandwidthInMbps",
    ),
    ("ebs-info.ebs-optimized-info.baseline-iops", "ebsInfo.ebsOptimizedInfo.baselineIops"),
    (
        "ebs-info.ebs-optimized-info.baseline-throughput-in-mbps",
        "ebsInfo.ebsOptimizedInfo.baselineThroughputInMBps",
    ),
    (
        "ebs-info.ebs-optimized-info.maximum-bandwidth-in-mbps",
        "ebsInfo.ebsOptimizedInfo.maximumBandwidthInMbps",
    ),
    ("ebs-info.ebs-optimized-info.maximum-iops", "ebsInfo.ebsOptimizedInfo.maximumIops"),
    (
        "ebs-info.ebs-optimized-info.maximum-throughput-in-mbps",
        "ebsInfo.ebsOptimizedInfo.maximumThroughputInMBps",
    ),
    ("ebs-info.ebs-optimized-support", "ebsInfo.ebsOptimizedSupport"),
    ("ebs-info.encryption-support", "ebsInfo.encryptionSupport"),
    ("ebs-info.maximum-ebs-attachments", "ebsInfo.maximumEbsAttachments"),
    ("ebs-info.nvme-support", "ebsInfo.nvmeSupport"),
    ("free-tier-eligible", "freeTierEligible"),
    ("hibernation-supported", "hibernationSupported"),
    ("hypervisor", "hypervisor"),
    ("instance-storage-info.disk.count", "instanceStorageInfo.disks.count"),
    ("instance-storage-info.disk.size-in-gb", "instanceStorageInfo.disks.sizeInGB"),
    ("instance-storage-info.disk.type", "instanceStorageInfo.disks.type"),
    ("instance-storage-info.encryption-support", "instanceStorageInfo.encryptionSupport"),
    ("instance-storage-info.nvme-support", "instanceStorageInfo.nvmeSupport"),
    ("instance-storage-info.total-size-in-gb", "instanceStorageInfo.totalSizeInGB"),
    ("instance-storage-supported", "instanceStorageSupported"),
    ("instance-type", "instanceType"),
    ("memory-info.size-in-mib", "memoryInfo.sizeInMiB"),
    ("network-info.bandwidth-weightings", "networkInfo.bandwidthWeightings"),
    ("network-info.efa-info.maximum-efa-interfaces", "networkInfo.efaInfo.maximumEfaInterfaces"),
    ("network-info.efa-supported", "networkInfo.efaSupported"),
    ("network-info.ena-support", "networkInfo.enaSupport"),
    ("network-info.encryption-in-transit-supported", "networkInfo.encryptionInTransitSupported"),
    ("network-info.flexible-ena-queues-support", "networkInfo.flexibleEnaQueuesSupport"),
    ("network-info.ipv4-addresses-per-interface", "networkInfo.ipv4AddressesPerInterface"),
    ("network-info.ipv6-addresses-per-interface", "networkInfo.ipv6AddressesPerInterface"),
    ("network-info.ipv6-supported", "networkInfo.ipv6Supported"),
    ("network-info.maximum-network-cards", "networkInfo.maximumNetworkCards"),
    ("network-info.maximum-network-interfaces", "networkInfo.maximumNetworkInterfaces"),
    ("network-info.network-performance", "networkInfo.networkPerformance"),
    ("nitro-enclaves-support", "nitroEnclavesSupport"),
    ("nitro-tpm-info.supported-versions", "nitroTpmInfo.supportedVersions"),
    ("nitro-tpm-support", "nitroTpmSupport"),
    ("processor-info.supported-architecture", "processorInfo.supportedArchitectures"),
    ("processor-info.supported-features", "processorInfo.supportedFeatures"),
    ("processor-info.sustained-clock-speed-in-ghz", "processorInfo.sustainedClockSpeedInGhz"),
    ("reboot-migration-support", "rebootMigrationSupport"),
    ("supported-boot-mode", "supportedBootModes"),
    ("supported-root-device-type", "supportedRootDeviceTypes"),
    ("supported-usage-class", "supportedUsageClasses"),
    ("supported-virtualization-type", "supportedVirtualizationTypes"),
    ("vcpu-info.default-cores", "vCpuInfo.defaultCores"),
    ("vcpu-info.default-threads-per-core", "vCpuInfo.defaultThreadsPerCore"),
    ("vcpu-info.default-vcpus", "vCpuInfo.defaultVCpus"),
    ("vcpu-info.valid-cores", "vCpuInfo.validCores"),
    ("vcpu-info.valid-threads-per-core", "vCpuInfo.validThreadsPerCore"),
];

/// `DescribeInstanceTypes`.
pub(super) fn describe(call: &Call<'_>) -> Result<Value, Fault> {
    let root = call.root();
    let names = root.list("InstanceType");
    if let Some(unknown) = names.iter().find(|name| !name.contains('*') && find(name).is_err()) {
        return Err(Fault::client(
            "InvalidInstanceType",
            format!("The following supplied instance types do not exist: [{unknown}]"),
        ));
    }
    let mut types: Vec<Value> = TYPES
        .iter()
        .filter(|entry| {
            let name = entry["instanceType"].as_str().unwrap_or_default();
            names.is_empty() || names.iter().any(|wanted| glob(wanted.as_bytes(), name.as_bytes()))
        })
        .cloned()
        .collect();
    filters::retain(&mut types, &root, PATHS)?;
    let (types, next) = page(types, &root, 5..=100)?;
    Ok(json!({ "instanceTypeSet": types, "nextToken": next }))
}

/// `DescribeInstanceTypeOfferings`: every type of the table, everywhere.
pub(super) fn offerings(call: &Call<'_>) -> Result<Value, Fault> {
    let root = call.root();
    let region = &call.twin.config.region;
    let location_type = root.get("LocationType").unwrap_or("region");
    let locations: Vec<String> = match location_type {
        "region" => vec![region.clone()],
        "availability-zone" => zones(region).map(|zone| zone.name).collect(),
        "availability-zone-id" => zones(region).map(|zone| zone.id).collect(),
        other => return Err(Fault::invalid(format!("Invalid location type: {other}"))),
    };
    let mut offerings: Vec<Value> = TYPES
        .iter()
        .flat_map(|entry| {
            locations.iter().map(|location| {
                json!({
                    "instanceType": entry["instanceType"],
                    "locationType": location_type,
                    "location": location,
                })
            })
        })
        .collect();
    filters::retain(
        &mut offerings,
        &root,
        &[("instance-type", "instanceType"), ("location", "location")],
    )?;
    let (offerings, next) = page(offerings, &root, 5..=1000)?;
    Ok(json!({ "instanceTypeOfferingSet": offerings, "nextToken": next }))
}

/// One type of the table.
#[derive(Debug, Clone, Copy)]
pub(super) struct InstanceType(&'static Value);

/// The type of this name.
pub(super) fn find(name: &str) -> Result<InstanceType, Fault> {
    TYPES
        .iter()
        .find(|entry| entry["instanceType"] == name)
        .map(InstanceType)
        .ok_or_else(|| Fault::invalid(format!("Invalid value '{name}' for InstanceType.")))
}

/// The names of all types.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    TYPES.iter().filter_map(|entry| entry["instanceType"].as_str())
}

/// A type's memory in MiB and its vCPUs.
pub(crate) fn memory_and_vcpus(name: &str) -> Option<(u64, u64)> {
    let InstanceType(entry) = find(name).ok()?;
    Some((entry["memoryInfo"]["sizeInMiB"].as_u64()?, entry["vCpuInfo"]["defaultVCpus"].as_u64()?))
}

/// Whether a type is a whole machine.
pub(crate) fn is_bare_metal(name: &str) -> bool {
    find(name).is_ok_and(InstanceType::is_bare_metal)
}

/// How many types there are.
#[cfg(test)]
pub(crate) fn type_count() -> usize {
    TYPES.len()
}

/// Whether a type is one of Nitro's, by its name.
pub(crate) fn is_nitro(name: &str) -> bool {
    find(name).is_ok_and(InstanceType::is_nitro)
}

impl InstanceType {
    fn lists(self, path: &str, name: &str) -> bool {
        self.0
            .pointer(path)
            .and_then(Value::as_array)
            .is_some_and(|list| list.iter().any(|item| item == name))
    }

    pub(super) fn supports_architecture(self, architecture: Architecture) -> bool {
        self.lists("/processorInfo/supportedArchitectures", architecture.name())
    }

    pub(super) fn supports_boot_mode(self, mode: BootMode) -> bool {
        self.lists("/supportedBootModes", mode.name())
    }

    pub(super) fn supports_spot(self) -> bool {
        self.lists("/supportedUsageClasses", "spot")
    }

    pub(super) fn supports_nested_virtualization(self) -> bool {
        self.lists("/processorInfo/supportedFeatures", "nested-virtualization")
    }

    pub(super) fn is_bare_metal(self) -> bool {
        self.0["bareMetal"] == true
    }

    pub(super) fn is_nitro(self) -> bool {
        self.0["hypervisor"] != "xen"
    }

    /// The first architecture, to say in refusals.
    pub(super) fn architecture(self) -> &'static str {
        self.0
            .pointer("/processorInfo/supportedArchitectures")
            .and_then(|list| list.as_array()?.last()?.as_str())
            .unwrap_or("unknown")
    }

    /// Whether instances can have so many cores with so many threads. Where the table does not
    /// say, they are as the type has them.
    pub(super) fn can_have(self, cores: u32, threads: u32) -> bool {
        let (own_cores, own_threads) = self.cores_and_threads();
        let fits = |name: &str, wanted: u32, own: u64| match self.0["vCpuInfo"][name].as_array() {
            Some(list) => list.iter().any(|number| *number == wanted),
            None => own == u64::from(wanted),
        };
        fits("validCores", cores, own_cores) && fits("validThreadsPerCore", threads, own_threads)
    }

    /// Cores and threads per core, as instances report them.
    pub(super) fn cores_and_threads(self) -> (u64, u64) {
        let number = |name: &str| self.0["vCpuInfo"][name].as_u64();
        let vcpus = number("defaultVCpus").unwrap_or(1);
        (number("defaultCores").unwrap_or(vcpus), number("defaultThreadsPerCore").unwrap_or(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_holds_at_least_forty_types_of_every_class() {
        assert!(TYPES.len() >= 40);
        for (name, architecture, uefi, metal) in [
            ("m7g.metal", Architecture::Arm64, true, true),
            ("t4g.nano", Architecture::Arm64, true, false),
            ("c5.metal", Architecture::X86_64, false, true),
            ("c7i-flex.large", Architecture::X86_64, true, false),
            ("t2.micro", Architecture::X86_64, false, false),
        ] {
            let entry = find(name).unwrap();
            assert!(entry.supports_architecture(architecture), "{name}");
            assert_eq!(entry.supports_boot_mode(BootMode::Uefi), uefi, "{name}");
            assert_eq!(entry.is_bare_metal(), metal, "{name}");
        }
        assert!(find("c7i-flex.large").unwrap().supports_nested_virtualization());
        assert!(!find("t2.micro").unwrap().is_nitro());
        let can = |name: &str, cores, threads| find(name).unwrap().can_have(cores, threads);
        assert!(can("t3.nano", 1, 1) && !can("t3.nano", 1, 3) && !can("t3.nano", 2, 1));
        assert!(can("m7g.metal", 64, 1) && !can("m7g.metal", 32, 1));
    }

    #[test]
    fn every_type_has_memory_cores_and_an_architecture_that_the_twin_boots() {
        for entry in TYPES.iter() {
            let name = entry["instanceType"].as_str().unwrap();
            assert!(memory_and_vcpus(name).is_some(), "{name}");
            let known = ["x86_64", "arm64"].contains(&find(name).unwrap().architecture());
            assert!(known, "{name}");
        }
    }
}
