//! What make is asked, and the argv that asks it: pure, so that it can be shown and tested.
//!
//! Invariants: an entry is always given, so L4Re's menu never opens; what the user configured
//! stays in force. How the search path comes together (`tool/imagebuilder/
//! _l4image_build.sh.inc`): first MODULE_SEARCH_PATH of environment or command line, then the
//! build tree's own folders, then what `conf/Makeconf.boot` says. A command-line value thus
//! comes first and hides nothing in Makeconf.boot, but it hides the environment's: so that
//! one is repeated in it.

use camino::Utf8PathBuf;

use super::MakeError;
use crate::arch::Kind;
use crate::tree::{BuildTree, KernelTree};

/// One image to be built by make.
#[derive(Clone, Debug)]
pub struct MakeRequest {
    /// The build tree.
    pub tree: BuildTree,
    /// The kind of image.
    pub kind: Kind,
    /// The entry of the module list; never empty.
    pub entry: String,
    /// The platform (`PT`); the tree's own when `None`.
    pub platform: Option<String>,
    /// A kernel that comes before all others on the search path.
    pub kernel: Option<KernelTree>,
    /// The MODULE_SEARCH_PATH of the environment, which a kernel here would hide: the caller
    /// reads it.
    pub search_path: Option<String>,
    /// Further `VAR=value` words, in order; they win over `platform`.
    pub vars: Vec<(String, String)>,
    /// Make's `-j`.
    pub jobs: Option<u32>,
    /// Ask L4Re to show the commands that it runs (`V=1`).
    pub verbose: bool,
}

impl MakeRequest {
    /// A request with nothing but what every image needs.
    pub fn new(tree: BuildTree, kind: Kind, entry: impl Into<String>) -> Self {
        Self {
            tree,
            kind,
            entry: entry.into(),
            platform: None,
            kernel: None,
            search_path: None,
            vars: Vec::new(),
            jobs: None,
            verbose: false,
        }
    }

    /// The last value that `vars` gives for a name.
    fn var(&self, name: &str) -> Option<&str> {
        self.vars.iter().rev().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// Where make puts the image, unless a Makeconf.local of the user's says otherwise.
    pub fn image_path(&self) -> Utf8PathBuf {
        let base = self.var("IMAGE_BASENAME").unwrap_or("bootstrap");
        let coverage =
            if self.var("COVERAGE").is_some_and(|v| !v.is_empty()) { ".cov" } else { "" };
        let name = format!("{base}_{}.{}{coverage}", self.entry, self.kind.suffix());
        self.image_dir().join(name)
    }

    /// All variables that this request sets, as a command line's: name and value.
    pub(crate) fn all_vars(&self) -> impl Iterator<Item = (String, String)> {
        make_argv(self).into_iter().skip(3).filter_map(|word| {
            let (name, value) = word.split_once('=')?;
            Some((name.to_owned(), value.to_owned()))
        })
    }

    /// The folder of the image: make runs in the source tree, so that is what a relative
    /// BOOTSTRAP_OUTPUT_DIR is relative to.
    pub(super) fn image_dir(&self) -> Utf8PathBuf {
        match self.var("BOOTSTRAP_OUTPUT_DIR").filter(|dir| !dir.is_empty()) {
            Some(dir) => self.tree.source().join(dir),
            None => self.tree.images(),
        }
    }

    /// Refuses what make would misunderstand, or what would open its menu.
    pub(crate) fn check(&self) -> Result<(), MakeError> {
        if self.entry.trim().is_empty() {
            return Err(MakeError::NoEntry);
        }
        speakable("entry", &self.entry, false)?;
        if let Some(platform) = &self.platform {
            speakable("platform", platform, true)?;
        }
        for (name, _) in &self.vars {
            check_variable(name)?;
        }
        let arch = self.tree.arch();
        if self.kind == Kind::Efi && !arch.has_efi_image() {
            return Err(MakeError::NoEfi { arch });
        }
        let Some(kernel) = &self.kernel else { return Ok(()) };
        speakable("kernel folder", kernel.root.as_str(), true)?;
        if kernel.arch != arch {
            let (kernel, kernel_arch) = (kernel.root.clone(), kernel.arch);
            return Err(MakeError::KernelArch { kernel, kernel_arch, tree_arch: arch });
        }
        Ok(())
    }
}

/// The variables that decide what is built where; the request has fields for them.
const RESERVED: [(&str, &str); 6] = [
    ("E", "name the entry instead"),
    ("ENTRY", "name the entry instead"),
    ("O", "name the build tree instead"),
    ("B", "name the build tree instead"),
    ("OBJ_BASE", "name the build tree instead"),
    ("BUILDDIR_TO_CREATE", "name the build tree instead"),
];

fn check_variable(name: &str) -> Result<(), MakeError> {
    if let Some((_, instead)) = RESERVED.into_iter().find(|(reserved, _)| *reserved == name) {
        return Err(MakeError::Reserved { name: name.to_owned(), instead });
    }
    let bad = |c: char| !(c.is_ascii_alphanumeric() || "_.-".contains(c));
    if name.is_empty() || name.starts_with('-') || name.contains(bad) {
        return Err(MakeError::BadVariable { name: name.to_owned() });
    }
    Ok(())
}

/// L4Re puts these values between double quotes of a shell, after make expanded them, and
/// splits the search path at colons and white space.
fn speakable(what: &'static str, value: &str, word: bool) -> Result<(), MakeError> {
    let bad = |c: char| {
        "\"$`\\#".contains(c) || c.is_control() || (word && (c == ':' || c.is_whitespace()))
    };
    match value.chars().find(|&c| bad(c)) {
        Some(character) => Err(MakeError::Unspeakable { what, value: value.to_owned(), character }),
        None => Ok(()),
    }
}

/// The command that builds the image, program first.
pub fn make_argv(request: &MakeRequest) -> Vec<String> {
    let mut argv = vec!["make".to_owned(), "-C".to_owned(), request.tree.root().to_string()];
    argv.extend(request.jobs.map(|jobs| format!("-j{jobs}")));
    argv.push(request.kind.goal().to_owned());
    argv.push(format!("E={}", request.entry));
    let platform_in_vars = request.var("PT").or(request.var("PLATFORM_TYPE")).is_some();
    if let Some(platform) = request.platform.as_ref().filter(|_| !platform_in_vars) {
        argv.push(format!("PT={platform}"));
    }
    if request.verbose && request.var("V").is_none() {
        argv.push("V=1".to_owned());
    }
    argv.extend(search_path(request).map(|path| format!("MODULE_SEARCH_PATH={path}")));
    argv.extend(
        request
            .vars
            .iter()
            .filter(|(name, _)| name != "MODULE_SEARCH_PATH")
            .map(|(name, value)| format!("{name}={value}")),
    );
    argv
}

/// The kernel's folder before what the user gave by `VAR=value` or else by environment;
/// `None` when make finds out by itself.
fn search_path(request: &MakeRequest) -> Option<String> {
    let by_var = request.var("MODULE_SEARCH_PATH");
    let Some(kernel) = &request.kernel else { return by_var.map(ToOwned::to_owned) };
    let given = by_var.or(request.search_path.as_deref()).filter(|path| !path.is_empty());
    Some(match given {
        Some(given) => format!("{}:{given}", kernel.root),
        None => kernel.root.to_string(),
    })
}
