//! The one file of this crate that reads the environment.
//!
//! Every variable that xtask obeys is a function here; the rest of the crate never asks.

use camino::Utf8PathBuf;

/// The cargo that runs us, so that a `+toolchain` on the command line holds for children.
pub(crate) fn cargo() -> String {
    variable("CARGO").unwrap_or_else(|| "cargo".to_owned())
}

/// Whether a CI system runs us: then packages are installed without being asked for.
pub(crate) fn ci() -> bool {
    variable("CI").is_some_and(|value| value == "true" || value == "1")
}

/// Whether colours are unwanted.
pub(crate) fn no_color() -> bool {
    variable("NO_COLOR").is_some()
        || variable("CARGO_TERM_COLOR").is_some_and(|when| when == "never")
}

/// A real L4Re build tree for amd64, when the developer has one.
pub(crate) fn tree_amd64() -> Option<Utf8PathBuf> {
    variable("L4RE_TREE_AMD64").map(Utf8PathBuf::from)
}

/// A real L4Re build tree for arm64, when the developer has one.
pub(crate) fn tree_arm64() -> Option<Utf8PathBuf> {
    variable("L4RE_TREE_ARM64").map(Utf8PathBuf::from)
}

/// Whether EFI images are named that disks are to be made of.
pub(crate) fn images() -> bool {
    variable("L4RE_IMAGES").is_some()
}

#[expect(clippy::disallowed_methods, reason = "this is the file that may")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
