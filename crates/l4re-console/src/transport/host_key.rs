//! Which host keys are trusted.

use camino::Utf8PathBuf;

/// A SHA-256 fingerprint of a host key, in OpenSSH's form without padding: the part after
/// `SHA256:`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Fingerprint(String);

/// How a host proves itself.
#[derive(Clone, Debug)]
pub enum HostKeyPolicy {
    /// One of these keys, as AWS publishes them per region.
    Pinned(Vec<Fingerprint>),
    /// The key seen at first use, recorded in this file: lines `host:port SHA256:…`.
    TrustOnFirstUse(Utf8PathBuf),
}

/// Why a host is not trusted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HostKeyError {
    /// None of the pinned keys.
    #[error("the host key {seen} is none of the published ones ({})", list(expected))]
    NotPinned {
        /// The key that the host showed.
        seen: Fingerprint,
        /// The keys that are trusted.
        expected: Vec<Fingerprint>,
    },
    /// Not the key of the first use.
    #[error("the host key changed from {recorded} to {seen} (recorded in {path}:{line})")]
    Changed {
        /// The key that the host showed.
        seen: Fingerprint,
        /// The key of the first use.
        recorded: Fingerprint,
        /// The file.
        path: Utf8PathBuf,
        /// Where in it, from 1.
        line: usize,
    },
    /// A line that cannot be understood.
    #[error("{path}:{line}: {problem}")]
    Unreadable {
        /// The file.
        path: Utf8PathBuf,
        /// Where in it, from 1.
        line: usize,
        /// What is wrong.
        problem: &'static str,
    },
    /// The file cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: Utf8PathBuf,
        /// The cause.
        source: std::io::Error,
    },
}

fn list(keys: &[Fingerprint]) -> String {
    keys.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

impl std::fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SHA256:{}", self.0)
    }
}

impl Fingerprint {
    /// Takes `SHA256:…` or the part after the colon.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let text = text.trim();
        Self(text.strip_prefix("SHA256:").unwrap_or(text).trim_end_matches('=').to_owned())
    }
}
