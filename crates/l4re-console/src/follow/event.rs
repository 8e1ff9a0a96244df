//! What following tells its caller while it runs.

use std::io;
use std::time::Duration;

use crate::log::LogError;
use crate::phase::{ApplicationLine, Fault, Mark, Phase};
use crate::transport::{Gap, Notice};

/// Something worth telling. Times count from the start of following.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// A phase began.
    PhaseReached {
        /// The phase.
        phase: Phase,
        /// When.
        at: Duration,
    },
    /// A boot began; 2 and more after a reboot that was asked for.
    Boot {
        /// Counts from 1.
        number: u32,
    },
    /// A mark of our iPXE script.
    Mark(Mark),
    /// The application's first line.
    Application(ApplicationLine),
    /// A fault; final ones end the run.
    Fault(Fault),
    /// The boot stands still.
    Hint {
        /// The phase that it stands in.
        phase: Option<Phase>,
        /// For how long.
        waited: Duration,
        /// Why, as far as the console said so, or what to look at.
        text: String,
    },
    /// Bytes are missing here.
    Gap(Gap),
    /// The transport has news.
    Notice(Notice),
    /// An expectation was met.
    Expected {
        /// Its index.
        index: usize,
        /// The pattern as given.
        pattern: String,
    },
    /// The log could not be written; following goes on without it.
    LogFailed(LogError),
    /// Typed bytes did not reach the machine. Told once, until some do.
    InputLost {
        /// Why.
        reason: String,
    },
    /// `~?` was typed: show [`crate::escape::help`].
    HelpWanted,
}

/// Takes what following brings.
pub trait Observer: Send {
    /// Console bytes that cannot harm a terminal. An error ends the run as interrupted.
    fn output(&mut self, safe: &[u8]) -> io::Result<()>;

    /// An event, after the bytes that caused it.
    fn event(&mut self, event: Event);
}
