//! What a run of tests came to.

/// What a case says beside ok and not ok.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase", tag = "kind", content = "reason")]
pub enum Directive {
    /// It is known not to work; no failure.
    Todo(String),
    /// It was not run; no failure, unless it says `not ok`.
    Skip(String),
}

/// What a case counts as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It passed.
    Passed,
    /// It failed.
    Failed,
    /// It was not run.
    Skipped,
    /// It is known not to work.
    Todo,
}

/// One test case.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Case {
    /// The number as printed.
    pub number: Option<u64>,
    /// Its description.
    pub name: String,
    /// `ok` was printed.
    pub ok: bool,
    /// TODO or SKIP.
    pub directive: Option<Directive>,
    /// `Test-uuid`, which L4Re's framework prints below the case.
    pub uuid: Option<String>,
    /// Lines of diagnostics below the case.
    pub diagnostics: Vec<String>,
    /// How deep in subtests it stands; 0 for a case of the block itself. Only those count.
    pub depth: u8,
}

impl Case {
    /// What the case counts as.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        match (&self.directive, self.ok) {
            (Some(Directive::Todo(_)), _) => Outcome::Todo,
            (_, false) => Outcome::Failed,
            (Some(Directive::Skip(_)), true) => Outcome::Skipped,
            (None, true) => Outcome::Passed,
        }
    }
}

/// What all blocks came to.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum TapVerdict {
    /// Every block is complete and nothing failed.
    Passed,
    /// Cases failed, or a plan or a bundle was not kept.
    Failed {
        /// What is wrong, a line for each thing.
        problems: Vec<String>,
    },
    /// The tests said that they cannot run here.
    Skipped {
        /// Why.
        reason: String,
    },
    /// The tests gave up: `Bail out!`.
    BailedOut {
        /// Why.
        reason: String,
    },
    /// No block has come to its end.
    Incomplete,
}

impl TapVerdict {
    /// Whether nothing failed; what could not run here did not fail.
    #[must_use]
    pub fn is_good(&self) -> bool {
        matches!(self, Self::Passed | Self::Skipped { .. })
    }
}

/// All cases with what they came to.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct TapReport {
    /// The verdict.
    pub verdict: TapVerdict,
    /// Cases in the order in which they came.
    pub cases: Vec<Case>,
    /// Blocks that came to their end.
    pub blocks: u64,
}
