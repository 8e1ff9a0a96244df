//! The build trees: whether what they are configured for is what the machines are.
//!
//! Facts: L4Re's own page on EC2. arm64 machines are SBSA ones; a kernel with virtualization
//! must be entered in EL2, which metal has and virtual machines lack.

use camino::{Utf8Path, Utf8PathBuf};
use l4re_cloud::{Finding, InstanceTypeFacts};
use l4re_image::{Arch, BuildTree, KernelTree};

use crate::commands::Context;

const KERNEL: &str = "kernel";
const TREE: &str = "tree";

/// The trees that a deploy for `arch` would build from. None is fine: images can be had
/// otherwise.
pub(super) fn findings(
    context: &Context,
    arch: Arch,
    machines: &[InstanceTypeFacts],
) -> Vec<Finding> {
    let set = context.settings.tree(arch);
    let path = |path: Utf8PathBuf| context.environment.folder().join(path);
    let build = context.global.tree.clone().map(path).or(set.build);
    let kernel = context.global.kernel.clone().map(path).or(set.kernel);
    let mut findings = Vec::new();
    match &build {
        Some(dir) => findings.extend(of_build(dir, arch, set.platform.as_deref())),
        None => findings.push(Finding::note(TREE, format!("no build tree is set for {arch}"))),
    }
    match &kernel {
        Some(dir) => findings.extend(of_kernel(dir, arch, machines)),
        None => findings.push(Finding::note(KERNEL, format!("no kernel tree is set for {arch}"))),
    }
    findings
}

fn of_build(dir: &Utf8Path, arch: Arch, set: Option<&str>) -> Vec<Finding> {
    let tree = match BuildTree::open(dir) {
        Ok(tree) => tree,
        Err(error) => {
            return vec![Finding::problem(TREE, error.to_string(), "name another: `--tree DIR`")];
        }
    };
    if tree.arch() != arch {
        let text = format!("{dir} is for {}, not for {arch}", tree.arch());
        return vec![Finding::problem(TREE, text, format!("say `--arch {}`", tree.arch()))];
    }
    let platform = set.or(tree.platform());
    vec![platform_of(TREE, dir, platform, expected_platform(arch), "`platform` in the settings")]
}

fn of_kernel(dir: &Utf8Path, arch: Arch, machines: &[InstanceTypeFacts]) -> Vec<Finding> {
    match KernelTree::open(dir) {
        Ok(tree) if tree.arch == arch => judge(&tree, machines),
        Ok(tree) => {
            let text = format!("{dir} is for {}, not for {arch}", tree.arch);
            vec![Finding::problem(KERNEL, text, "name another: `--kernel DIR`")]
        }
        Err(error) => vec![Finding::problem(KERNEL, error.to_string(), "`--kernel DIR`")],
    }
}

/// What L4Re calls the platform of EC2's machines.
fn expected_platform(arch: Arch) -> Option<&'static str> {
    match arch {
        Arch::Arm64 => Some("arm_sbsa"),
        Arch::X86_64 => Some("pc"),
        _ => None,
    }
}

fn platform_of(
    check: &'static str,
    dir: &Utf8Path,
    found: Option<&str>,
    expected: Option<&str>,
    place: &str,
) -> Finding {
    match (found, expected) {
        (Some(found), Some(expected)) if found == expected => {
            Finding::good(check, format!("{dir} is for {found}"))
        }
        (Some(found), Some(expected)) => Finding::problem(
            check,
            format!("{dir} is for {found}, and EC2's machines are {expected}"),
            format!("configure it for {expected}: {place}"),
        ),
        _ => Finding::note(check, format!("what {dir} is for is not known")),
    }
}

fn judge(tree: &KernelTree, machines: &[InstanceTypeFacts]) -> Vec<Finding> {
    let dir = &tree.root;
    let platform = expected_platform(tree.arch).map(|name| name.trim_start_matches("arm_"));
    let option = platform.map(|name| format!("CONFIG_PF_{}", name.to_uppercase()));
    let place = option.unwrap_or_default();
    let mut findings = vec![platform_of(KERNEL, dir, tree.platform.as_deref(), platform, &place)];
    let virtuals: Vec<&str> =
        machines.iter().filter(|m| !m.bare_metal).map(|m| m.name.as_str()).collect();
    match (tree.wants_el2(), virtuals.as_slice()) {
        (Some(true), [_, ..]) => findings.push(Finding::problem(
            KERNEL,
            format!("it wants EL2 (CONFIG_CPU_VIRT), which {} lack", virtuals.join(", ")),
            "use metal (`--metal`), or a kernel without CONFIG_CPU_VIRT",
        )),
        (Some(true), []) => findings.push(Finding::good(KERNEL, "it wants EL2, which metal has")),
        _ => {}
    }
    if let Some(most) = machines.iter().max_by_key(|machine| machine.vcpus)
        && most.vcpus > tree.max_cpus
    {
        let (used, all) = (tree.max_cpus, most.vcpus);
        findings.push(Finding::warning(
            KERNEL,
            format!("it uses {used} of the {all} processors of {}", most.name),
            format!("configure it with CONFIG_MP_MAX_CPUS={all}"),
        ));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use l4re_cloud::{Hypervisor, Level};

    fn machine(name: &str, metal: bool, vcpus: u32) -> InstanceTypeFacts {
        InstanceTypeFacts {
            name: name.to_owned(),
            archs: vec![Arch::Arm64],
            ec2_archs: vec!["arm64".to_owned()],
            bare_metal: metal,
            hypervisor: if metal { Hypervisor::None } else { Hypervisor::Nitro },
            boot_modes: Vec::new(),
            nested_virtualization: false,
            vcpus,
            memory_mib: 1024,
            spot: false,
            ena: true,
        }
    }

    /// A kernel tree with this configuration.
    fn kernel(config: &str) -> (camino_tempfile::Utf8TempDir, KernelTree) {
        let dir = camino_tempfile::tempdir().unwrap();
        fs_err::write(dir.path().join("globalconfig.out"), config).unwrap();
        fs_err::write(dir.path().join("fiasco"), "").unwrap();
        let tree = KernelTree::open(dir.path()).unwrap();
        (dir, tree)
    }

    const GRAVITON: &str = "CONFIG_ARM=y\nCONFIG_BIT64=y\nCONFIG_PF_SBSA=y\nCONFIG_CPU_VIRT=y\n\
                            CONFIG_MP=y\nCONFIG_MP_MAX_CPUS=64\n";

    #[test]
    fn a_graviton_kernel_is_good_on_metal_and_a_problem_elsewhere() {
        let (_dir, tree) = kernel(GRAVITON);
        let metal = judge(&tree, &[machine("m7g.metal", true, 64)]);
        assert!(metal.iter().all(|finding| finding.level == Level::Good), "{metal:?}");
        let virtual_ = judge(&tree, &[machine("c7g.medium", false, 1)]);
        let worst = virtual_.iter().max_by_key(|finding| finding.level).unwrap();
        assert_eq!(worst.level, Level::Problem);
        assert!(worst.text.contains("EL2") && worst.text.contains("c7g.medium"));
        assert!(worst.fix.as_ref().unwrap().contains("--metal"));
    }

    #[test]
    fn another_platform_and_few_processors_are_told() {
        let config = GRAVITON.replace("PF_SBSA", "PF_ARM_VIRT").replace("=64", "=4");
        let (_dir, tree) = kernel(&config);
        let found = judge(&tree, &[machine("m7g.metal", true, 64)]);
        assert_eq!(found[0].level, Level::Problem);
        assert!(found[0].fix.as_ref().unwrap().contains("CONFIG_PF_SBSA"));
        let few = found.last().unwrap();
        assert!(few.text.contains("4 of the 64"), "{}", few.text);
        assert_eq!(few.fix.as_deref(), Some("configure it with CONFIG_MP_MAX_CPUS=64"));
    }
}
