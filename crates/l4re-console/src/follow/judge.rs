//! What bytes and deadlines come to: log, output, events and in the end a verdict.
//!
//! Invariant: the first verdict stands. A final fault waits a moment for the lines after it,
//! in which expectations may still be met: who expects a panic gets it. While tests run, an
//! exception that nobody handles is often one that a test provoked: it counts only when no
//! line of TAP comes after it.

use std::time::Duration;

use tokio::time::Instant;

use super::{Event, FollowOptions, Observer, Report};
use crate::expect::Outcome;
use crate::log::RawLog;
use crate::phase::{Fault, FaultKind, HintClock, LineRecogniser, Sighting};
use crate::sanitise::Sanitiser;
use crate::tap::{TapParser, TapVerdict};
use crate::text::{Block, Lines, Undoubler};
use crate::transport::{Chunk, Received, TransportError};
use crate::verdict::Verdict;

/// Silence after which an unfinished line is looked at.
const SETTLE: Duration = Duration::from_millis(200);

/// How long lines after a final fault are waited for.
const AFTERMATH: Duration = Duration::from_secs(1);

/// The same for an exception while tests run; L4Re's own runner waits as long for a line.
const AFTERMATH_OF_TESTS: Duration = Duration::from_secs(10);

/// Faults kept for the report, and told.
const MAX_FAULTS: usize = 64;

/// Something seen in a block.
enum Seen {
    Sighting(Sighting),
    Outcome(Outcome),
}

pub(super) struct Judge<'a> {
    options: FollowOptions,
    log: Option<&'a mut RawLog>,
    observer: &'a mut dyn Observer,
    start: Instant,
    last_byte: Instant,
    /// The unfinished line was looked at.
    settled: bool,
    lines: Lines,
    recogniser: LineRecogniser,
    hints: HintClock,
    tap: Option<TapParser>,
    /// What the tests came to.
    tested: Option<TapVerdict>,
    undoubler: Option<Undoubler>,
    /// What the undoubler gave last.
    single: Vec<u8>,
    sanitiser: Sanitiser,
    safe: Vec<u8>,
    /// A final fault and when its verdict is due.
    fatal: Option<(Fault, Instant)>,
    verdict: Option<Verdict>,
    bytes: u64,
    gaps: u32,
    faults: Vec<Fault>,
    log_error: Option<String>,
}

impl<'a> Judge<'a> {
    pub(super) fn new(
        options: FollowOptions,
        log: Option<&'a mut RawLog>,
        observer: &'a mut dyn Observer,
    ) -> Self {
        let now = Instant::now();
        Self {
            recogniser: LineRecogniser::new(options.start),
            tap: options.tap.then(TapParser::default),
            tested: None,
            undoubler: options.undouble.then(Undoubler::default),
            options,
            log,
            observer,
            start: now,
            last_byte: now,
            settled: true,
            lines: Lines::default(),
            hints: HintClock::default(),
            single: Vec::new(),
            sanitiser: Sanitiser::default(),
            safe: Vec::new(),
            fatal: None,
            verdict: None,
            bytes: 0,
            gaps: 0,
            faults: Vec::new(),
            log_error: None,
        }
    }

    pub(super) fn verdict(&self) -> Option<&Verdict> {
        self.verdict.as_ref()
    }

    pub(super) fn conclude(&mut self, verdict: Verdict) {
        self.verdict.get_or_insert(verdict);
    }

    pub(super) fn event(&mut self, event: Event) {
        self.observer.event(event);
    }

    pub(super) fn reboot_requested(&mut self) {
        self.recogniser.reboot_requested();
    }

    pub(super) fn debugger_requested(&mut self) {
        self.recogniser.debugger_requested();
    }

    pub(super) fn received(&mut self, received: Received) {
        match received {
            Received::Chunk(chunk) => self.chunk(&chunk),
            Received::Gap(gap) => {
                self.gaps += 1;
                // What follows does not continue the line before.
                self.finish_line();
                if let Some(tap) = &mut self.tap {
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
        self.record(&chunk.bytes);
        self.show(&chunk.bytes);
        self.last_byte = chunk.at;
        self.settled = false;
        let at = chunk.at.saturating_duration_since(self.start);
        self.look(at, |lines, show| lines.push(&chunk.bytes, show));
        self.tests(&chunk.bytes);
    }

    fn tests(&mut self, bytes: &[u8]) {
        let Some(tap) = self.tap.as_mut().filter(|_| self.tested.is_none()) else { return };
        let before = tap.lines_read();
        tap.push(bytes);
        let complete = tap.is_complete();
        if complete || tap.lines_read() > before {
            let provoked = |(fault, _): &mut (Fault, Instant)| {
                complete || fault.kind == FaultKind::UnhandledException
            };
            self.fatal.take_if(provoked);
        }
        if complete {
            self.tested = self.tap.as_ref().map(|tap| tap.report().verdict);
            self.tests_over();
        }
    }

    /// Good tests end the run once everything else that is expected has come, bad ones at once.
    fn tests_over(&mut self) {
        let open = self.options.expectations.missing().is_some();
        match &self.tested {
            Some(tests) if !open || !tests.is_good() => {
                let tests = tests.clone();
                self.conclude(Verdict::Tested { tests });
            }
            _ => {}
        }
    }

    fn record(&mut self, bytes: &[u8]) {
        let Some(log) = &mut self.log else { return };
        if let Err(error) = log.append(bytes) {
            self.log = None;
            self.log_error = Some(error.to_string());
            self.event(Event::LogFailed(error));
        }
    }

    fn show(&mut self, bytes: &[u8]) {
        match &mut self.undoubler {
            Some(undoubler) => {
                self.single.clear();
                undoubler.push(bytes, &mut self.single);
                self.sanitiser.push(&self.single, &mut self.safe);
            }
            None => self.sanitiser.push(bytes, &mut self.safe),
        }
        self.put_out();
    }

    fn put_out(&mut self) {
        if !self.safe.is_empty() && self.observer.output(&self.safe).is_err() {
            self.conclude(Verdict::Interrupted);
        }
        self.safe.clear();
    }

    /// The unfinished line ends here.
    fn finish_line(&mut self) {
        self.flush_undoubler();
        self.sanitiser.finish(&mut self.safe);
        self.put_out();
        let at = self.start.elapsed();
        self.look(at, |lines, show| lines.finish(show));
        self.settled = true;
    }

    fn flush_undoubler(&mut self) {
        if let Some(undoubler) = &mut self.undoubler {
            let mut single = Vec::new();
            undoubler.flush(&mut single);
            self.sanitiser.push(&single, &mut self.safe);
            self.put_out();
        }
    }

    /// Looks at the blocks that `step` completes.
    fn look(&mut self, at: Duration, step: impl FnOnce(&mut Lines, &mut dyn FnMut(Block<'_>))) {
        let mut all = Vec::new();
        let (recogniser, expectations) = (&mut self.recogniser, &mut self.options.expectations);
        step(&mut self.lines, &mut |block| {
            let first = all.len();
            let mut outcome = |line, seen| all.push((line, Seen::Outcome(seen)));
            expectations.block(block, &mut outcome);
            let mut sighting = |line, seen| all.push((line, Seen::Sighting(seen)));
            recogniser.block(block, at, &mut sighting);
            // By line; in the same line what was asked for comes before what was recognised.
            all[first..].sort_by_key(|(line, _)| *line);
        });
        for (_, seen) in all {
            if self.verdict.is_some() {
                return;
            }
            match seen {
                Seen::Sighting(sighting) => self.sighting(sighting),
                Seen::Outcome(outcome) => self.outcome(outcome),
            }
        }
        self.hints.phase(self.recogniser.phases().current(), at);
    }

    fn sighting(&mut self, sighting: Sighting) {
        match sighting {
            Sighting::Phase(phase) => {
                let at = self.recogniser.phases().at(phase).unwrap_or_default();
                self.event(Event::PhaseReached { phase, at });
            }
            Sighting::Boot(number) => self.event(Event::Boot { number }),
            Sighting::Mark(mark) => self.event(Event::Mark(mark)),
            Sighting::Application(first) => {
                self.event(Event::Application(first));
                if self.options.until_application && self.options.expectations.is_empty() {
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
            let provoked = self.tap.is_some() && fault.kind == FaultKind::UnhandledException;
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
                match self.tap {
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
        let pattern = self.options.expectations.pattern(index).unwrap_or_default().to_owned();
        self.event(Event::Expected { index, pattern });
    }

    /// The verdict of a final fault, if there was one.
    fn fatal_verdict(&mut self) {
        let Some((fault, _)) = self.fatal.take() else { return };
        let lines = self.recogniser.lines_around_fault().to_vec();
        self.conclude(match fault.kind {
            FaultKind::RebootLoop => Verdict::Looping { boots: self.recogniser.boots(), lines },
            cause => Verdict::Crashed { cause, explanation: fault.explanation, lines },
        });
    }

    fn missing(&self) -> Option<String> {
        let tests = || match (&self.tap, &self.tested) {
            (Some(tap), None) => Some(tap.awaits()),
            _ => None,
        };
        self.options.expectations.missing().or_else(tests).map(str::to_owned)
    }

    /// When something is due although nothing comes.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let deadlines = [
            self.options.timeout.map(|limit| self.start + limit),
            self.options.idle_timeout.map(|limit| self.last_byte + limit),
            (!self.settled).then(|| self.last_byte + SETTLE),
            self.fatal.as_ref().map(|(_, due)| *due),
            self.hint_due(),
        ];
        deadlines.into_iter().flatten().min()
    }

    fn hint_due(&self) -> Option<Instant> {
        self.options.hints.then(|| self.hints.due_at()).flatten().map(|at| self.start + at)
    }

    /// Does what is due at `now`.
    pub(super) fn deadlines(&mut self, now: Instant) {
        if !self.settled && self.last_byte + SETTLE <= now {
            self.settled = true;
            self.flush_undoubler();
            let at = now.saturating_duration_since(self.start);
            self.look(at, |lines, show| lines.settle(show));
        }
        if self.fatal.as_ref().is_some_and(|(_, due)| *due <= now) {
            self.fatal_verdict();
        }
        let phase = self.recogniser.phases().current();
        if let Some(waited) = self.options.timeout
            && self.start + waited <= now
        {
            self.fatal_verdict();
            self.conclude(Verdict::TimedOut { phase, waited, missing: self.missing() });
        }
        if let Some(waited) = self.options.idle_timeout
            && self.last_byte + waited <= now
        {
            self.fatal_verdict();
            self.conclude(Verdict::Idle { phase, waited, missing: self.missing() });
        }
        if self.verdict.is_none() && self.hint_due().is_some_and(|due| due <= now) {
            let at = now.saturating_duration_since(self.start);
            if let Some((waited, text)) = self.hints.take(at) {
                self.event(Event::Hint { phase, waited, text });
            }
        }
    }

    /// The report; without a verdict the run was interrupted.
    pub(super) fn report(self) -> Report {
        let missing = self.missing();
        Report {
            missing,
            verdict: self.verdict.unwrap_or(Verdict::Interrupted),
            phases: self.recogniser.phases().clone(),
            elapsed: self.start.elapsed(),
            bytes: self.bytes,
            boots: self.recogniser.boots(),
            first_application_line: self.recogniser.first_application_line().cloned(),
            image: self.recogniser.image().clone(),
            faults: self.faults,
            tap: self.tap.map(|tap| tap.report()),
            gaps: self.gaps,
            log_error: self.log_error,
        }
    }
}
