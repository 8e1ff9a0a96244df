//! The marks that our iPXE script prints: `l4re: <stage> <key=value…>`.
//!
//! Values end at white space; unknown keys are kept, unknown stages are not marks.

/// The stage that a mark names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum MarkStage {
    /// The script runs.
    Start,
    /// It fetches the image.
    Fetch,
    /// It compares the image's sum.
    Verify,
    /// It starts the image.
    Boot,
    /// It tries again after an error.
    Retry,
    /// It gave up.
    Failed,
}

/// One mark.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Mark {
    /// The stage.
    pub stage: MarkStage,
    /// Keys and values in order.
    pub values: Vec<(String, String)>,
}
