//! What to follow for, and for how long.

use std::time::Duration;

use crate::expect::Expectations;
use crate::phase::{ImageInfo, Start};
use crate::sanitise::Sequences;

/// How to follow a console.
#[derive(Debug)]
#[non_exhaustive]
pub struct FollowOptions {
    /// What must come and what must not.
    pub expectations: Expectations,
    /// Limit for the whole run.
    pub timeout: Option<Duration>,
    /// Limit for silence.
    pub idle_timeout: Option<Duration>,
    /// The same before the first byte, if that is longer: firmware may be silent for long.
    pub first_output: Duration,
    /// Read TAP, and end when the tests have come to their end.
    pub tap: bool,
    /// End at the application's first line when there is no expectation.
    pub until_application: bool,
    /// What the image that boots says of itself. That of another ends the run as soon as the
    /// bootstrapper has had its say.
    pub image: Option<ImageInfo>,
    /// Reboots that the system makes by itself: only a further one is a loop.
    pub reboots: u32,
    /// Where in the machine's life following starts.
    pub start: Start,
    /// End at final faults. Off for an attached terminal that wants to look around.
    pub end_on_fault: bool,
    /// Treat typed `~.`, `~?` and `~B` after a newline as commands.
    pub escapes: bool,
    /// Give hints when a boot stands still.
    pub hints: bool,
    /// Show doubled lines of the x86 UEFI bootstrapper undoubled.
    pub undouble: bool,
    /// Which control sequences are shown.
    pub sequences: Sequences,
}

impl Default for FollowOptions {
    fn default() -> Self {
        Self {
            expectations: Expectations::default(),
            timeout: None,
            idle_timeout: None,
            first_output: Duration::ZERO,
            tap: false,
            until_application: false,
            image: None,
            reboots: 0,
            start: Start::Boot,
            end_on_fault: true,
            escapes: false,
            hints: true,
            undouble: false,
            sequences: Sequences::Harmless,
        }
    }
}
