//! What bytes and deadlines come to: log, output, events and in the end a verdict.
//!
//! Invariants: the first verdict stands, and none is good of an image that was not meant. A
//! final fault waits a moment for the lines after it, in which expectations may still be met:
//! who expects a panic gets it. While tests run, an exception that nobody handles is often one
//! that a test provoked: it counts only when no line of TAP comes after it.

use std::time::Duration;

use tokio::time::Instant;

use super::keep::Keeper;
use super::scan::{Scanner, Seen};
use super::{Event, FollowOptions, Observer, Report};
use crate::expect::Outcome;
use crate::log::RawLog;
use crate::phase::{Agreement, Fault, FaultKind, HintClock, Phase, Sighting, Start};
use crate::tap::{Progress, TapParser, TapVerdict};
use crate::text::{Block, Lines};
use crate::transport::{Chunk, Missing, Received, TransportError};
use crate::verdict::Verdict;

/// Silence after which an unfinished line is looked at.
const SETTLE: Duration = Duration::from_millis(200);

/// How long lines after a final fault are waited for.
const AFTERMATH: Duration = Duration::from_secs(1);

/// The same for an exception while tests run; L4Re's own runner waits as long for a line.
const AFTERMATH_OF_TESTS: Duration = Duration::from_secs(10);

/// Faults kept for the report, and told.
const MAX_FAULTS: usize = 64;

pub(super) struct Judge<'a> {
    options: FollowOptions,
    keeper: Keeper<'a>,
    scanner: Scanner,
    start: Instant,
    /// How long nothing could be read since then, for reasons that are not the machine's.
    stopped: Duration,
    last_byte: Instant,
    /// The unfinished line was looked at.
    settled: bool,
    hints: HintClock,
    /// The phase that was seen last is that of long ago.
    outdated: bool,
    /// What the tests came to.
    tested: Option<TapVerdict>,
    /// A final fault and when its verdict is due.
    fatal: Option<(Fault, Instant)>,
    verdict: Option<Verdict>,
    bytes: u64,
    gaps: u32,
    faults: Vec<Fault>,
}

impl<'a> Judge<'a> {
    pub(super) fn new(
        mut options: FollowOptions,
        log: Option<&'a mut RawLog>,
        observer: &'a mut dyn Observer,
    ) -> Self {
        let now = Instant::now();
        let expectations = std::mem::take(&mut options.expectations);
        let mut scanner = Scanner::new(options.start, expectations, options.tap);
        scanner.recogniser.reboots_expected(options.reboots);
        Self {
            keeper: Keeper::new(log, observer, options.undouble, options.sequences),
            scanner,
            tested: None,
            options,
            start: now,
            stopped: Duration::ZERO,
            last_byte: now,
            settled: true,
            hints: HintClock::default(),
            outdated: false,
            fatal: None,
            verdict: None,
            bytes: 0,
            gaps: 0,
            faults: Vec::new(),
        }
    }

    pub(super) fn verdict(&self) -> Option<&Verdict> {
        self.verdict.as_ref()
    }

    pub(super) fn conclude(&mut self, verdict: Verdict) {
        if verdict.is_good() {
            self.check_image();
        }
        self.verdict.get_or_insert(verdict);
    }

    /// Ends the run of another image than the one that is meant.
    fn check_image(&mut self) {
        let runs = self.scanner.recogniser.image();
        let agreement = self.options.image.as_ref().map(|meant| runs.agreement_with(meant));
        if let Some(Agreement::Different { what, runs, built }) = agreement {
            self.verdict.get_or_insert(Verdict::WrongImage { what, runs, built });
        }
    }

    pub(super) fn event(&mut self, event: Event) {
        self.keeper.event(event);
    }

    pub(super) fn reboot_requested(&mut self) {
        self.scanner.recogniser.reboot_requested();
    }

    pub(super) fn debugger_requested(&mut self) {
        self.scanner.recogniser.debugger_requested();
    }

    pub(super) fn received(&mut self, received: Received) {
        match received {
            Received::Chunk(chunk) => self.chunk(&chunk),
            Received::Gap(gap) => {
                self.gaps += 1;
                let phase = self.scanner.recogniser.phases().current();
                let much = matches!(gap.missing, Missing::Overrun { .. });
                self.outdated |= much && phase < Some(Phase::Application);
                // What follows does not continue the line before.
                self.finish_line();
                if let Some(tap) = &mut self.scanner.tap {
                    tap.gap();
                }
                self.event(Event::Gap(gap));
            }
            Received::Notice(notice) => self.event(Event::Notice(notice)),
            Received::End => {
                let reason = "the console is at its end".to_owned();
                let missing = self.last_line();
                self.conclude(Verdict::Closed { reason, missing });
            }
        }
    }

    /// No more bytes can be had.
    pub(super) fn lost(&mut self, error: &TransportError) {
        let missing = self.last_line();
        self.conclude(Verdict::Lost { reason: error.to_string(), missing });
    }

    /// No line comes after this one. Says which expectation is still open.
    fn last_line(&mut self) -> Option<String> {
        self.finish_line();
        self.fatal_verdict();
        self.missing()
    }

    fn chunk(&mut self, chunk: &Chunk) {
        self.bytes += chunk.bytes.len() as u64;
        let at = chunk.at.saturating_duration_since(self.start);
        let (keeper, scanner, bytes) = (&mut self.keeper, &mut self.scanner, &chunk.bytes);
        let (seen, kept) =
            keeper.take(bytes, || scanner.scan(at, |lines, show| lines.push(bytes, show)));
        self.kept(kept);
        self.last_byte = chunk.at;
        self.settled = false;
        self.seen(at, seen);
    }

    fn kept(&mut self, kept: std::io::Result<()>) {
        if kept.is_err() {
            self.conclude(Verdict::Interrupted);
        }
    }

    fn tests(&mut self, progress: Progress) {
        let provoked = |(fault, _): &mut (Fault, Instant)| {
            progress.complete || fault.kind == FaultKind::UnhandledException
        };
        self.fatal.take_if(provoked);
        if progress.complete {
            self.tested = self.scanner.tap.as_ref().map(|tap| tap.report().verdict);
            self.tests_over();
        }
    }

    /// Good tests end the run once everything else that is expected has come, bad ones at once.
    fn tests_over(&mut self) {
        let open = self.scanner.expectations.missing().is_some();
        match &self.tested {
            Some(tests) if !open || !tests.is_good() => {
                let tests = tests.clone();
                self.conclude(Verdict::Tested { tests });
            }
            _ => {}
        }
    }

    /// The unfinished line ends here.
    fn finish_line(&mut self) {
        let kept = self.keeper.finish();
        self.kept(kept);
        self.look(self.start.elapsed(), |lines, show| lines.finish(show));
        self.settled = true;
    }

    /// Looks at the blocks that `step` completes.
    fn look(&mut self, at: Duration, step: impl FnOnce(&mut Lines, &mut dyn FnMut(Block<'_>))) {
        let seen = self.scanner.scan(at, step);
        self.seen(at, seen);
    }

    fn seen(&mut self, at: Duration, all: Vec<Seen>) {
        for seen in all {
            if self.verdict.is_some() {
                return;
            }
            match seen {
                Seen::Sighting(sighting) => self.sighting(sighting),
                Seen::Outcome(outcome) => self.outcome(outcome),
                Seen::Tests(progress) => self.tests(progress),
            }
        }
        self.hints.phase(self.scanner.recogniser.phases().current(), at);
    }

    fn sighting(&mut self, sighting: Sighting) {
        match sighting {
            Sighting::Phase(phase) => {
                self.outdated = false;
                let at = self.scanner.recogniser.phases().at(phase).unwrap_or_default();
                self.event(Event::PhaseReached { phase, at });
                // What boots after a fault is not what has failed.
                if phase >= Phase::Kernel && self.fatal.is_none() {
                    self.check_image();
                }
            }
            Sighting::Boot(number) => self.event(Event::Boot { number }),
            Sighting::Mark(mark) => self.event(Event::Mark(mark)),
            Sighting::Application(first) => {
                self.event(Event::Application(first));
                if self.options.until_application && self.scanner.expectations.is_empty() {
                    self.conclude(Verdict::ApplicationReached);
                }
            }
            Sighting::Fault(fault) => self.fault(fault),
        }
    }

    fn fault(&mut self, fault: Fault) {
        // A console that is full of errors must not drown what else is told.
        let told = self.faults.len() < MAX_FAULTS;
        if told {
            self.faults.push(fault.clone());
        }
        if self.options.end_on_fault && fault.kind.is_final() && self.fatal.is_none() {
            let provoked =
                self.scanner.tap.is_some() && fault.kind == FaultKind::UnhandledException;
            let wait = if provoked { AFTERMATH_OF_TESTS } else { AFTERMATH };
            self.fatal = Some((fault.clone(), Instant::now() + wait));
        }
        if told {
            self.event(Event::Fault(fault));
        }
    }

    fn outcome(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Met(index) => self.met(index),
            Outcome::AllMet(index) => {
                self.met(index);
                match self.scanner.tap {
                    Some(_) => self.tests_over(),
                    None => self.conclude(Verdict::Expected),
                }
            }
            Outcome::Failed { pattern, line } => {
                self.fatal_verdict();
                self.conclude(Verdict::Failed { pattern, line });
            }
        }
    }

    fn met(&mut self, index: usize) {
        let pattern = self.scanner.expectations.pattern(index).unwrap_or_default().to_owned();
        self.event(Event::Expected { index, pattern });
    }

    /// The verdict of a final fault, if there was one.
    fn fatal_verdict(&mut self) {
        let Some((fault, _)) = self.fatal.take() else { return };
        let lines = self.scanner.recogniser.lines_around_fault().to_vec();
        self.conclude(match fault.kind {
            FaultKind::RebootLoop => {
                let (boots, explanation) = (self.scanner.recogniser.boots(), fault.explanation);
                Verdict::Looping { boots, explanation, lines }
            }
            cause => Verdict::Crashed { cause, explanation: fault.explanation, lines },
        });
    }

    fn missing(&self) -> Option<String> {
        let tests = || match (&self.scanner.tap, &self.tested) {
            (Some(tap), None) => Some(tap.awaits()),
            _ => None,
        };
        self.scanner.expectations.missing().or_else(tests).map(str::to_owned)
    }

    /// When something is due although nothing comes.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let deadlines = [
            self.options.timeout.map(|limit| self.start + self.stopped + limit),
            self.silence_limit().map(|limit| self.last_byte + limit),
            (!self.settled).then(|| self.last_byte + SETTLE),
            self.fatal.as_ref().map(|(_, due)| *due),
            self.hint_due(),
        ];
        deadlines.into_iter().flatten().min()
    }

    /// Whether nobody can tell where the machine stands: of one that was met running nothing has
    /// told it yet, or what told it was printed long before what came last.
    fn is_elsewhere(&self) -> bool {
        let unknown = self.scanner.recogniser.phases().current().is_none() && self.bytes > 0;
        self.outdated || (unknown && self.options.start == Start::Attached)
    }

    /// The phase that the boot stands in, and why, as far as that is known.
    fn standing(&self) -> (Option<Phase>, Option<String>) {
        let recogniser = &self.scanner.recogniser;
        match self.is_elsewhere() {
            true => (None, None),
            false => (recogniser.phases().current(), recogniser.stuck()),
        }
    }

    fn silence_limit(&self) -> Option<Duration> {
        let first = if self.bytes == 0 { self.options.first_output } else { Duration::ZERO };
        self.options.idle_timeout.map(|limit| limit.max(first))
    }

    fn hint_due(&self) -> Option<Instant> {
        let hints = self.options.hints && !self.is_elsewhere();
        hints.then(|| self.hints.due_at()).flatten().map(|at| self.start + at)
    }

    /// Puts off all that is due: for so long nothing could be read.
    pub(super) fn put_off(&mut self, stopped: Duration) {
        self.stopped += stopped;
        self.last_byte += stopped;
        self.hints.put_off(stopped);
        if let Some((_, due)) = &mut self.fatal {
            *due += stopped;
        }
    }

    /// Does what is due at `now`.
    pub(super) fn deadlines(&mut self, now: Instant) {
        if !self.settled && self.last_byte + SETTLE <= now {
            self.settled = true;
            let kept = self.keeper.flush();
            self.kept(kept);
            let at = now.saturating_duration_since(self.start);
            self.look(at, |lines, show| lines.settle(show));
        }
        if self.fatal.as_ref().is_some_and(|(_, due)| *due <= now) {
            self.fatal_verdict();
        }
        if let Some(waited) = self.options.timeout
            && self.start + self.stopped + waited <= now
        {
            self.fatal_verdict();
            let (missing, (phase, hint)) = (self.missing(), self.standing());
            self.conclude(Verdict::TimedOut { phase, waited, missing, hint });
        }
        if let Some(waited) = self.silence_limit()
            && self.last_byte + waited <= now
        {
            self.fatal_verdict();
            let (missing, (phase, hint)) = (self.missing(), self.standing());
            self.conclude(Verdict::Idle { phase, waited, missing, hint });
        }
        if self.verdict.is_none() && self.hint_due().is_some_and(|due| due <= now) {
            let at = now.saturating_duration_since(self.start);
            if let Some(waited) = self.hints.take(at) {
                let (phase, text) = self.standing();
                self.event(Event::Hint { phase, waited, text: text.unwrap_or_default() });
            }
        }
    }

    /// The report; without a verdict the run was interrupted.
    pub(super) fn report(self) -> Report {
        let missing = self.missing();
        let recogniser = &self.scanner.recogniser;
        let phases = match &self.verdict {
            Some(Verdict::Looping { .. }) => recogniser.phases_before_reset(),
            _ => recogniser.phases(),
        };
        Report {
            missing,
            phases: phases.clone(),
            verdict: self.verdict.unwrap_or(Verdict::Interrupted),
            elapsed: self.start.elapsed(),
            bytes: self.bytes,
            boots: recogniser.boots(),
            first_application_line: recogniser.first_application_line().cloned(),
            image: recogniser.image().clone(),
            faults: self.faults,
            tap: self.scanner.tap.as_ref().map(TapParser::report),
            gaps: self.gaps,
            log_error: self.keeper.log_error(),
        }
    }
}
