//! What must come, in order, and what must not.

/// A pattern that is not a regular expression.
#[derive(Debug, thiserror::Error)]
#[error("pattern `{pattern}`: {source}")]
pub struct PatternError {
    /// The pattern as given.
    pub pattern: String,
    /// What is wrong with it.
    pub source: regex::Error,
}

/// Ordered expectations and patterns that must not come.
#[derive(Clone, Debug, Default)]
pub struct Expectations {}

/// What a look at new text brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The expectation with this index was met.
    Met(usize),
    /// The last expectation was met.
    AllMet,
    /// A line came that must not come.
    Failed {
        /// The pattern as given.
        pattern: String,
        /// The line.
        line: String,
    },
}

impl Expectations {
    /// Compiles patterns: `expect` in order, `fail_on` at any time.
    ///
    /// Each is tried on single lines without escape sequences and carriage returns.
    pub fn new<E: AsRef<str>, F: AsRef<str>>(
        expect: &[E],
        fail_on: &[F],
    ) -> Result<Self, PatternError> {
        todo!()
    }

    /// The first expectation that is still open.
    #[must_use]
    pub fn missing(&self) -> Option<&str> {
        todo!()
    }
}
