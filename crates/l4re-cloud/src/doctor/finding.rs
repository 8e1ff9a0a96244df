//! One thing that was looked at, and what to do about it.
//!
//! Invariant: what an error makes a finding of says no fix here: what to do about errors is
//! the binary's to say, and the same as when a deploy meets them.

use std::sync::Arc;

use crate::error::CloudError;
use crate::types::InstanceTypeFacts;

/// How bad it is, the worst last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// As it should be.
    Good,
    /// It could not be found out, or it is good to know.
    Note,
    /// Something works worse than it could.
    Warning,
    /// A deploy will fail.
    Problem,
}

/// One finding.
#[derive(Debug, Clone)]
pub struct Finding {
    /// What was looked at: a stable word.
    pub check: &'static str,
    /// How bad it is.
    pub level: Level,
    /// What was found.
    pub text: String,
    /// What to do about it.
    pub fix: Option<String>,
    /// The error that it was found by: what to do about that is to be done.
    pub cause: Option<Arc<CloudError>>,
}

/// All that was found.
#[derive(Debug, Clone, Default)]
pub struct Examination {
    /// The findings, in the order of a deploy.
    pub findings: Vec<Finding>,
    /// The machines that a deploy would try, as far as they could be looked up.
    pub machines: Vec<InstanceTypeFacts>,
}

impl Level {
    /// A stable word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Problem => "problem",
        }
    }
}

impl Finding {
    /// As it should be.
    pub fn good(check: &'static str, text: impl Into<String>) -> Self {
        Self { check, level: Level::Good, text: text.into(), fix: None, cause: None }
    }

    /// It could not be found out, or it is good to know.
    pub fn note(check: &'static str, text: impl Into<String>) -> Self {
        Self { level: Level::Note, ..Self::good(check, text) }
    }

    /// Something works worse than it could.
    pub fn warning(check: &'static str, text: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { level: Level::Warning, fix: Some(fix.into()), ..Self::good(check, text) }
    }

    /// A deploy will fail.
    pub fn problem(check: &'static str, text: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { level: Level::Problem, fix: Some(fix.into()), ..Self::good(check, text) }
    }

    /// A deploy will fail, and with this error.
    pub(crate) fn failed(check: &'static str, error: impl Into<CloudError>) -> Self {
        let error = error.into();
        let text = match &error {
            CloudError::AccessDenied(denied) => match &denied.decision {
                Some(why) => format!("{error}; {why}"),
                None => error.to_string(),
            },
            error => error.to_string(),
        };
        Self { level: Level::Problem, cause: Some(Arc::new(error)), ..Self::good(check, text) }
    }

    /// A call that failed: a lack of rights is told as what it hides, all else is unknown.
    pub(crate) fn unknown(check: &'static str, error: &CloudError) -> Self {
        Self::note(check, format!("not known: {error}"))
    }
}
