//! The targets of a release, and how each is compiled here.
//!
//! x86_64 is linked statically with musl, so that one file serves every distribution. For
//! aarch64 Debian has no musl cross compiler: that binary needs glibc.
//!
//! Rust brings its own musl to link with. Debian's `musl-gcc` is for the crates that have C, and
//! no linker: it knows nothing of `-static-pie` and makes a binary that wants musl's loader.

use anyhow::{Context, Result, ensure};
use camino::Utf8PathBuf;
use clap::ValueEnum;

use crate::call::Call;
use crate::project::Project;
use crate::shell;

/// A target of a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Target {
    /// x86_64 Linux, static
    #[value(name = "x86_64-unknown-linux-musl")]
    X86_64,
    /// aarch64 Linux, with glibc
    #[value(name = "aarch64-unknown-linux-gnu")]
    Aarch64,
}

impl Target {
    /// All that are released.
    pub(super) const ALL: [Self; 2] = [Self::X86_64, Self::Aarch64];

    /// Rust's name.
    pub(super) fn triple(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64-unknown-linux-musl",
            Self::Aarch64 => "aarch64-unknown-linux-gnu",
        }
    }

    /// The C compiler, for the crates that have C.
    fn compiler(self) -> &'static str {
        match self {
            Self::X86_64 => "musl-gcc",
            Self::Aarch64 => "aarch64-linux-gnu-gcc",
        }
    }

    /// What links, if it is not the machine's own C compiler.
    fn linker(self) -> Option<&'static str> {
        match self {
            Self::X86_64 => None,
            Self::Aarch64 => Some(self.compiler()),
        }
    }

    /// Whether its binaries run on this machine.
    pub(super) fn runs_here(self) -> bool {
        self.triple().starts_with(std::env::consts::ARCH)
    }

    /// Compiles `cargo-l4re` and gives the path of the binary.
    pub(super) fn build(self, project: &Project) -> Result<Utf8PathBuf> {
        self.add_library()?;
        self.build_call(project).run()?;
        let path = project.target.join(self.triple()).join("release/cargo-l4re");
        let binary = fs_err::read(&path).context("what cargo was to build")?;
        ensure!(!self.is_static() || !wants_a_loader(&binary), "{path} is not static");
        Ok(path)
    }

    fn is_static(self) -> bool {
        self == Self::X86_64
    }

    fn build_call(self, project: &Project) -> Call {
        let target = format!("--target={}", self.triple());
        let words = ["build", "--release", "--locked", "--package=cargo-l4re", target.as_str()];
        let small = self.triple().replace('-', "_");
        let call = project.cargo(words).env(&format!("CC_{small}"), self.compiler());
        match self.linker() {
            Some(linker) => {
                call.env(&format!("CARGO_TARGET_{}_LINKER", small.to_uppercase()), linker)
            }
            None => call,
        }
    }

    /// Rust's library for the target, if rustup manages the toolchain.
    fn add_library(self) -> Result<()> {
        let list = Call::new(["rustup", "target", "list", "--installed"]);
        let installed = list.read().unwrap_or_default();
        if installed.lines().any(|line| line == self.triple()) {
            return Ok(());
        }
        shell::status("Installing", &format!("Rust's library for {}", self.triple()));
        Call::new(["rustup", "target", "add", self.triple()]).run()
    }
}

/// Whether a binary names a dynamic loader, as no static one does.
fn wants_a_loader(binary: &[u8]) -> bool {
    // It stands in `PT_INTERP`, which linkers put behind the headers.
    let start = &binary[..binary.len().min(4096)];
    [&b"/lib/ld-"[..], b"/lib64/ld-"]
        .iter()
        .any(|loader| start.windows(loader.len()).any(|window| window == *loader))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_binary_that_wants_a_loader_is_not_static() {
        let ours = fs_err::read(std::env::current_exe().unwrap()).unwrap();
        assert!(wants_a_loader(&ours));
        assert!(!wants_a_loader(b"\x7fELF"));
    }

    #[test]
    fn a_target_is_named_as_rust_names_it() {
        for target in Target::ALL {
            assert_eq!(target.to_possible_value().unwrap().get_name(), target.triple());
        }
    }

    #[test]
    fn linker_and_compiler_are_the_targets_own() {
        let project = Project::find().unwrap();
        let call = format!("{:?}", Target::Aarch64.build_call(&project));
        assert!(call.contains("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER"), "{call}");
        assert!(call.contains("CC_aarch64_unknown_linux_gnu"), "{call}");
        assert!(call.contains("--locked"), "{call}");
        let musl = format!("{:?}", Target::X86_64.build_call(&project));
        assert!(musl.contains("CC_x86_64_unknown_linux_musl"), "{musl}");
        assert!(!musl.contains("LINKER"), "{musl}");
    }
}
