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
    /// The sum of the image that the boot script fetches: `image=` of `l4re: start`.
    pub sha256: Option<String>,
    /// What comparing the sum gave: `sum=` of `l4re: verify` (`ok`, `unchecked`, `unknown`).
    pub verified: Option<String>,
}
