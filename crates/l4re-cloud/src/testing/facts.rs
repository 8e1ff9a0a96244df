//! Facts for tests: a small committed table of instance types, AMIs, prepared lookups.

use l4re_image::{Arch, Kind};

use crate::ami::{AmiFacts, AmiOwner};
use crate::egress::Egress;
use crate::identity::Identity;
use crate::place::{Place, Subnet};
use crate::plan::{AccountFacts, ImageFacts};
use crate::prepare::{PrepareOptions, Prepared};
use crate::serial::SerialStatus;
use crate::types::{BootMode, Hypervisor, InstanceTypeFacts, archs};

/// Name, architectures, firmware, hypervisor (`metal` for none), nested virtualization: as
/// DescribeInstanceTypes reports them (2026-11).
const TABLE: [(&str, &str, &str, &str, bool); 14] = [
    ("m7g.metal", "arm64", "uefi", "metal", false),
    ("c7g.metal", "arm64", "uefi", "metal", false),
    ("a1.metal", "arm64", "uefi", "metal", false),
    ("t4g.nano", "arm64", "uefi", "nitro", false),
    ("m8g.medium", "arm64", "uefi", "nitro", false),
    ("g5g.xlarge", "arm64", "uefi", "nitro", false),
    ("c5.metal", "x86_64", "legacy-bios", "metal", false),
    ("c7i.metal-24xl", "x86_64", "legacy-bios", "metal", false),
    ("c7i-flex.large", "x86_64", "legacy-bios uefi", "nitro", true),
    ("t3.nano", "x86_64", "legacy-bios uefi", "nitro", false),
    ("m4.large", "x86_64", "legacy-bios", "xen", false),
    ("t2.micro", "i386 x86_64", "legacy-bios", "xen", false),
    ("u-6tb1.metal", "x86_64", "legacy-bios", "metal", false),
    ("mac2.metal", "arm64_mac", "legacy-bios", "metal", false),
];

/// A type of the table.
pub(crate) fn machine(name: &str) -> InstanceTypeFacts {
    let row = TABLE.into_iter().find(|row| row.0 == name).expect("a type of the table");
    let ec2_archs: Vec<String> = row.1.split(' ').map(ToOwned::to_owned).collect();
    InstanceTypeFacts {
        name: name.to_owned(),
        archs: archs(&ec2_archs),
        ec2_archs,
        bare_metal: row.3 == "metal",
        hypervisor: match row.3 {
            "metal" => Hypervisor::None,
            "xen" => Hypervisor::Xen,
            _ => Hypervisor::Nitro,
        },
        boot_modes: row.2.split(' ').filter_map(BootMode::from_ec2).collect(),
        nested_virtualization: row.4,
        vcpus: 2,
        memory_mib: 4096,
        spot: true,
        ena: row.3 != "xen",
    }
}

/// All types of the table.
pub(crate) fn machines() -> Vec<InstanceTypeFacts> {
    TABLE.iter().map(|row| machine(row.0)).collect()
}

/// `arm64` and `x86_64` are the official ones, `own` is the account's for UEFI on x86_64.
pub(crate) fn ami(which: &str) -> AmiFacts {
    let own = which == "own";
    let arch = if which == "arm64" { Arch::Arm64 } else { Arch::X86_64 };
    AmiFacts {
        id: format!("ami-{which}"),
        name: format!("iPXE (2026-08-01) ({which})"),
        arch,
        boot_mode: (which != "x86_64").then_some(BootMode::Uefi),
        created: "2026-08-01T03:00:00Z".parse().expect("a date"),
        owner: if own { AmiOwner::Own } else { AmiOwner::Ipxe },
        imds_v1_only: false,
        image: None,
    }
}

/// An image.
pub(crate) fn image(arch: Arch, kind: Kind) -> ImageFacts {
    ImageFacts { arch, kind, size: Some(1_572_864), sha256: Some("ab".repeat(32)), wants_el2: None }
}

/// Lookups for the types, each in two zones.
pub(crate) fn prepared(types: &[&str], amis: &[AmiFacts]) -> Prepared {
    let zones = ["eu-central-1a", "eu-central-1b"];
    let place = |name: &str, zone: &str| Place {
        instance_type: name.to_owned(),
        zone: Some(zone.to_owned()),
        subnet: Some(Subnet {
            id: format!("subnet-{zone}"),
            zone: zone.to_owned(),
            public: true,
            default: true,
            vpc: None,
            table: None,
            egress: Egress::Gateway,
        }),
    };
    Prepared {
        options: PrepareOptions { name: "hello".to_owned(), ..PrepareOptions::default() },
        identity: Identity {
            account: "123456789012".to_owned(),
            arn: "arn:aws:iam::123456789012:user/ada".to_owned(),
        },
        region: "eu-central-1".to_owned(),
        types: types.iter().map(|name| machine(name)).collect(),
        amis: amis.to_vec(),
        account: AccountFacts { imds_v2_enforced: Some(false) },
        serial: SerialStatus { enabled: Some(true), by_policy: false },
        places: types.iter().flat_map(|name| zones.map(|zone| place(name, zone))).collect(),
        running: None,
        last_dead: None,
        fetch_elsewhere: false,
    }
}
