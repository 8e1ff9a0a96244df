//! Which host keys are trusted.
//!
//! Invariant: a host without a matching key is never spoken to; a key of first use is on disk
//! before the session goes on.

use std::io::Write as _;

use camino::{Utf8Path, Utf8PathBuf};
use fs_err::os::unix::fs::OpenOptionsExt as _;

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
    #[error(
        "the host key changed from {recorded} to {seen}: somebody may be in between; if AWS is known \
         to have changed it, remove {path}:{line}"
    )]
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

impl HostKeyPolicy {
    /// Whether the host at `address` (`host:port`) may show a key with this fingerprint.
    pub(super) fn check(&self, address: &str, seen: Fingerprint) -> Result<(), HostKeyError> {
        match self {
            Self::Pinned(expected) if expected.contains(&seen) => Ok(()),
            Self::Pinned(expected) => {
                Err(HostKeyError::NotPinned { seen, expected: expected.clone() })
            }
            Self::TrustOnFirstUse(path) => match recorded(path, address)? {
                Some((_, known)) if known == seen => Ok(()),
                Some((line, recorded)) => {
                    Err(HostKeyError::Changed { seen, recorded, path: path.clone(), line })
                }
                None => record(path, address, &seen),
            },
        }
    }
}

/// The key recorded for `address`, with its line.
fn recorded(path: &Utf8Path, address: &str) -> Result<Option<(usize, Fingerprint)>, HostKeyError> {
    let text = match fs_err::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(HostKeyError::Io { path: path.to_owned(), source }),
    };
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let entry = line.split_once(' ').filter(|(_, key)| key.trim().starts_with("SHA256:"));
        let Some((host, key)) = entry else {
            let problem = "expected `host:port SHA256:…`";
            return Err(HostKeyError::Unreadable {
                path: path.to_owned(),
                line: number + 1,
                problem,
            });
        };
        if host == address {
            return Ok(Some((number + 1, Fingerprint::new(key))));
        }
    }
    Ok(None)
}

fn record(path: &Utf8Path, address: &str, key: &Fingerprint) -> Result<(), HostKeyError> {
    let write = || {
        if let Some(parent) = path.parent() {
            fs_err::create_dir_all(parent)?;
        }
        let mut options = fs_err::OpenOptions::new();
        let mut file = options.append(true).create(true).mode(0o600).open(path)?;
        // One write, so that sessions that begin together do not mix their lines.
        file.write_all(format!("{address} {key}\n").as_bytes())
    };
    write().map_err(|source| HostKeyError::Io { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn print(text: &str) -> Fingerprint {
        Fingerprint::new(text)
    }

    #[test]
    fn pinned_keys_are_compared_in_all_spellings() {
        let policy = HostKeyPolicy::Pinned(vec![print("SHA256:abc"), print("def=")]);
        policy.check("h:22", print("abc")).unwrap();
        policy.check("h:22", print("SHA256:def")).unwrap();
        let error = policy.check("h:22", print("xyz")).unwrap_err().to_string();
        assert!(
            error.contains("SHA256:xyz") && error.contains("SHA256:abc, SHA256:def"),
            "{error}"
        );
    }

    #[test]
    fn the_first_key_is_recorded_and_another_one_refused() {
        let dir = camino_tempfile::tempdir().unwrap();
        let path = dir.path().join("state/known_hosts");
        let policy = HostKeyPolicy::TrustOnFirstUse(path.clone());
        policy.check("h:22", print("abc")).unwrap();
        policy.check("h:23", print("def")).unwrap();
        policy.check("h:22", print("abc")).unwrap();
        assert_eq!(fs_err::read_to_string(&path).unwrap(), "h:22 SHA256:abc\nh:23 SHA256:def\n");
        let error = policy.check("h:23", print("new")).unwrap_err();
        let HostKeyError::Changed { seen, recorded, line: 2, .. } = &error else {
            panic!("{error}");
        };
        assert_eq!((seen, recorded), (&print("new"), &print("def")));
    }

    #[test]
    fn a_file_that_cannot_be_understood_is_not_ignored() {
        let dir = camino_tempfile::tempdir().unwrap();
        let path = dir.path().join("known_hosts");
        fs_err::write(&path, "# comment\n\nh:22 ssh-ed25519 AAAA\n").unwrap();
        let error = HostKeyPolicy::TrustOnFirstUse(path).check("h:22", print("abc")).unwrap_err();
        assert!(matches!(error, HostKeyError::Unreadable { line: 3, .. }), "{error}");
    }
}
