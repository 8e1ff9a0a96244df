//! The incremental recogniser.

use std::time::Duration;

use super::{Fault, ImageInfo, Mark, Phase, PhaseTimes};

/// What is known about the point at which following starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// The machine is being started: what comes first is firmware.
    #[default]
    Boot,
    /// The machine runs; unknown lines say nothing about the phase.
    Attached,
}

/// The application's first line.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct ApplicationLine {
    /// Without escapes, cut at 512 bytes.
    pub text: String,
    /// When, from the start of following.
    #[serde(rename = "at_s", serialize_with = "super::stage_seconds")]
    pub at: Duration,
}

/// Something recognised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sighting {
    /// A phase began.
    Phase(Phase),
    /// The bootstrapper's banner: a boot began. Counts from 1.
    Boot(u32),
    /// A mark of our iPXE script.
    Mark(Mark),
    /// A fault.
    Fault(Fault),
    /// The application's first line.
    Application(ApplicationLine),
}

/// Recognises phases, marks and faults in raw console bytes.
#[derive(Debug)]
pub struct Recogniser {}

impl Recogniser {
    /// A recogniser for a stream that starts as `start` says.
    #[must_use]
    pub fn new(start: Start) -> Self {
        todo!()
    }

    /// Takes raw bytes that came at `at` from the start of following.
    pub fn push(&mut self, raw: &[u8], at: Duration, sink: &mut dyn FnMut(Sighting)) {
        todo!()
    }

    /// Looks at the unfinished last line too; call it when the console is quiet, and at its
    /// end.
    pub fn settle(&mut self, at: Duration, sink: &mut dyn FnMut(Sighting)) {
        todo!()
    }

    /// A reboot was asked for: the next boot is not a loop and gets its own phases.
    pub fn reboot_requested(&mut self) {
        todo!()
    }

    /// The kernel debugger was asked for: its prompt is no fault until it is left.
    pub fn debugger_requested(&mut self) {
        todo!()
    }

    /// The phases of the present boot.
    #[must_use]
    pub fn phases(&self) -> &PhaseTimes {
        todo!()
    }

    /// How many boots were seen.
    #[must_use]
    pub fn boots(&self) -> u32 {
        todo!()
    }

    /// What the bootstrapper said about the image.
    #[must_use]
    pub fn image(&self) -> &ImageInfo {
        todo!()
    }

    /// The application's first line in the present boot.
    #[must_use]
    pub fn first_application_line(&self) -> Option<&ApplicationLine> {
        todo!()
    }
}
