//! How a run ended.
//!
//! The binary maps these to exit codes: expected, application reached, left and a closed
//! stream without open expectations are good; failed, failed tests, another image and a stream
//! that closed too early are 7, timed out and idle 8, crashed and looping 9, lost 6, interrupted 130.

use std::time::Duration;

use crate::phase::{FaultKind, Phase, stage_seconds};
use crate::tap::TapVerdict;

/// The end of a run and its reason.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Verdict {
    /// Every expectation was met, in order.
    Expected,
    /// The application's first line came and nothing more was asked for.
    ApplicationReached,
    /// The tests have come to their end.
    Tested {
        /// What they came to; [`TapVerdict::Passed`] and skipped ones are good.
        tests: TapVerdict,
    },
    /// A line that must not come came.
    Failed {
        /// The pattern as given.
        pattern: String,
        /// The line without escapes.
        line: String,
    },
    /// The time limit of the whole run passed.
    TimedOut {
        /// The phase that the boot was in, if that is known.
        phase: Option<Phase>,
        /// The limit.
        #[serde(rename = "waited_s", serialize_with = "stage_seconds")]
        waited: Duration,
        /// The expectation that was still open.
        missing: Option<String>,
        /// Why the boot stands there, as far as the console said so, or what to look at. None
        /// without a phase: something was printed, and nothing of it tells a phase.
        hint: Option<String>,
    },
    /// Another image runs than was built.
    WrongImage {
        /// By what that is known.
        what: &'static str,
        /// What the console says.
        runs: String,
        /// What the image's file says.
        built: String,
    },
    /// Nothing was printed for the idle limit.
    Idle {
        /// The phase that the boot was in, if that is known.
        phase: Option<Phase>,
        /// The limit.
        #[serde(rename = "waited_s", serialize_with = "stage_seconds")]
        waited: Duration,
        /// The expectation that was still open.
        missing: Option<String>,
        /// Why the boot stands there, as far as the console said so, or what to look at. None
        /// without a phase: something was printed, and nothing of it tells a phase.
        hint: Option<String>,
    },
    /// Kernel, bootstrapper or an application died.
    Crashed {
        /// What kind of fault.
        cause: FaultKind,
        /// What it means, in a sentence.
        explanation: String,
        /// The lines around it, oldest first, without escapes.
        lines: Vec<String>,
    },
    /// The machine was reset, or boots again, without a reboot being asked for.
    Looping {
        /// How many times the bootstrapper was seen.
        boots: u32,
        /// What it means, in a sentence.
        explanation: String,
        /// The lines before that, oldest first.
        lines: Vec<String>,
    },
    /// The stream ended.
    Closed {
        /// Why, as the transport said it.
        reason: String,
        /// The expectation that was still open.
        missing: Option<String>,
    },
    /// The stream could not be followed any further: no rights, a host that is not trusted.
    Lost {
        /// Why, as the transport said it.
        reason: String,
        /// The expectation that was still open.
        missing: Option<String>,
    },
    /// The user left with `~.`.
    Left,
    /// The run was cancelled, or nobody reads the output any more.
    Interrupted,
}

impl Verdict {
    /// Whether the run ended well: as expected, or by the user's wish with nothing expected.
    #[must_use]
    pub fn is_good(&self) -> bool {
        match self {
            Self::Expected
            | Self::ApplicationReached
            | Self::Left
            | Self::Closed { missing: None, .. } => true,
            Self::Tested { tests } => tests.is_good(),
            _ => false,
        }
    }
}
