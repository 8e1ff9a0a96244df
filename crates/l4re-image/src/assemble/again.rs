//! An image of the very same parts as the last one of its name is that one, with its date, its
//! number and its sum: nothing is summed again, and nothing is written when it is still there.
//!
//! Invariant: parts are the same when the base image, all words of the entry, the maker and
//! each module's file (path, inode, size, times) are.

use std::fs;
use std::io::{self, Write};

use camino::{Utf8Path, Utf8PathBuf};
use sha2::{Digest, Sha256};

use super::payload::Payload;
use super::remember::identity;
use super::run::Ready;
use super::sweep;
use super::write::Frame;
use crate::replace::Replacement;

/// What was noted about an image when it was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Last {
    /// Names its parts.
    pub(super) key: String,
    pub(super) date: String,
    pub(super) number: u64,
    pub(super) sha256: String,
}

/// Where it is noted.
#[derive(Debug)]
pub(super) struct Note(Utf8PathBuf);

impl Note {
    /// Of the image at `path` of a build tree.
    pub(super) fn of(root: &Utf8Path, path: &Utf8Path) -> Self {
        let name = hex::encode(&Sha256::digest(path.as_str())[..16]);
        Self(root.join(".cargo-l4re").join(format!("image-{name}")))
    }

    /// What was noted about an image of these parts, and whether the image is there.
    pub(super) fn recall(&self, key: &str, image: &Utf8Path) -> Option<(Last, bool)> {
        let text = fs::read_to_string(&self.0).ok()?;
        let mut lines = text.lines();
        let mut next = || lines.next().map(ToOwned::to_owned);
        let last =
            Last { key: next()?, date: next()?, number: next()?.parse().ok()?, sha256: next()? };
        sweep::used(&self.0);
        let there = Some(next()?) == state(image);
        (last.key == key && last.sha256.len() == 64).then_some((last, there))
    }

    /// Notes what was made; the image is in its place.
    pub(super) fn keep(&self, last: &Last, image: &Utf8Path) -> io::Result<()> {
        let Last { key, date, number, sha256 } = last;
        let state = state(image).ok_or(io::ErrorKind::NotFound)?;
        let mut file = Replacement::of(&self.0)?;
        writeln!(file, "{key}\n{date}\n{number}\n{sha256}\n{state}")?;
        file.commit()
    }
}

fn state(image: &Utf8Path) -> Option<String> {
    fs::metadata(image).ok().as_ref().map(identity)
}

/// Names the parts of an image: all its bytes but those of the modules, laid out with neither
/// date nor number, and the modules' files.
pub(super) fn key(payload: &Payload, frame: &Frame, modules: &[Ready]) -> String {
    let mut hash = Sha256::new();
    let mut add = |bytes: &[u8]| {
        hash.update(bytes.len().to_le_bytes());
        hash.update(bytes);
    };
    [&frame.front, &payload.front, &frame.back].into_iter().for_each(|bytes| add(bytes));
    modules.iter().for_each(|module| add(module.prepared.source().as_bytes()));
    hex::encode(hash.finalize())
}
