//! What one entry came to on one machine, and all of them together.
//!
//! Invariant: the exit code follows from the outcomes alone, whatever their order. A guest that
//! crashed outweighs a time-out, and that a failed test: the first may be the cause of the
//! others. What kept a test from running at all comes last, as it says nothing of the system.

use std::time::Duration;

use camino::Utf8PathBuf;
use l4re_console::follow::Report;
use l4re_console::tap::TapVerdict;
use l4re_console::verdict::Verdict;
use serde::Serialize;

use crate::failure::{Failure, INTERRUPTED, MachineFailure, code};

/// What an entry came to on a machine.
#[derive(Debug)]
pub struct Outcome {
    /// The entry, or the image's name.
    pub entry: String,
    /// The name of this run of it.
    pub run: String,
    /// From its start to the machine's end.
    pub elapsed: Duration,
    /// What its console came to, if it was seen.
    pub report: Option<Report>,
    /// The raw log.
    pub log: Option<Utf8PathBuf>,
    /// Why it is not good.
    pub failure: Option<Failure>,
}

/// What an outcome counts as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// All as expected.
    Passed,
    /// The tests said that they cannot run there.
    Skipped,
    /// A test or an expectation failed.
    Failed,
    /// It took too long.
    TimedOut,
    /// The guest crashed or loops.
    Crashed,
    /// It was not run, or not to its end.
    Interrupted,
    /// Something else failed: the launch, the machine, the connection.
    Error,
}

impl Outcome {
    /// What it counts as.
    pub fn status(&self) -> Status {
        match self.failure.as_ref().map(Failure::exit_code) {
            None if self.skip_reason().is_some() => Status::Skipped,
            None => Status::Passed,
            Some(code::EXPECTATION) => Status::Failed,
            Some(code::TIME_OUT) => Status::TimedOut,
            Some(code::CRASHED) => Status::Crashed,
            Some(INTERRUPTED) => Status::Interrupted,
            Some(_) => Status::Error,
        }
    }

    /// Why the tests did not run there.
    pub fn skip_reason(&self) -> Option<&str> {
        match &self.report.as_ref()?.verdict {
            Verdict::Tested { tests: TapVerdict::Skipped { reason } } => Some(reason),
            _ => None,
        }
    }
}

/// How many came to what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// As expected.
    pub passed: usize,
    /// Not run by their own word.
    pub skipped: usize,
    /// Not run, or not to the end, as the user wanted it to stop.
    pub stopped: usize,
    /// Everything else.
    pub failed: usize,
}

impl Tally {
    /// Counts the outcomes of so many runs: those without one were not to be started.
    pub fn of(outcomes: &[Outcome], planned: usize) -> Self {
        let mut tally = Self { stopped: planned - outcomes.len(), ..Self::default() };
        for outcome in outcomes {
            match outcome.status() {
                Status::Passed => tally.passed += 1,
                Status::Skipped => tally.skipped += 1,
                Status::Interrupted => tally.stopped += 1,
                _ => tally.failed += 1,
            }
        }
        tally
    }

    /// All of them as success or failure.
    pub fn result(self, outcomes: &[Outcome]) -> Result<(), Failure> {
        let codes = outcomes.iter().filter_map(|outcome| outcome.failure.as_ref());
        match codes.map(Failure::exit_code).max_by_key(|code| weight(*code)) {
            Some(code) => {
                let failed = self.failed;
                let total = self.passed + self.skipped + self.stopped + failed;
                Err(MachineFailure::Tests { failed, total, code }.into())
            }
            None => Ok(()),
        }
    }
}

/// Which exit code stands for several: that of the greatest weight.
pub fn weight(exit: u8) -> u8 {
    match exit {
        INTERRUPTED => 4,
        code::CRASHED => 3,
        code::TIME_OUT => 2,
        code::EXPECTATION => 1,
        _ => 0,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use l4re_console::follow::{Event, FollowOptions, Observer, control, follow};
    use l4re_console::transport::SocketConsole;

    use super::*;

    struct Nobody;

    impl Observer for Nobody {
        fn output(&mut self, _: &[u8]) -> std::io::Result<()> {
            Ok(())
        }

        fn event(&mut self, _: Event) {}
    }

    /// What a console of tests that prints this comes to.
    pub fn followed(console: Vec<u8>) -> Report {
        let mut options = FollowOptions::default();
        options.tap = true;
        let mut console =
            SocketConsole::over("test".into(), Box::new(std::io::Cursor::new(console)), None);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(follow(&mut console, options, None, &mut Nobody, control().1))
    }

    pub fn outcome(entry: &str, failure: Option<Failure>) -> Outcome {
        Outcome {
            entry: entry.to_owned(),
            run: entry.to_owned(),
            elapsed: Duration::from_millis(1500),
            report: None,
            log: None,
            failure,
        }
    }

    pub fn failed(verdict: Verdict) -> Option<Failure> {
        let (verdict, log) = (Box::new(verdict), "/l/tap.log".into());
        Some(MachineFailure::Verdict { verdict, log, whole: true }.into())
    }

    pub fn timed_out() -> Option<Failure> {
        let waited = Duration::from_secs(5);
        failed(Verdict::TimedOut {
            phase: None,
            waited,
            missing: Some("login:".into()),
            hint: Some("nothing was printed".into()),
        })
    }

    #[test]
    fn the_weightiest_outcome_is_the_exit_code() {
        let verdicts = [
            None,
            Some(Failure::NoHome),
            failed(Verdict::Failed { pattern: "a".into(), line: "a".into() }),
            timed_out(),
            failed(Verdict::Looping { boots: 2, explanation: String::new(), lines: Vec::new() }),
            Some(Failure::Interrupted),
        ];
        let mut outcomes = Vec::new();
        for (failure, expected) in verdicts.into_iter().zip([0, 3, 7, 8, 9, 130]) {
            outcomes.insert(0, outcome("a", failure));
            let code = Tally::of(&outcomes, outcomes.len()).result(&outcomes);
            assert_eq!(code.err().map_or(0, |failure| failure.exit_code()), expected);
        }
        let tally = Tally { passed: 1, skipped: 0, stopped: 1, failed: 4 };
        assert_eq!(Tally::of(&outcomes, 6), tally);
        assert_eq!(Tally::of(&outcomes, 8).stopped, 3);
        let error = tally.result(&outcomes).unwrap_err();
        assert_eq!(error.to_string(), "4 of 6 runs failed");
    }
}
