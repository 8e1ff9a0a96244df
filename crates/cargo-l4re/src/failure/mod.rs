//! Every way in which a command can fail, its exit code, and what to do about it.
//!
//! Libraries say what happened; here it becomes an exit code (stable: CI relies on them) and
//! hints that name the command to type.

#[cfg(feature = "cloud")]
mod cloud;
mod hint;
#[cfg(feature = "cloud")]
mod machine;
mod place;

use camino::Utf8PathBuf;
use l4re_image::{AssembleError, DiskError, ExtractError, ImageError, MakeError, TreeError};

use crate::download::DownloadError;
use crate::editor::EditError;
use crate::entry::{ArtifactError, EntryError};
use crate::settings::{Place, SettingsError};
use crate::shell::{Diagnostic, count};
use crate::target::TooMany;

#[cfg(feature = "cloud")]
pub use self::cloud::cloud_hints;
#[cfg(feature = "cloud")]
pub use self::machine::MachineFailure;

/// Exit code after Ctrl-C.
pub const INTERRUPTED: u8 = 130;

/// The exit codes.
pub mod code {
    pub const UNEXPECTED: u8 = 1;
    pub const USAGE: u8 = 2;
    pub const SETTINGS: u8 = 3;
    pub const BUILD: u8 = 4;
    pub const IMAGE: u8 = 5;
    pub const CLOUD: u8 = 6;
    pub const EXPECTATION: u8 = 7;
    pub const TIME_OUT: u8 = 8;
    pub const CRASHED: u8 = 9;
    pub const CARGO: u8 = 101;
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// More than one target.
    #[error(transparent)]
    TooMany(#[from] TooMany),
    /// A flag's value that does not do.
    #[error("{0}")]
    Usage(String),
    /// Settings.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// A file that `init` cannot change.
    #[error("{path} cannot be changed: {source}")]
    Edit {
        /// The file.
        path: Utf8PathBuf,
        /// Why not.
        source: EditError,
    },
    /// No build tree is named and none is around.
    #[error("no L4Re build tree: {folder} is not in one, and no setting names one")]
    NoTree {
        /// The working folder.
        folder: Utf8PathBuf,
    },
    /// A build tree that is named for another architecture than its own.
    #[error("{path} is a build tree for {arch}, and one for {wanted} is meant")]
    OtherArch {
        /// The tree.
        path: Utf8PathBuf,
        /// Its architecture.
        arch: &'static str,
        /// The one that a flag or a setting names.
        wanted: &'static str,
    },
    /// No build tree is set for the architecture that is asked for.
    #[error("no L4Re build tree for {asked} is set: settings name those for {known}")]
    NoTreeFor {
        /// The architecture.
        asked: &'static str,
        /// Those for which there are some.
        known: String,
    },
    /// Several build trees are set and nothing says which.
    #[error("several build trees are set ({arches}) and nothing says which one is meant")]
    WhichTree {
        /// Their architectures.
        arches: String,
    },
    /// A build tree that cannot be used.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// No entry was named, and there is not just one.
    #[error("no entry is named, and {list} has {count}")]
    WhichEntry {
        /// The module list.
        list: Utf8PathBuf,
        /// How many entries it has.
        count: usize,
        /// The first of them.
        names: String,
    },
    /// An entry that is not there.
    #[error("no entry `{name}` in {list}")]
    NoEntry {
        /// The name given.
        name: String,
        /// The module list.
        list: Utf8PathBuf,
        /// The nearest names.
        nearest: Vec<String>,
    },
    /// An entry of the settings that cannot be.
    #[error("{source}")]
    Entry {
        /// Where the settings say so.
        place: Option<Place>,
        /// What cannot be.
        source: EntryError,
    },
    /// A module that Cargo was to build.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// Make failed; its own lines were shown before.
    #[error(transparent)]
    Make(#[from] MakeError),
    /// An image that could not be made without make.
    #[error(transparent)]
    Assemble(#[from] AssembleError),
    /// An image that cannot be used.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// A disk that cannot be written.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// An image that cannot be unpacked.
    #[error(transparent)]
    Extract(#[from] ExtractError),
    /// A URL that could not be fetched.
    #[error(transparent)]
    Download(#[from] DownloadError),
    /// Something of a machine, EC2's or the desk's.
    #[cfg(feature = "cloud")]
    #[error(transparent)]
    Machine(MachineFailure),
    /// An image that is readable but not sound.
    #[error("{path} fails {}", count(.failed.len(), "check"))]
    ImageChecks {
        /// The image.
        path: Utf8PathBuf,
        /// The checks.
        failed: Vec<String>,
    },
    /// Neither HOME nor the XDG variables say where state may be kept.
    #[error("no folder for state: neither XDG_STATE_HOME nor HOME is set")]
    NoHome,
    /// The user asked to end.
    #[error("interrupted")]
    Interrupted,
    /// Something of this machine.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

impl From<EntryError> for Failure {
    fn from(source: EntryError) -> Self {
        Self::Entry { place: None, source }
    }
}

impl Failure {
    /// Whether stdout was closed by its reader, on which to end quietly.
    pub fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::Io(error) if error.kind() == std::io::ErrorKind::BrokenPipe)
    }

    /// Whether the user has seen it already.
    pub fn is_told(&self) -> bool {
        self.exit_code() == INTERRUPTED
    }

    /// The exit code.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::TooMany(_) | Self::Usage(_) => code::USAGE,
            Self::Settings(SettingsError::Metadata(_)) | Self::Artifact(_) => code::CARGO,
            Self::Entry { source: EntryError::NoModule { .. }, .. } => code::BUILD,
            Self::Settings(_)
            | Self::Entry { .. }
            | Self::Edit { .. }
            | Self::NoTree { .. }
            | Self::NoTreeFor { .. }
            | Self::OtherArch { .. }
            | Self::WhichTree { .. }
            | Self::NoHome => code::SETTINGS,
            Self::Make(MakeError::Cancelled)
            | Self::Download(DownloadError::Interrupted)
            | Self::Interrupted => INTERRUPTED,
            Self::Make(MakeError::Image(_) | MakeError::Check { .. })
            | Self::Image(_)
            | Self::Extract(_)
            | Self::Disk(_)
            | Self::ImageChecks { .. } => code::IMAGE,
            Self::Assemble(AssembleError::Image(_)) => code::IMAGE,
            Self::Tree(_)
            | Self::WhichEntry { .. }
            | Self::NoEntry { .. }
            | Self::Assemble(_)
            | Self::Make(_) => code::BUILD,
            Self::Download(_) => code::CLOUD,
            #[cfg(feature = "cloud")]
            Self::Machine(failure) => failure.exit_code(),
            Self::Io(_) => code::UNEXPECTED,
        }
    }

    /// The error as it is shown; `end` is what leads a command that it tells to type to the
    /// same end.
    pub fn diagnostic(&self, end: &str) -> Diagnostic {
        let mut diagnostic = Diagnostic::of(self);
        diagnostic.code = self.exit_code();
        diagnostic.help = hint::of(self, end);
        diagnostic.place = place::of(self);
        match self {
            Self::ImageChecks { failed, .. } => diagnostic.causes.extend(failed.iter().cloned()),
            #[cfg(feature = "cloud")]
            Self::Machine(failure) => diagnostic.causes.extend(failure.causes()),
            _ => {}
        }
        diagnostic
    }
}
