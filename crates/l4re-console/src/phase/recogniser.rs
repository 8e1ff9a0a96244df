//! The incremental recogniser.
//!
//! Whole blocks of lines are searched for needles at once; only lines with one are looked
//! at. Line by line it goes only where any line counts: before the first phase, and between
//! the root task's start and the application's first line.

use std::time::Duration;

use super::context::{Context, shown};
use super::line::{self, Meaning, WORTH_A_LOOK};
use super::{Fault, FaultKind, ImageInfo, Mark, MarkStage, Phase, PhaseTimes};
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

    /// For [`LineRecogniser::reboot_requested`] and [`LineRecogniser::debugger_requested`].
    pub fn state_mut(&mut self) -> &mut LineRecogniser {
        &mut self.core
    }
}

/// The recogniser behind the line cutter, for callers that have one themselves.
#[derive(Debug)]
pub struct LineRecogniser {
    start: Start,
    phases: PhaseTimes,
    boots: u32,
    /// Banners that may come without being a loop.
    boots_allowed: u32,
    /// The script's last word was that it starts the image.
    image_started: bool,
    root_task_started: bool,
    debugger_requested: bool,
    bootstrap_panicked: bool,
    /// What the unfinished line at the start of the next block was taken for already.
    partial: Option<Meaning>,
    image: ImageInfo,
    application: Option<ApplicationLine>,
    context: Context,
}

/// A line within its block.
#[derive(Clone, Copy)]
struct Look<'a> {
    before: &'a [u8],
    line: &'a [u8],
    after: &'a [u8],
    at: Duration,
    /// Its newline was seen.
    whole: bool,
}

impl LineRecogniser {
    /// A recogniser for a stream that starts as `start` says.
    #[must_use]
    pub fn new(start: Start) -> Self {
        Self {
            start,
            phases: PhaseTimes::default(),
            boots: 0,
            boots_allowed: 1,
            image_started: false,
            root_task_started: false,
            debugger_requested: false,
            bootstrap_panicked: false,
            partial: None,
            image: ImageInfo::default(),
            application: None,
            context: Context::default(),
        }
    }

    /// A reboot was asked for: the next boot is not a loop and gets its own phases.
    pub fn reboot_requested(&mut self) {
        self.boots_allowed = self.boots + 1;
        // What the old system still prints must not count as firmware of the new one.
        self.start = Start::Attached;
        self.forget_boot();
    }

    /// The kernel debugger was asked for: its prompt is no fault from now on.
    pub fn debugger_requested(&mut self) {
        self.debugger_requested = true;
    }

    /// The phases of the present boot.
    #[must_use]
    pub fn phases(&self) -> &PhaseTimes {
        &self.phases
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
        self.application.as_ref()
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
        (self.start == Start::Boot && self.phases.current().is_none()) || self.application_due()
    }

    fn application_due(&self) -> bool {
        self.root_task_started && self.application.is_none()
    }

    fn line(&mut self, look: Look<'_>, sink: &mut dyn FnMut(Sighting)) {
        let line = look.line.trim_ascii();
        let undoubled = undouble(&line[..line.len().min(LOOKED_AT)]);
        let line = undoubled.as_deref().unwrap_or(line);
        let line = line[..line.len().min(LOOKED_AT)].trim_ascii();
        let look = Look { line, ..look };
        let meaning = line::meaning(line);
        if look.before.is_empty() && self.partial.is_some() && self.partial == meaning {
            return;
        }
        if !look.whole {
            // The rest of a line can change what its values are, and whose line it is.
            if let Some(known) = meaning.filter(Meaning::holds_for_partial_lines) {
                self.partial = Some(known.clone());
                self.apply(known, look, sink);
            }
            return;
        }
        match meaning {
            Some(meaning) => self.apply(meaning, look, sink),
            None if line.is_empty() => {}
            None if !self.application_due() => {
                if self.every_line_counts() {
                    self.advance(Phase::Firmware, look.at, sink);
                }
            }
            None if line::from_system(line) => {}
            None => self.application_reached(look, sink),
        }
    }

    fn apply(&mut self, meaning: Meaning, look: Look<'_>, sink: &mut dyn FnMut(Sighting)) {
        match meaning {
            Meaning::Phase(phase) => {
                if self.is_reset(phase) {
                    self.context.last_words(look.before);
                    self.forget_phases();
                }
                self.advance(phase, look.at, sink);
            }
            Meaning::IpxePhase(phase) => {
                if self.phases.current() >= Some(Phase::Ipxe) {
                    self.advance(phase, look.at, sink);
                }
            }
            Meaning::Banner => self.banner(look, sink),
            Meaning::RootTaskStarts => {
                self.advance(Phase::Moe, look.at, sink);
                self.root_task_started = true;
            }
            Meaning::Sequence(value) => self.image.sequence = Some(value),
            Meaning::Created(value) => self.image.created = Some(value),
            Meaning::BootstrapBuilt(value) => self.image.bootstrap_built = Some(value),
            Meaning::Mark(mark) => self.mark(mark, look, sink),
            Meaning::Fault(kind, explanation) => {
                if let Some(phase) = line::ipxe_phase(look.line) {
                    self.apply(Meaning::IpxePhase(phase), look, sink);
                }
                self.fault(kind, &explanation, look, sink);
            }
            Meaning::BootstrapWaits if self.bootstrap_panicked => {}
            Meaning::BootstrapWaits => {
                let explanation = "the line before says why the bootstrapper gave up";
                self.fault(FaultKind::BootstrapPanic, explanation, look, sink);
            }
        }
    }

    fn advance(&mut self, phase: Phase, at: Duration, sink: &mut dyn FnMut(Sighting)) {
        if self.phases.advance(phase, at) {
            sink(Sighting::Phase(phase));
        }
    }

    fn application_reached(&mut self, look: Look<'_>, sink: &mut dyn FnMut(Sighting)) {
        self.advance(Phase::Application, look.at, sink);
        let first = ApplicationLine { text: shown(look.line), at: look.at };
        self.application = Some(first.clone());
        sink(Sighting::Application(first));
    }

    fn banner(&mut self, look: Look<'_>, sink: &mut dyn FnMut(Sighting)) {
        self.boots += 1;
        if self.boots > self.boots_allowed {
            self.context.restore_last_words();
            // Firmware that came in between has ended the phases of the boot before.
            if self.phases.current() >= Some(Phase::Bootstrap) {
                self.forget_phases();
            }
            self.context.forget_last_words();
            let explanation = "the machine boots again without being asked to";
            self.fault(FaultKind::RebootLoop, explanation, look, sink);
        }
        self.advance(Phase::Bootstrap, look.at, sink);
        sink(Sighting::Boot(self.boots));
    }

    fn mark(&mut self, mark: Mark, look: Look<'_>, sink: &mut dyn FnMut(Sighting)) {
        let failed = mark.stage == MarkStage::Failed;
        self.image_started = mark.stage == MarkStage::Boot;
        if !failed && mark.stage != MarkStage::Retry {
            self.advance(Phase::Download, look.at, sink);
        }
        match mark.stage {
            MarkStage::Start => self.image.sha256 = mark.get("image").map(str::to_owned),
            MarkStage::Verify => self.image.verified = mark.get("sum").map(str::to_owned),
            _ => {}
        }
        sink(Sighting::Mark(mark));
        if failed {
            self.fault(FaultKind::BootScriptFailed, "the boot script gave up", look, sink);
        }
    }

    fn fault(
        &mut self,
        kind: FaultKind,
        explanation: &str,
        look: Look<'_>,
        sink: &mut dyn FnMut(Sighting),
    ) {
        if kind == FaultKind::Debugger && self.debugger_requested {
            return;
        }
        self.bootstrap_panicked |= kind == FaultKind::BootstrapPanic;
        if kind.is_final() {
            self.context.fault(look.before, look.line, look.after);
        }
        let explanation = explanation.to_owned();
        sink(Sighting::Fault(Fault { kind, line: shown(look.line), explanation, at: look.at }));
    }

    /// Whether a phase that begins now means that the machine was reset: firmware comes once
    /// in a boot, and before iPXE; iPXE may chain to another iPXE. Where the twin stands in for
    /// iPXE, firmware comes only when the image was started.
    fn is_reset(&self, phase: Phase) -> bool {
        let current = self.phases.current();
        match phase {
            Phase::Firmware if self.image_started => current >= Some(Phase::Bootstrap),
            Phase::Firmware => current > Some(Phase::Ipxe),
            Phase::Ipxe => current >= Some(Phase::Bootstrap),
            _ => false,
        }
    }

    fn forget_boot(&mut self) {
        self.forget_phases();
        self.context.forget_last_words();
    }

    fn forget_phases(&mut self) {
        self.phases = PhaseTimes::default();
        self.image_started = false;
        self.root_task_started = false;
        self.bootstrap_panicked = false;
        self.application = None;
    }
}
