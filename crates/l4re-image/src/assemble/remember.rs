//! What was made of a module's file before: kept in the build tree, valid for that very file
//! only (path, inode, size, times) and for those very tools.
//!
//! Invariants: a file that was changed within the second before it was read is not remembered,
//! since a second change could leave the same times; what is kept is checked for its size
//! before it is used, and a broken memory is no memory.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, SystemTime};

use camino::{Utf8Path, Utf8PathBuf};
use sha2::{Digest, Sha256};

use super::{AssembleError, sweep};
use crate::replace::Replacement;

/// The bytes of a module as they go into the image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Prepared {
    /// Holds these bytes.
    pub(super) file: Utf8PathBuf,
    pub(super) size: u64,
    /// How many they are when unpacked: as many, unless they are compressed.
    pub(super) unpacked: u64,
    /// Their sum, unpacked, where it is known from before.
    pub(super) md5: Option<String>,
    origin: Origin,
}

/// What was made of a module's file.
#[derive(Debug)]
pub(super) struct Made {
    /// The file itself, or the one that could be written.
    pub(super) file: Utf8PathBuf,
    /// Of what was compressed, its size and MD5.
    pub(super) unpacked: Option<(u64, String)>,
}

/// The module's own file, as it was when it was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Origin {
    path: Utf8PathBuf,
    identity: String,
    /// Where the sum is noted, if it may be.
    note: Option<Utf8PathBuf>,
    /// It was looked at before and has not changed.
    recalled: bool,
}

/// The folder in the build tree where things are kept.
#[derive(Debug)]
pub(super) struct Memory {
    dir: Utf8PathBuf,
}

impl Memory {
    pub(super) fn of_tree(root: &Utf8Path) -> Result<Self, AssembleError> {
        let dir = root.join(".cargo-l4re/modules");
        fs::create_dir_all(&dir)
            .map_err(|source| AssembleError::Write { path: dir.clone(), source })?;
        Ok(Self { dir })
    }

    /// What `make` makes of a file, or made of it before in the same way; where all of the way is
    /// not known (`exact`), it is made anew. `make` gets a path that it may write to, and says which file
    /// it is: that one, or the file as it is.
    pub(super) fn prepared(
        &self,
        path: &Utf8Path,
        way: &str,
        exact: bool,
        make: impl FnOnce(&Utf8Path) -> Result<Made, AssembleError>,
    ) -> Result<Prepared, AssembleError> {
        let unfit = |error: io::Error| AssembleError::Unfit(format!("{path}: {error}"));
        let data = fs::metadata(path).map_err(unfit)?;
        let key = hex::encode(&Sha256::digest(format!("{path}\n{way}"))[..16]);
        let (note, kept) = (self.dir.join(&key), self.dir.join(format!("{key}.bytes")));
        let identity = identity(&data);
        if exact && let Some(prepared) = recall(&note, &identity, path, &kept) {
            return Ok(prepared);
        }
        // Whatever is made now, what was noted about it is no more true.
        let _ = fs::remove_file(&note);
        let target = self.dir.join(format!("{key}.{}.tmp", std::process::id()));
        let Made { mut file, unpacked } = make(&target)?;
        if file == target {
            fs::rename(&target, &kept).map_err(unfit)?;
            file = kept;
        } else {
            // What objcopy may have begun.
            let _ = fs::remove_file(&target);
        }
        let size = fs::metadata(&file).map_err(unfit)?.size();
        let note = (exact && settled(&data)).then_some(note);
        let origin = Origin { path: path.to_owned(), identity, note, recalled: false };
        let (unpacked, md5) = unpacked.map_or((size, None), |(size, md5)| (size, Some(md5)));
        Ok(Prepared { file, size, unpacked, md5, origin })
    }
}

impl Prepared {
    /// The file that it was made of, as it was then.
    pub(super) fn source(&self) -> String {
        format!("{} {}", self.origin.path, self.origin.identity)
    }

    /// The sum, if it is known from an earlier time.
    pub(super) fn remembered(&self) -> Option<String> {
        self.md5.clone().filter(|_| self.origin.recalled)
    }

    /// To be called when the bytes have been read: makes sure that they still are what they
    /// were, and notes their sum.
    pub(super) fn finish(&self, md5: &str) -> Result<(), AssembleError> {
        let path = &self.origin.path;
        let unfit = |error: io::Error| AssembleError::Unfit(format!("{path}: {error}"));
        if identity(&fs::metadata(path).map_err(unfit)?) != self.origin.identity {
            return Err(AssembleError::Unfit(format!("{path} changes while it is read")));
        }
        match &self.origin.note {
            Some(note) => self.keep(note, md5).map_err(unfit),
            None => Ok(()),
        }
    }

    /// A note: identity, whether the file itself is used, size, MD5, size unpacked.
    fn keep(&self, note: &Utf8Path, md5: &str) -> io::Result<()> {
        let which = if self.file == self.origin.path { "itself" } else { "kept" };
        let Self { size, unpacked, origin, .. } = self;
        let text = format!("{}\n{which}\n{size}\n{md5}\n{unpacked}\n", origin.identity);
        let mut file = Replacement::of(note)?;
        io::Write::write_all(&mut file, text.as_bytes())?;
        file.commit()
    }
}

/// All that changes when a file is written or replaced.
pub(super) fn identity(data: &Metadata) -> String {
    format!(
        "{}:{} {} {}.{} {}.{}",
        data.dev(),
        data.ino(),
        data.size(),
        data.mtime(),
        data.mtime_nsec(),
        data.ctime(),
        data.ctime_nsec()
    )
}

/// Whether a further change would show in the times.
pub(super) fn settled(data: &Metadata) -> bool {
    let changed = data.modified().ok().and_then(|time| SystemTime::now().duration_since(time).ok());
    changed.is_some_and(|age| age > Duration::from_secs(1))
}

fn recall(note: &Utf8Path, identity: &str, path: &Utf8Path, kept: &Utf8Path) -> Option<Prepared> {
    let text = fs::read_to_string(note).ok()?;
    let mut lines = text.lines();
    if lines.next()? != identity {
        return None;
    }
    let file = match lines.next()? {
        "itself" => path,
        "kept" => kept,
        _ => return None,
    };
    let (size, md5) = (lines.next()?.parse().ok()?, lines.next()?.to_owned());
    let unpacked = lines.next()?.parse().ok()?;
    let whole = md5.len() == 32 && fs::metadata(file).ok()?.size() == size;
    sweep::used(note);
    let (path, identity) = (path.to_owned(), identity.to_owned());
    let origin = Origin { path, identity, note: None, recalled: true };
    whole.then(|| Prepared { file: file.to_owned(), size, unpacked, md5: Some(md5), origin })
}
