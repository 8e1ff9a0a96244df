//! How a command that needs machines can fail.

use std::time::Duration;

use camino::Utf8PathBuf;
use l4re_cloud::CloudError;
use l4re_console::asciicast::RecordError;
use l4re_console::expect::PatternError;
use l4re_console::log::LogError;
use l4re_console::phase::Phase;
use l4re_console::tap::TapVerdict;
use l4re_console::verdict::Verdict;
use l4re_twin::TwinError;

use super::{Failure, INTERRUPTED, cloud, code};
use crate::shell::count;

/// Why something with a machine failed, EC2's or the desk's.
#[derive(Debug, thiserror::Error)]
pub enum MachineFailure {
    /// EC2, S3, or the twin in their place.
    #[error(transparent)]
    Cloud(#[from] CloudError),
    /// The twin itself.
    #[error(transparent)]
    Twin(#[from] TwinError),
    /// The twin did not start.
    #[error("the twin did not start (log: {log})")]
    TwinStart {
        /// Its log.
        log: Utf8PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file of faults that cannot be read as one.
    #[error("{source}")]
    FaultFile {
        /// Where and why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// No fault has this number.
    #[error("there is no fault {number}")]
    NoSuchFault {
        /// The number.
        number: u32,
    },
    /// Programs or firmware that an instance on the desk needs.
    #[error("the desk cannot boot {arch} instances: {missing} missing", missing = files(.missing))]
    DeskLacks {
        /// The architecture.
        arch: String,
        /// What is missing.
        missing: Vec<l4re_twin::Finding>,
    },
    /// `doctor` found what will not work.
    #[error("{} found", count(*.problems, "problem"))]
    Unwell {
        /// How many.
        problems: usize,
    },
    /// The console's end is not a good one. It was told already.
    #[error("{}", sentence(.verdict))]
    Verdict {
        /// The verdict.
        verdict: Box<Verdict>,
        /// The raw log.
        log: Utf8PathBuf,
        /// Whether all of the console is in it.
        whole: bool,
    },
    /// An expression that is none.
    #[error(transparent)]
    Pattern(#[from] PatternError),
    /// The console's log cannot be made.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The recording cannot be made.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// No entry is named to be tested, and the settings expect nothing of any.
    #[error("no entry is named, and no settings say what is expected of one")]
    NothingToTest,
    /// Runs that did not end well. Each was told already.
    #[error("{failed} of {} failed", count(*.total, "run"))]
    Tests {
        /// How many.
        failed: usize,
        /// Of how many.
        total: usize,
        /// The exit code that stands for all.
        code: u8,
    },
}

impl<E: Into<MachineFailure>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Machine(error.into())
    }
}

impl MachineFailure {
    pub(super) fn exit_code(&self) -> u8 {
        match self {
            Self::Pattern(_)
            | Self::FaultFile { .. }
            | Self::NoSuchFault { .. }
            | Self::Twin(TwinError::Fault { .. }) => code::USAGE,
            Self::Cloud(_)
            | Self::Twin(_)
            | Self::TwinStart { .. }
            | Self::DeskLacks { .. }
            | Self::Unwell { .. } => code::CLOUD,
            Self::Verdict { verdict, .. } => verdict_code(verdict),
            Self::NothingToTest => code::SETTINGS,
            Self::Tests { code, .. } => *code,
            Self::Log(_) | Self::Record(_) => code::UNEXPECTED,
        }
    }

    /// What stands behind it, as further lines.
    pub(super) fn causes(&self) -> Vec<String> {
        let (verdict, log, whole) = match self {
            Self::Verdict { verdict, log, whole } => (verdict, log, whole),
            Self::Cloud(error) => return cloud::causes(error),
            _ => return Vec::new(),
        };
        let mut causes = Vec::new();
        if let Verdict::Crashed { lines, .. } | Verdict::Looping { lines, .. } = &**verdict {
            causes.push(format!("around it:\n{}", lines.join("\n")));
        }
        let part = if *whole { "the whole console" } else { "what could be kept of the console" };
        causes.push(format!("{part} is in {log}"));
        causes
    }

    /// What to do about it; `end` leads what is to be typed to the same end.
    pub(super) fn hints(&self, end: &str) -> Vec<String> {
        match self {
            Self::DeskLacks { missing, .. } => install(missing),
            Self::NoSuchFault { .. } => {
                vec!["`cargo l4re twin fault list` numbers them".to_owned()]
            }
            Self::Cloud(error) => cloud::hints(error, end),
            Self::Verdict { verdict, .. } => self::verdict(verdict),
            Self::Pattern(PatternError::NeverInLine { .. }) => vec![
                "it is tried on one line at a time, without colours: give one expression a line"
                    .to_owned(),
            ],
            Self::NothingToTest => vec![
                "name some: `cargo l4re test ENTRY…`".to_owned(),
                "or say it in the settings: `[[entry]]` with a `name` and `tap = true` or `expect`"
                    .to_owned(),
            ],
            _ => Vec::new(),
        }
    }
}

fn files(missing: &[l4re_twin::Finding]) -> String {
    missing.iter().map(|finding| finding.file.as_str()).collect::<Vec<_>>().join(", ")
}

/// A verdict as an error message.
fn sentence(verdict: &Verdict) -> String {
    let still = |missing: &Option<String>| match missing {
        Some(pattern) => format!("; `{pattern}` was not seen"),
        None => String::new(),
    };
    let place = |phase: &Option<Phase>, hint: &Option<String>| match (phase, hint) {
        (Some(phase), _) => format!(" in {phase}"),
        (None, Some(_)) => " without any output".to_owned(),
        (None, None) => String::new(),
    };
    match verdict {
        Verdict::Failed { pattern, line } => format!("`{pattern}` was seen: {line}"),
        Verdict::WrongImage { what, runs, built } => {
            format!("another image runs than was built: its {what} is {runs}, not {built}")
        }
        Verdict::TimedOut { phase, waited, missing, hint } => {
            format!("time-out after {} s{}{}", seconds(*waited), place(phase, hint), still(missing))
        }
        Verdict::Idle { phase, waited, missing, hint } => {
            let (seconds, still) = (seconds(*waited), still(missing));
            match (phase, hint) {
                (None, Some(_)) => format!("no output at all for {seconds} s{still}"),
                _ => format!("no output for {seconds} s{}{still}", place(phase, hint)),
            }
        }
        Verdict::Crashed { cause, explanation, .. } => format!("{}: {explanation}", cause.name()),
        Verdict::Looping { explanation, .. } => format!("reboot loop: {explanation}"),
        Verdict::Closed { reason, missing } => {
            format!("the console ended ({reason}){}", still(missing))
        }
        Verdict::Lost { reason, missing } => {
            format!("the console was lost: {reason}{}", still(missing))
        }
        Verdict::Tested { tests } => self::tests(tests),
        Verdict::Interrupted => "interrupted".to_owned(),
        other => format!("{other:?}"),
    }
}

/// A limit in seconds, as it was given.
fn seconds(limit: Duration) -> String {
    limit.as_secs_f64().to_string()
}

/// What tests came to, as an error message.
fn tests(tests: &TapVerdict) -> String {
    match tests {
        TapVerdict::Failed { problems } => match problems.as_slice() {
            [only] => only.clone(),
            [first, rest @ ..] => format!("{first}, and {} more", rest.len()),
            [] => "tests failed".to_owned(),
        },
        TapVerdict::BailedOut { reason } => format!("the tests gave up: {reason}"),
        TapVerdict::Skipped { reason } => format!("the tests cannot run here: {reason}"),
        TapVerdict::Passed => "the tests passed".to_owned(),
        TapVerdict::Incomplete => "the tests have not come to their end".to_owned(),
    }
}

fn verdict_code(verdict: &Verdict) -> u8 {
    match verdict {
        Verdict::TimedOut { .. } | Verdict::Idle { .. } => code::TIME_OUT,
        Verdict::Crashed { .. } | Verdict::Looping { .. } => code::CRASHED,
        Verdict::Lost { .. } => code::CLOUD,
        Verdict::Interrupted => INTERRUPTED,
        _ => code::EXPECTATION,
    }
}

/// One line to install what is missing.
fn install(missing: &[l4re_twin::Finding]) -> Vec<String> {
    let mut packages: Vec<_> = missing.iter().filter_map(|finding| finding.package).collect();
    packages.sort_unstable();
    packages.dedup();
    match packages.is_empty() {
        true => Vec::new(),
        false => vec![format!("sudo apt-get install {}", packages.join(" "))],
    }
}

fn verdict(verdict: &Verdict) -> Vec<String> {
    match verdict {
        Verdict::TimedOut { hint, .. } => {
            let longer = "`--timeout TIME` gives it longer".to_owned();
            hint.iter().cloned().chain([longer]).collect()
        }
        Verdict::Idle { hint, .. } => {
            let longer = "`--idle-timeout TIME` allows for more silence".to_owned();
            hint.iter().cloned().chain([longer]).collect()
        }
        Verdict::WrongImage { .. } => {
            vec!["deploy it again: what booted was made, or uploaded, at another time".to_owned()]
        }
        _ => Vec::new(),
    }
}
