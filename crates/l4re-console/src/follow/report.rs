//! The result of following.

use std::time::Duration;

use crate::phase::{ApplicationLine, Fault, ImageInfo, PhaseTimes};
use crate::tap::TapReport;
use crate::verdict::Verdict;

/// What a run came to.
#[derive(Clone, Debug, serde::Serialize)]
#[non_exhaustive]
pub struct Report {
    /// How it ended.
    pub verdict: Verdict,
    /// What was still expected at the end.
    pub missing: Option<String>,
    /// The phases of the last boot; of a loop, those of the boot that the reset has ended.
    pub phases: PhaseTimes,
    /// How long following took.
    #[serde(rename = "elapsed_s", serialize_with = "crate::phase::stage_seconds")]
    pub elapsed: Duration,
    /// Raw bytes read.
    pub bytes: u64,
    /// Boots seen.
    pub boots: u32,
    /// The application's first line.
    pub first_application_line: Option<ApplicationLine>,
    /// What the image said about itself.
    pub image: ImageInfo,
    /// Faults that did not end the run, and the one that did; at most 64.
    pub faults: Vec<Fault>,
    /// What tests came to, when TAP was read.
    pub tap: Option<TapReport>,
    /// Places where bytes are missing.
    pub gaps: u32,
    /// Why the log is not complete.
    pub log_error: Option<String>,
}
