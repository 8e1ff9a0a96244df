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

use super::AssembleError;
use crate::replace::Replacement;

/// The bytes of a module as they go into the image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Prepared {
    pub(super) file: Utf8PathBuf,
    pub(super) size: u64,
    pub(super) md5: String,
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

    /// What `make` makes of a file, or made of it before in the same way; where the way is not
    /// known, it is made anew. `make` gets a path that it may write to.
    pub(super) fn prepared(
        &self,
        path: &Utf8Path,
        way: Option<&str>,
        make: impl FnOnce(&Utf8Path) -> Result<Prepared, AssembleError>,
    ) -> Result<Prepared, AssembleError> {
        let unfit = |error: io::Error| AssembleError::Unfit(format!("{path}: {error}"));
        let data = fs::metadata(path).map_err(unfit)?;
        let key = hex::encode(&Sha256::digest(format!("{path}\n{way:?}"))[..16]);
        let (note, kept) = (self.dir.join(&key), self.dir.join(format!("{key}.bytes")));
        let identity = identity(&data);
        let known = way.and_then(|_| recall(&note, &identity, path, &kept));
        if let Some(prepared) = known {
            return Ok(prepared);
        }
        let target = self.dir.join(format!("{key}.{}.tmp", std::process::id()));
        let mut prepared = make(&target)?;
        if prepared.file == target {
            fs::rename(&target, &kept).map_err(unfit)?;
            prepared.file = kept;
        } else {
            // What objcopy may have begun.
            let _ = fs::remove_file(&target);
        }
        let after = fs::metadata(path).map_err(unfit)?;
        if identity != self::identity(&after) {
            return Err(AssembleError::Unfit(format!("{path} changes while it is read")));
        }
        if way.is_some() && settled(&data) {
            keep(&note, &identity, path, &prepared).map_err(unfit)?;
        } else {
            let _ = fs::remove_file(&note);
        }
        Ok(prepared)
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

/// A note: identity, whether the file itself is used, size, MD5.
fn keep(note: &Utf8Path, identity: &str, path: &Utf8Path, prepared: &Prepared) -> io::Result<()> {
    let which = if prepared.file == path { "itself" } else { "kept" };
    let text = format!("{identity}\n{which}\n{}\n{}\n", prepared.size, prepared.md5);
    let mut file = Replacement::of(note)?;
    io::Write::write_all(&mut file, text.as_bytes())?;
    file.commit()
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
    let (size, md5) = (lines.next()?.parse().ok()?, lines.next()?);
    let whole = md5.len() == 32 && fs::metadata(file).ok()?.size() == size;
    whole.then(|| Prepared { file: file.to_owned(), size, md5: md5.to_owned() })
}
