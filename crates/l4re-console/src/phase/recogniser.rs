//! The incremental recogniser.
//!
//! Whole blocks of lines are searched for needles at once; only lines with one are looked
//! at. Line by line it goes only where any line counts: before the first phase, and between
//! the root task's start and the application's first line.

use std::time::Duration;

use super::context::Context;
use super::line::{self, Meaning, WORTH_A_LOOK};
use super::{Fault, ImageInfo, Mark, Phase, PhaseTimes, speaker};
use crate::text::{Block, BlockEnd, Lines, split_line, undouble};

/// Bytes of a line that are looked at: what L4Re and iPXE print is shorter.
const LOOKED_AT: usize = 4096;

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
pub struct Recogniser {
    lines: Lines,
    core: LineRecogniser,
}

impl Recogniser {
    /// A recogniser for a stream that starts as `start` says.
    #[must_use]
    pub fn new(start: Start) -> Self {
        Self { lines: Lines::default(), core: LineRecogniser::new(start) }
    }

    /// Takes raw bytes that came at `at` from the start of following.
    pub fn push(&mut self, raw: &[u8], at: Duration, sink: &mut dyn FnMut(Sighting)) {
        self.lines.push(raw, |block| self.core.block(block, at, &mut |_, seen| sink(seen)));
    }

    /// Looks at the unfinished last line too; call it when the console is quiet.
    pub fn settle(&mut self, at: Duration, sink: &mut dyn FnMut(Sighting)) {
        self.lines.settle(|block| self.core.block(block, at, &mut |_, seen| sink(seen)));
    }

    /// Takes the unfinished last line as finished: the stream is at its end.
    pub fn finish(&mut self, at: Duration, sink: &mut dyn FnMut(Sighting)) {
        self.lines.finish(|block| self.core.block(block, at, &mut |_, seen| sink(seen)));
    }

    /// What was recognised so far, and orders to the recogniser.
    #[must_use]
    pub fn state(&self) -> &LineRecogniser {
        &self.core
    }

    /// For [`LineRecogniser::reboot_requested`] and the like.
    pub fn state_mut(&mut self) -> &mut LineRecogniser {
        &mut self.core
    }
}

/// What is known of one boot.
#[derive(Debug, Default)]
pub(super) struct Boot {
    pub(super) phases: PhaseTimes,
    /// Firmware was seen.
    pub(super) powered_on: bool,
    /// What the firmware started first.
    pub(super) first_option: Option<String>,
    /// The machine waits for its next image.
    pub(super) parked: bool,
    /// The script's last word was that it starts the image.
    pub(super) image_started: bool,
    /// The bootstrapper's banner was seen.
    pub(super) banner_seen: bool,
    /// The bootstrapper gave up.
    pub(super) panicked: bool,
    /// The bootstrapper's programs so far, and the last one's name.
    pub(super) programs: u32,
    pub(super) last_program: String,
    pub(super) root_task_started: bool,
    pub(super) application: Option<ApplicationLine>,
    /// Why it stands where it stands, as far as it said so.
    pub(super) cause: Option<String>,
}

impl Boot {
    /// The root task, which comes after kernel and sigma0, is another one than moe.
    pub(super) fn has_other_root_task(&self) -> bool {
        self.programs > 2 && !self.last_program.starts_with("moe")
    }
}

/// The recogniser behind the line cutter, for callers that have one themselves.
#[derive(Debug)]
pub struct LineRecogniser {
    pub(super) start: Start,
    /// The present boot.
    pub(super) boot: Boot,
    /// Of the boot that a reset has ended.
    pub(super) phases_before: PhaseTimes,
    pub(super) boots: u32,
    /// Banners that may come without being a loop.
    pub(super) boots_allowed: u32,
    /// The next reset is no loop.
    pub(super) reboot_requested: bool,
    /// So many resets that nobody asked for may still come.
    pub(super) reboots_left: u32,
    /// Resets before any bootstrapper was reached.
    pub(super) restarts: u32,
    /// The present boot was told to be a loop.
    pub(super) loop_told: bool,
    pub(super) debugger_requested: bool,
    /// What the unfinished line at the start of the next block was taken for already.
    partial: Option<Meaning>,
    /// The end of a line whose error continues on the next one.
    cut: Option<Vec<u8>>,
    pub(super) image: ImageInfo,
    /// What is known of the image is of a boot before this one.
    pub(super) image_is_old: bool,
    pub(super) context: Context,
}

/// A line within its block.
#[derive(Clone, Copy)]
pub(super) struct Look<'a> {
    pub(super) before: &'a [u8],
    pub(super) line: &'a [u8],
    pub(super) after: &'a [u8],
    pub(super) at: Duration,
    /// Its newline was seen.
    whole: bool,
}

impl LineRecogniser {
    /// A recogniser for a stream that starts as `start` says.
    #[must_use]
    pub fn new(start: Start) -> Self {
        Self {
            start,
            boot: Boot::default(),
            phases_before: PhaseTimes::default(),
            boots: 0,
            // Who comes to a machine that runs does not know who has asked it for what.
            boots_allowed: if start == Start::Attached { 2 } else { 1 },
            reboot_requested: start == Start::Attached,
            reboots_left: 0,
            restarts: 0,
            loop_told: false,
            debugger_requested: false,
            partial: None,
            cut: None,
            image: ImageInfo::default(),
            image_is_old: false,
            context: Context::default(),
        }
    }

    /// The kernel debugger was asked for: its prompt is no fault from now on.
    pub fn debugger_requested(&mut self) {
        self.debugger_requested = true;
    }

    /// The system reboots by itself so many times: only a further reboot is a loop.
    pub fn reboots_expected(&mut self, reboots: u32) {
        self.reboots_left = reboots;
    }

    /// The phases of the present boot.
    #[must_use]
    pub fn phases(&self) -> &PhaseTimes {
        &self.boot.phases
    }

    /// The phases of the boot that a reset has ended.
    #[must_use]
    pub fn phases_before_reset(&self) -> &PhaseTimes {
        &self.phases_before
    }

    /// How many boots were seen.
    #[must_use]
    pub fn boots(&self) -> u32 {
        self.boots
    }

    /// What the bootstrapper said about the image.
    #[must_use]
    pub fn image(&self) -> &ImageInfo {
        &self.image
    }

    /// The application's first line in the present boot.
    #[must_use]
    pub fn first_application_line(&self) -> Option<&ApplicationLine> {
        self.boot.application.as_ref()
    }

    /// The lines around the first final fault, oldest first, without escapes.
    #[must_use]
    pub fn lines_around_fault(&self) -> &[String] {
        self.context.around()
    }

    /// Takes a block of plain lines that came at `at`. Sightings come with the start of their
    /// line in the block.
    pub fn block(&mut self, block: Block<'_>, at: Duration, sink: &mut dyn FnMut(usize, Sighting)) {
        let text = block.text;
        let mut from = 0;
        while from < text.len() {
            let inside = if self.every_line_counts() {
                match text[from..].iter().position(|byte| !byte.is_ascii_whitespace()) {
                    None => break,
                    Some(at) => from + at,
                }
            } else {
                match WORTH_A_LOOK.find_at(text, from) {
                    None => break,
                    // Seen in the overlap of a cut line.
                    Some(hit) if block.continued && hit < block.seen => {
                        from = hit + 1;
                        continue;
                    }
                    Some(hit) => hit,
                }
            };
            let start = memchr::memrchr(b'\n', &text[..inside]).map_or(0, |newline| newline + 1);
            let (line, after) = split_line(&text[start..]);
            from = text.len() - after.len();
            let whole = block.end == BlockEnd::Newline || !after.is_empty();
            let look = Look { before: &text[..start], line, after, at, whole };
            self.line(look, &mut |sighting| sink(start, sighting));
        }
        if block.end != BlockEnd::Partial {
            self.partial = None;
            self.context.note(block);
        }
    }

    /// Before the first phase, and while the application's first line is due.
    fn every_line_counts(&self) -> bool {
        let first = self.start == Start::Boot && self.boot.phases.current().is_none();
        first || self.application_due() || self.cut.is_some()
    }

    fn application_due(&self) -> bool {
        self.boot.root_task_started && self.boot.application.is_none()
    }

    fn line(&mut self, look: Look<'_>, sink: &mut dyn FnMut(Sighting)) {
        let line = look.line.trim_ascii();
        let undoubled = undouble(&line[..line.len().min(LOOKED_AT)]);
        let line = undoubled.as_deref().unwrap_or(line);
        let line = line[..line.len().min(LOOKED_AT)].trim_ascii();
        let begin = self.cut.take();
        let joined = begin.as_ref().map(|begin| [begin, line].concat());
        let line = joined.as_deref().unwrap_or(line);
        let look = Look { line, ..look };
        let meaning = line::meaning(line).filter(|meaning| self.is_meant(meaning));
        if look.before.is_empty() && self.partial.is_some() && self.partial == meaning {
            return;
        }
        if !look.whole {
            self.cut = begin;
            // The rest of a line can change what its values are, and whose line it is.
            if let Some(known) = meaning.filter(Meaning::holds_for_partial_lines) {
                self.partial = Some(known.clone());
                self.apply(known, look, sink);
            } else if self.application_due() && speaker::is_prompt(line) {
                self.application_reached(look, sink);
            }
            return;
        }
        let current = self.boot.phases.current();
        if current >= Some(Phase::Ipxe) && current < Some(Phase::Bootstrap) {
            self.cut = line::cut_error(line).map(<[u8]>::to_vec);
        }
        match meaning {
            Some(meaning) => self.apply(meaning, look, sink),
            None if line.is_empty() => {}
            None if !self.application_due() => {
                if self.every_line_counts() {
                    self.advance(Phase::Firmware, look.at, sink);
                }
            }
            None if speaker::from_system(line) => {}
            None if current == Some(Phase::Sigma0) && speaker::from_sigma0(line) => {}
            None => self.application_reached(look, sink),
        }
    }
}
