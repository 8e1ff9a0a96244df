//! Tests of the boot plan.

use super::*;
use crate::testing::{ami, image, machine, machines};

fn all() -> Vec<AmiFacts> {
    vec![ami("arm64"), ami("x86_64"), ami("own")]
}

fn plain(image: &ImageFacts, name: &str, amis: &[AmiFacts]) -> Result<BootPlan, PlanError> {
    let account = AccountFacts { imds_v2_enforced: Some(false) };
    plan(image, &machine(name), amis, &account, &PlanOptions::default())
}

fn chain(arch: Arch, kind: Kind, name: &str) -> Result<Chain, &'static str> {
    plain(&image(arch, kind), name, &all()).map(|plan| plan.chain).map_err(|e| e.code())
}

#[test]
fn the_table_of_chains() {
    use Arch::{Arm64, X86_64};
    assert_eq!(chain(Arm64, Kind::Efi, "m7g.metal"), Ok(Chain::OfficialEfi));
    assert_eq!(chain(Arm64, Kind::Efi, "t4g.nano"), Ok(Chain::OfficialEfi));
    assert_eq!(chain(X86_64, Kind::Elf, "c5.metal"), Ok(Chain::OfficialBios));
    assert_eq!(chain(X86_64, Kind::Elf, "t3.nano"), Ok(Chain::OfficialBios));
    assert_eq!(chain(X86_64, Kind::Elf, "m4.large"), Ok(Chain::OfficialBios));
    assert_eq!(chain(X86_64, Kind::Efi, "c7i-flex.large"), Ok(Chain::OwnEfi));
    assert_eq!(chain(X86_64, Kind::Efi, "c5.metal"), Err("no-uefi"));
    assert_eq!(chain(X86_64, Kind::Efi, "m4.large"), Err("no-uefi"));
    assert_eq!(chain(Arm64, Kind::Elf, "m7g.metal"), Err("no-bios"));
    assert_eq!(chain(Arm64, Kind::Efi, "t3.nano"), Err("arch-mismatch"));
    assert_eq!(chain(X86_64, Kind::Elf, "mac2.metal"), Err("arch-mismatch"));
    assert_eq!(chain(Arch::Riscv64, Kind::Efi, "t3.nano"), Err("arch-mismatch"));
}

#[test]
fn best_kind_always_plans() {
    for machine in machines() {
        for arch in machine.archs.clone() {
            for amis in [all(), vec![ami("arm64"), ami("x86_64")]] {
                let choice = best_kind(arch, &machine, &amis);
                let image = image(arch, choice.kind);
                let options = PlanOptions::default();
                let result = plan(&image, &machine, &amis, &AccountFacts::default(), &options);
                assert!(result.is_ok(), "{arch} {}: {result:?}", machine.name);
            }
        }
    }
}

#[test]
fn metal_x86_builds_elf_and_says_why() {
    let choice = best_kind(Arch::X86_64, &machine("c5.metal"), &all());
    assert_eq!(choice.kind, Kind::Elf);
    assert!(choice.why.unwrap().contains("x86_64 metal has no UEFI"));
    let without = best_kind(Arch::X86_64, &machine("t3.nano"), &all()[..2]);
    assert!(without.kind == Kind::Elf && without.why.unwrap().contains("no UEFI iPXE AMI"));
    assert_eq!(best_kind(Arch::X86_64, &machine("t3.nano"), &all()).why, None);
}

#[test]
fn missing_amis_are_told_apart() {
    let efi = image(Arch::X86_64, Kind::Efi);
    assert_eq!(plain(&efi, "t3.nano", &all()[..2]).unwrap_err().code(), "no-disk-ami");
    let options = PlanOptions { boot: Some(Boot::Ipxe), ..PlanOptions::default() };
    let account = AccountFacts::default();
    let refused = plan(&efi, &machine("t3.nano"), &all()[..2], &account, &options);
    assert_eq!(refused.unwrap_err().code(), "no-own-ami");
    let elf = image(Arch::X86_64, Kind::Elf);
    assert_eq!(plain(&elf, "t3.nano", &[ami("own")]).unwrap_err().code(), "no-official-ami");
}

/// An AMI that holds the image `sum` for x86_64.
fn holding(sum: &str) -> AmiFacts {
    AmiFacts { id: "ami-disk".into(), image: Some(sum.to_owned()), ..ami("own") }
}

#[test]
fn an_image_starts_from_its_disk_if_asked_or_if_there_is_no_other_way() {
    let efi = image(Arch::X86_64, Kind::Efi);
    let sum = efi.sha256.clone().unwrap();
    let with = |image: &ImageFacts, amis: &[AmiFacts], boot| {
        let options = PlanOptions { boot, ..PlanOptions::default() };
        plan(image, &machine("t3.nano"), amis, &AccountFacts::default(), &options)
            .map(|plan| plan.chain)
            .map_err(|error| error.code())
    };
    let both = [ami("x86_64"), ami("own"), holding(&sum)];
    assert_eq!(with(&efi, &both, None), Ok(Chain::OwnEfi));
    assert_eq!(with(&efi, &both, Some(Boot::Disk)), Ok(Chain::Disk));
    assert_eq!(with(&efi, &both[2..], None), Ok(Chain::Disk));
    assert_eq!(with(&efi, &both[2..], Some(Boot::Ipxe)), Err("no-own-ami"));
    // The disk of another image is none.
    assert_eq!(with(&efi, &[holding(&"cd".repeat(32))], None), Err("no-disk-ami"));
    assert_eq!(with(&image(Arch::X86_64, Kind::Elf), &both, Some(Boot::Disk)), Err("elf-on-disk"));
    // What starts from its disk asks IMDS for nothing, however old it is.
    let old = AmiFacts { created: "2020-01-01T00:00:00Z".parse().unwrap(), ..holding(&sum) };
    let account = AccountFacts { imds_v2_enforced: Some(true) };
    let chosen = plan(&efi, &machine("t3.nano"), &[old], &account, &PlanOptions::default());
    assert_eq!(chosen.unwrap().tokens, HttpTokens::Required);
}

#[test]
fn the_newest_ami_is_taken() {
    let older = AmiFacts { id: "ami-old".into(), ..ami("arm64") };
    let newer = AmiFacts { created: "2026-10-01T00:00:00Z".parse().unwrap(), ..ami("arm64") };
    let plan = plain(&image(Arch::Arm64, Kind::Efi), "t4g.nano", &[older, newer.clone()]);
    assert_eq!(plan.unwrap().ami, newer);
}

#[test]
fn imds_follows_the_date_of_the_ami_and_the_account() {
    let old = AmiFacts {
        name: "iPXE (2026-07-01) (arm64)".into(),
        created: "2026-07-01T00:00:00Z".parse().unwrap(),
        ..ami("arm64")
    };
    let image = image(Arch::Arm64, Kind::Efi);
    let with = |ami: &AmiFacts, enforced, tokens| {
        let account = AccountFacts { imds_v2_enforced: enforced };
        let options = PlanOptions { tokens, ..PlanOptions::default() };
        plan(&image, &machine("t4g.nano"), std::slice::from_ref(ami), &account, &options)
    };
    let tokens = |result: Result<BootPlan, PlanError>| result.unwrap().tokens;
    assert_eq!(tokens(with(&ami("arm64"), None, None)), HttpTokens::Required);
    assert_eq!(tokens(with(&old, Some(false), None)), HttpTokens::Optional);
    assert_eq!(with(&old, Some(true), None).unwrap_err().code(), "imds-v2-enforced");
    let unknown = with(&old, None, None).unwrap();
    assert!(matches!(unknown.warnings[..], [PlanWarning::ImdsUnknown { .. }]));
    let asked = with(&ami("arm64"), Some(false), Some(HttpTokens::Optional));
    assert_eq!(tokens(asked), HttpTokens::Optional);
    let asked = with(&ami("arm64"), Some(true), Some(HttpTokens::Optional));
    assert_eq!(tokens(asked), HttpTokens::Required);
}

#[test]
fn nested_virtualization_is_refused_where_there_is_none() {
    let elf = image(Arch::X86_64, Kind::Elf);
    let options = PlanOptions { nested: true, ..PlanOptions::default() };
    let with = |name| plan(&elf, &machine(name), &all(), &AccountFacts::default(), &options);
    assert!(with("c7i-flex.large").unwrap().nested);
    assert_eq!(with("t3.nano").unwrap_err().code(), "no-nested");
    assert!(!with("c5.metal").unwrap().nested);
}

#[test]
fn what_may_go_wrong_is_said() {
    let old = AmiFacts {
        name: "iPXE (2025-11-01) (arm64)".into(),
        created: "2025-11-01T00:00:00Z".parse().unwrap(),
        ..ami("arm64")
    };
    let efi = image(Arch::Arm64, Kind::Efi);
    let texts = |image: &ImageFacts, name| {
        let plan = plain(image, name, std::slice::from_ref(&old)).unwrap();
        plan.warnings.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    };
    assert_eq!(texts(&efi, "m7g.metal"), "");
    assert!(texts(&efi, "m8g.medium").contains("2025-11-24"));
    assert!(texts(&efi, "a1.metal").contains("no serial console"));
    let el2 = ImageFacts { wants_el2: Some(true), ..efi };
    assert!(texts(&el2, "t4g.nano").contains("EL2") && texts(&el2, "m7g.metal").is_empty());
}

#[test]
fn facts_of_names() {
    let generation = |name| machine(name).generation();
    assert_eq!(generation("m7g.metal"), Some(7));
    assert_eq!(generation("c7i-flex.large"), Some(7));
    assert_eq!(generation("u-6tb1.metal"), Some(6));
    assert!(!machine("u-6tb1.metal").serial_console() && !machine("m4.large").serial_console());
    assert!(!machine("g5g.xlarge").serial_console() && machine("m7g.metal").serial_console());
}
