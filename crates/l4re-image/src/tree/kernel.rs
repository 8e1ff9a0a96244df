//! The kernel's build tree: `globalconfig.out` and the `fiasco` binary.
//!
//! Invariant: an open kernel tree holds a kernel and knows its architecture.

use camino::{Utf8Path, Utf8PathBuf};
use serde::Serialize;

use super::TreeError;
use super::build::canonical;
use crate::arch::Arch;
use crate::kconfig::Kconfig;

/// The file in which the kernel's configuration ends up.
pub(super) const GLOBAL_CONFIG: &str = "globalconfig.out";

/// A kernel build tree that is built.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct KernelTree {
    /// The folder, absolute.
    pub root: Utf8PathBuf,
    /// The architecture that the kernel is for.
    pub arch: Arch,
    /// The platform option without `PF_`, in lower case: `pc`, `sbsa`.
    pub platform: Option<String>,
    /// Whether it is configured for virtualization (`CPU_VIRT`).
    pub virtualization: bool,
    /// Most processors that it uses (`MP_MAX_CPUS`); 1 without multiprocessor support.
    pub max_cpus: u32,
}

impl KernelTree {
    /// Opens the kernel build tree at `dir`.
    pub fn open(dir: &Utf8Path) -> Result<Self, TreeError> {
        let root = canonical(dir)?;
        if !root.join(GLOBAL_CONFIG).is_file() {
            return Err(match root.join(".kconfig").is_file() && root.join("source").exists() {
                true => TreeError::IsBuildTree { path: root },
                false => TreeError::NotAKernelTree { path: root, missing: GLOBAL_CONFIG },
            });
        }
        let text = fs_err::read(root.join(GLOBAL_CONFIG))?;
        let tree = Self::configured(root, &String::from_utf8_lossy(&text))?;
        let kernel = tree.kernel();
        match kernel.is_file() {
            true => Ok(tree),
            false => Err(TreeError::NotBuilt { path: tree.root, missing: kernel }),
        }
    }

    /// The kernel itself.
    pub fn kernel(&self) -> Utf8PathBuf {
        self.root.join("fiasco")
    }

    /// Whether the kernel must be entered in EL2 (the bootstrapper stops otherwise): Arm
    /// kernels with virtualization do. `None` where there are no exception levels.
    pub fn wants_el2(&self) -> Option<bool> {
        matches!(self.arch, Arch::Arm | Arch::Arm64).then_some(self.virtualization)
    }

    fn configured(root: Utf8PathBuf, text: &str) -> Result<Self, TreeError> {
        let config = Kconfig::parse(text);
        let Some(arch) = arch(&config) else {
            let name = config.get("XARCH").unwrap_or("none named").to_owned();
            return Err(TreeError::UnknownArch { path: root, name });
        };
        let platform = text
            .lines()
            .filter_map(|line| line.strip_prefix("CONFIG_PF_")?.strip_suffix("=y"))
            .next()
            .map(str::to_ascii_lowercase);
        let max_cpus = match config.is_set("MP") {
            true => config.get("MP_MAX_CPUS").and_then(|n| n.parse().ok()).unwrap_or(1),
            false => 1,
        };
        Ok(Self { root, arch, platform, virtualization: config.is_set("CPU_VIRT"), max_cpus })
    }
}

fn arch(config: &Kconfig) -> Option<Arch> {
    let wide = config.is_set("BIT64");
    let by_width =
        |name, narrow, broad| config.is_set(name).then_some(if wide { broad } else { narrow });
    by_width("AMD64", Arch::X86_64, Arch::X86_64)
        .or_else(|| by_width("IA32", Arch::X86, Arch::X86))
        .or_else(|| by_width("ARM", Arch::Arm, Arch::Arm64))
        .or_else(|| by_width("MIPS", Arch::Mips32, Arch::Mips64))
        .or_else(|| by_width("RISCV", Arch::Riscv32, Arch::Riscv64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_of_a_graviton_kernel() {
        let text = "CONFIG_ARM=y\nCONFIG_PF_SBSA=y\nCONFIG_BIT64=y\nCONFIG_CPU_VIRT=y\n\
                    CONFIG_MP=y\nCONFIG_MP_MAX_CPUS=64\n";
        let tree = KernelTree::configured("/k".into(), text).unwrap();
        assert_eq!(tree.arch, Arch::Arm64);
        assert_eq!(tree.platform.as_deref(), Some("sbsa"));
        assert_eq!((tree.wants_el2(), tree.max_cpus), (Some(true), 64));
    }

    #[test]
    fn x86_has_no_exception_levels() {
        let text = "CONFIG_AMD64=y\nCONFIG_CPU_VIRT=y\nCONFIG_MP_MAX_CPUS=16\n";
        let tree = KernelTree::configured("/k".into(), text).unwrap();
        assert_eq!((tree.wants_el2(), tree.max_cpus), (None, 1));
    }

    #[test]
    fn other_folders_are_told_apart() {
        let dir = camino_tempfile::tempdir().unwrap();
        let missing = KernelTree::open(&dir.path().join("none")).unwrap_err();
        assert!(matches!(missing, TreeError::NotFound { .. }));
        let empty = KernelTree::open(dir.path()).unwrap_err();
        assert!(matches!(empty, TreeError::NotAKernelTree { .. }));
        fs_err::write(dir.path().join(GLOBAL_CONFIG), "CONFIG_AMD64=y\n").unwrap();
        let unbuilt = KernelTree::open(dir.path()).unwrap_err();
        assert!(unbuilt.to_string().contains("fiasco is missing; run `make -C"));
    }
}
