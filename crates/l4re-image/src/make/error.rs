//! How a build can fail, from a request that make must never see to an image that is wrong.

use std::io;

use camino::Utf8PathBuf;

use super::Cause;
use crate::arch::Arch;
use crate::image::ImageError;

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MakeError {
    /// An empty entry name: make would open its menu.
    #[error("no entry named")]
    NoEntry,
    /// A variable that this crate sets itself.
    #[error("variable {name} cannot be set: {instead}")]
    Reserved {
        /// The variable.
        name: String,
        /// What to use instead.
        instead: &'static str,
    },
    /// A variable name or value that make would misread.
    #[error("variable {name} is not one that make can take")]
    BadVariable {
        /// The name as given.
        name: String,
    },
    /// A folder or name that L4Re's make files and shell lines cannot hold.
    #[error("{what} `{value}` has a character ({character:?}) that L4Re's make files cannot hold")]
    Unspeakable {
        /// What it is: the kernel's folder, the entry.
        what: &'static str,
        /// Its value.
        value: String,
        /// The first character of that kind.
        character: char,
    },
    /// A kernel for another architecture than the tree's.
    #[error("the kernel in {kernel} is for {kernel_arch}, the build tree for {tree_arch}")]
    KernelArch {
        /// The kernel's build tree.
        kernel: Utf8PathBuf,
        /// Its architecture.
        kernel_arch: Arch,
        /// The L4Re build tree's architecture.
        tree_arch: Arch,
    },
    /// L4Re makes no EFI images for this architecture.
    #[error("L4Re makes no EFI image for {arch}: only for x86_64, x86 and aarch64")]
    NoEfi {
        /// The tree's architecture.
        arch: Arch,
    },
    /// The program could not be started.
    #[error("cannot start `{program}`: {source}")]
    Start {
        /// The program.
        program: String,
        /// Why not.
        source: io::Error,
    },
    /// Reading make's output or waiting for it failed.
    #[error("lost contact with make: {0}")]
    Run(io::Error),
    /// Stopped by [`Cancel`](super::Cancel).
    #[error("stopped")]
    Cancelled,
    /// Make said no.
    #[error(transparent)]
    Failed(Box<MakeFailure>),
    /// Make was content, but the image is not where it belongs.
    #[error("make succeeded but left no image at {path}")]
    NoImage {
        /// Where it was expected.
        path: Utf8PathBuf,
    },
    /// Make was content, but what it left is no sound image.
    #[error("make succeeded but its image is not usable: {0}")]
    Image(#[from] ImageError),
    /// Make's image is sound but for another architecture, or lacks a part.
    #[error("make succeeded but {path} fails a check: {check}")]
    Check {
        /// The image.
        path: Utf8PathBuf,
        /// The check and its finding.
        check: String,
    },
}

/// A make run that failed.
#[derive(Debug, thiserror::Error)]
#[error("make failed ({status}): {cause}")]
pub struct MakeFailure {
    /// The exit status, in words: `exit status: 2`.
    pub status: String,
    /// The exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// What went wrong, as far as it can be told.
    pub cause: Cause,
    /// The lines of output that say so, unaltered but for bytes that are not UTF-8; the last
    /// lines of the output when the cause is not known.
    pub lines: Vec<String>,
}
