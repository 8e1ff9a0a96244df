//! The iPXE script that is a machine's user data: fetch, verify, boot, retry, report.
//!
//! Invariant: pure, at most 16 KiB, and each stage is marked on the console by a line
//! `l4re: <stage> <key=value …>`; stages are start, fetch, verify, boot, retry, failed.
//! Follows iPXE's script commands as of Debian's 2019 build and of the 2026 cloud builds.

use crate::error::CloudError;

/// What EC2 takes as user data, in bytes before base64.
pub const USER_DATA_LIMIT: usize = 16 * 1024;

/// What the machine does when all retries failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AfterFailure {
    /// Reboot after a minute, which reads the user data anew.
    #[default]
    Reboot,
    /// Wait for ever, so that the console can be read.
    Wait,
}

/// What goes into a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptOptions {
    /// The image's URL.
    pub url: String,
    /// SHA-256 of the image in lower-case hexadecimal, if known.
    pub sha256: Option<String>,
    /// Bytes of the image, if known; only printed.
    pub size: Option<u64>,
    /// The image's command line.
    pub command_line: Option<String>,
    /// Attempts at the download.
    pub attempts: u32,
    /// What to do when all failed.
    pub after_failure: AfterFailure,
}

/// The script, or why there can be none.
pub fn script(options: &ScriptOptions) -> Result<String, CloudError> {
    let _ = options;
    todo!()
}
