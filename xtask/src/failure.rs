//! Failures that have an exit code of their own, and how any failure ends the process.
//!
//! The codes are those of `cargo l4re`: 3 for a machine that lacks something, a child's
//! own code where a child failed, 1 for the rest.

use std::error::Error;
use std::fmt;
use std::process::ExitCode;

use crate::shell;

/// The exit code for a machine that lacks what a task needs.
pub(crate) const NOT_SET_UP: u8 = 3;

/// A failure that ends the process with a code of its own.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The exit code.
    pub(crate) code: u8,
    /// What to say, without a final full stop.
    pub(crate) message: String,
}

impl Failure {
    /// A failure with the code for a machine that lacks something.
    pub(crate) fn not_set_up(message: impl Into<String>) -> Self {
        Self { code: NOT_SET_UP, message: message.into() }
    }

    /// A child that ended with `status`; one that a signal ended counts as code 1.
    pub(crate) fn child(command: &str, status: Option<i32>) -> Self {
        let how = status.map_or_else(
            || "was ended by a signal".to_owned(),
            |code| format!("ended with exit code {code}"),
        );
        let code = status.and_then(|code| u8::try_from(code).ok()).unwrap_or(1);
        Self { code, message: format!("`{command}` {how}") }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for Failure {}

/// The exit code of `error`: its own if it has one, else 1.
pub(crate) fn code(error: &anyhow::Error) -> u8 {
    error.downcast_ref::<Failure>().map_or(1, |failure| failure.code)
}

/// Says what went wrong and gives the code to end with.
pub(crate) fn report(error: &anyhow::Error) -> ExitCode {
    shell::error(&format!("{error:#}"));
    ExitCode::from(code(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_childs_code_passes_through_context() {
        let error = anyhow::Error::from(Failure::child("make", Some(4))).context("the demo");
        assert_eq!(code(&error), 4);
        assert_eq!(format!("{error:#}"), "the demo: `make` ended with exit code 4");
    }

    #[test]
    fn a_signal_and_an_odd_code_are_one() {
        assert_eq!(Failure::child("qemu", None).code, 1);
        assert_eq!(Failure::child("qemu", Some(300)).code, 1);
        assert_eq!(code(&anyhow::anyhow!("anything")), 1);
    }
}
