//! L4Re's build tree: `.kconfig`, `source`, `include/generated` and what was built.
//!
//! Invariant: an open tree has an absolute root, known sources and a known architecture.
//! It is recognised by these three names (facts: L4Re's `Makefile`, `mk/Makeconf`).

use std::collections::BTreeSet;

use camino::{Utf8Path, Utf8PathBuf};

use super::TreeError;
use super::kernel::GLOBAL_CONFIG;
use crate::arch::Arch;
use crate::kconfig::Kconfig;
use crate::modlist::{self, Entry, ListOptions};

/// An L4Re build tree that is configured and built.
#[derive(Clone, Debug)]
pub struct BuildTree {
    root: Utf8PathBuf,
    source: Utf8PathBuf,
    arch: Arch,
    platform: Option<String>,
    cpu: String,
    abi: String,
}

impl BuildTree {
    /// Opens the tree at `dir`.
    ///
    /// A folder of another sort, a tree that is not configured and one that is not built
    /// are told apart.
    pub fn open(dir: &Utf8Path) -> Result<Self, TreeError> {
        let root = canonical(dir)?;
        recognise(&root)?;
        let tree = Self::configured(root)?;
        tree.check_built()?;
        Ok(tree)
    }

    /// The tree that `dir` is in, at any depth; `None` when it is in none.
    pub fn find_upwards(dir: &Utf8Path) -> Result<Option<Self>, TreeError> {
        let dir = canonical(dir)?;
        let found = dir.ancestors().find(|dir| {
            dir.join(".kconfig").is_file()
                && dir.join("include/generated").is_dir()
                && dir.join("source").is_dir()
        });
        found.map(Self::open).transpose()
    }

    /// The folder of the tree, absolute.
    pub fn root(&self) -> &Utf8Path {
        &self.root
    }

    /// The sources that it was made from, absolute.
    pub fn source(&self) -> &Utf8Path {
        &self.source
    }

    /// The architecture that it builds for.
    pub fn arch(&self) -> Arch {
        self.arch
    }

    /// The platform type (`PT`) that it is configured for.
    pub fn platform(&self) -> Option<&str> {
        self.platform.as_deref()
    }

    /// The processor variant, as in `bin/<arch>_<cpu>`.
    pub fn cpu(&self) -> &str {
        &self.cpu
    }

    /// Where make puts images unless told otherwise.
    pub fn images(&self) -> Utf8PathBuf {
        self.root.join("images")
    }

    /// The folders of the tree itself in which L4Re looks for modules, in its order
    /// (`BUILDDIR_SEARCHPATH` of `mk/Makeconf`). Those that the user configured come before
    /// them and are known to make only.
    pub fn module_dirs(&self) -> Vec<Utf8PathBuf> {
        let system = format!("{}_{}", self.arch.l4re(), self.cpu);
        let abi = &self.abi;
        [
            format!("bin/{system}/plain"),
            format!("bin/{system}/{abi}"),
            format!("lib/{system}/std/plain"),
            format!("lib/{system}/std/{abi}"),
            "assets".to_owned(),
        ]
        .iter()
        .map(|dir| self.root.join(dir))
        .collect()
    }

    /// The module list that make reads when none is named.
    pub fn modules_list(&self) -> Utf8PathBuf {
        self.source.join("conf/modules.list")
    }

    /// The names of the platforms that L4Re knows for this architecture, with their
    /// descriptions; empty when the tree does not say.
    pub fn platforms(&self) -> Vec<(String, String)> {
        let file = self.root.join("Kconfig.generated.platforms.list");
        let Ok(text) = fs_err::read_to_string(file) else { return Vec::new() };
        let prefix = format!("[{}]", self.arch.l4re());
        let mut platforms: Vec<_> = text
            .lines()
            .filter_map(|line| line.strip_prefix(&prefix)?.split_once(" -- "))
            .map(|(name, text)| (name.trim().to_owned(), text.trim().to_owned()))
            .collect();
        platforms.sort();
        platforms
    }

    /// The entries that can be built here, in the order of their module list.
    pub fn entries(&self, options: &ListOptions) -> Result<Vec<Entry>, TreeError> {
        modlist::entries(self, options)
    }

    /// The names of the files, without their folders, that matter for an entry of the module
    /// list: what the list names, and the files it consists of. `None` where it names files by
    /// patterns or code.
    pub fn named_files(&self, options: &ListOptions, entry: &str) -> Option<BTreeSet<String>> {
        modlist::named(self, options, entry)
    }

    fn configured(root: Utf8PathBuf) -> Result<Self, TreeError> {
        let config = Kconfig::read(&root.join(".kconfig"))?;
        let option = |name: &str| {
            config.get(name).map(ToOwned::to_owned).ok_or_else(|| TreeError::NotConfigured {
                path: root.clone(),
                missing: format!("CONFIG_{name} in .kconfig"),
            })
        };
        let name = option("BUILD_ARCH")?;
        let known = match config.get("BITS").and_then(|bits| bits.parse().ok()) {
            Some(bits) => Arch::from_l4re(&name, bits),
            None => name.parse().ok(),
        };
        let Some(arch) = known else {
            return Err(TreeError::UnknownArch { path: root, name });
        };
        let cpu = option("CPU")?;
        let abi = config.get("BUILD_ABI").unwrap_or("l4f").to_owned();
        let platform = config.get("PLATFORM_TYPE").map(ToOwned::to_owned);
        let source = source_of(&root)?;
        Ok(Self { root, source, arch, platform, cpu, abi })
    }

    fn check_built(&self) -> Result<(), TreeError> {
        let bin = self.root.join(format!("bin/{}_{}", self.arch.l4re(), self.cpu));
        match bin.join("plain").is_dir() || bin.join(&self.abi).is_dir() {
            true => Ok(()),
            false => Err(TreeError::NotBuilt { path: self.root.clone(), missing: bin }),
        }
    }
}

/// Says what else a folder is when it is not an L4Re build tree.
fn recognise(root: &Utf8Path) -> Result<(), TreeError> {
    let path = || root.to_owned();
    let has = |name: &str| root.join(name).exists();
    if has(GLOBAL_CONFIG) {
        return Err(TreeError::IsKernelTree { path: path() });
    }
    if is_source(root) {
        return Err(TreeError::SourceTree { path: path() });
    }
    if !has(".kconfig") {
        return Err(TreeError::NotATree { path: path(), missing: ".kconfig" });
    }
    if !has("include/generated") {
        let missing = "include/generated".to_owned();
        return Err(TreeError::NotConfigured { path: path(), missing });
    }
    if root.join("source").symlink_metadata().is_err() {
        return Err(TreeError::NotConfigured { path: path(), missing: "source".to_owned() });
    }
    Ok(())
}

fn is_source(dir: &Utf8Path) -> bool {
    dir.join("mk").is_dir() && dir.join("conf").is_dir() && dir.join("Makefile").is_file()
}

fn source_of(root: &Utf8Path) -> Result<Utf8PathBuf, TreeError> {
    let link = root.join("source");
    let gone = |source_dir| TreeError::SourceGone { path: root.to_owned(), source_dir };
    link.canonicalize_utf8().map_err(|_| gone(link.read_link_utf8().unwrap_or(link)))
}

/// The absolute path of a folder, or the error that says it is none.
pub(super) fn canonical(dir: &Utf8Path) -> Result<Utf8PathBuf, TreeError> {
    let not_found = |_| TreeError::NotFound { path: dir.to_owned() };
    let path = dir.as_std_path().canonicalize().map_err(not_found)?;
    if !path.is_dir() {
        return Err(TreeError::NotFound { path: dir.to_owned() });
    }
    Utf8PathBuf::from_path_buf(path)
        .map_err(|path| TreeError::NotUtf8 { path: path.to_string_lossy().into_owned() })
}
