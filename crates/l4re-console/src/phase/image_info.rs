//! What the bootstrapper prints about the image that it is part of: the proof that what
//! runs is what was built.

/// The image as it names itself on the console. Times are as `l4image` wrote them.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct ImageInfo {
    /// `L4Image sequence info`, without `#`.
    pub sequence: Option<String>,
    /// `L4Image creation info`.
    pub created: Option<String>,
    /// `Bootstrap build info`.
    pub bootstrap_built: Option<String>,
    /// `sha256=` of a `l4re: verify` mark.
    pub sha256: Option<String>,
}
