//! What can go wrong in a boot and is printed.
//!
//! Invariant: a fault of a kind with [`FaultKind::is_final`] means that nothing useful will
//! follow; the others are worth a notice.

use std::time::Duration;

/// The kinds of faults that are recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum FaultKind {
    /// The bootstrapper gave up.
    BootstrapPanic,
    /// The kernel gave up.
    KernelPanic,
    /// The kernel debugger waits at its prompt without having been asked for.
    Debugger,
    /// A task died of an exception or page fault that nobody handles.
    UnhandledException,
    /// Moe or sigma0 died.
    RootTaskDied,
    /// An application exited with an error.
    ApplicationExit,
    /// Ned's script ended with an error; what it had started before goes on.
    NedScript,
    /// iPXE reported an error; its script may retry.
    Ipxe,
    /// Our iPXE script gave up.
    BootScriptFailed,
    /// The machine was reset, or boots again, without a reboot being asked for.
    RebootLoop,
}

impl FaultKind {
    /// Whether the run is over.
    #[must_use]
    pub fn is_final(self) -> bool {
        !matches!(self, Self::ApplicationExit | Self::NedScript | Self::Ipxe)
    }

    /// The name as people read it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::BootstrapPanic => "bootstrap panic",
            Self::KernelPanic => "kernel panic",
            Self::Debugger => "kernel debugger",
            Self::UnhandledException => "unhandled exception",
            Self::RootTaskDied => "root task died",
            Self::ApplicationExit => "application exit",
            Self::NedScript => "ned script",
            Self::Ipxe => "iPXE error",
            Self::BootScriptFailed => "boot script failed",
            Self::RebootLoop => "reboot loop",
        }
    }
}

/// A fault as it was seen.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Fault {
    /// What kind.
    pub kind: FaultKind,
    /// The line that says it, without escapes.
    pub line: String,
    /// What it means and what helps, in a sentence.
    pub explanation: String,
    /// When, from the start of following.
    #[serde(rename = "at_s", serialize_with = "super::stage_seconds")]
    pub at: Duration,
}
