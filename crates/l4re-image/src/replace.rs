//! A file that takes another's place when it is complete, and not before.
//!
//! Invariant: until [`commit`](Replacement::commit) the old file stays as it is, also when the
//! disk is full or this process dies; given up, it leaves nothing behind. A device or a pipe is
//! never replaced.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};

use camino::{Utf8Path, Utf8PathBuf};
use rustix::fs::{CWD, RenameFlags, renameat_with};

/// A file being written beside the one that it replaces.
#[derive(Debug)]
pub(crate) struct Replacement {
    file: File,
    temporary: Utf8PathBuf,
    path: Utf8PathBuf,
    done: bool,
}

impl Replacement {
    pub(crate) fn of(path: &Utf8Path) -> io::Result<Self> {
        if std::fs::metadata(path).is_ok_and(|data| !data.is_file() && !data.is_dir()) {
            let why = "it is a device or a pipe; name a file";
            return Err(io::Error::new(ErrorKind::InvalidInput, why));
        }
        let name = path.file_name().unwrap_or_default();
        let temporary = path.with_file_name(format!(".{name}.{}.tmp", std::process::id()));
        let create = || OpenOptions::new().read(true).write(true).create_new(true).open(&temporary);
        let file = create().or_else(|error| match error.kind() {
            // Left by a process of the same number that died.
            ErrorKind::AlreadyExists => {
                std::fs::remove_file(&temporary)?;
                create()
            }
            _ => Err(error),
        })?;
        Ok(Self { file, temporary, path: path.to_owned(), done: false })
    }

    /// The file itself.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Where it is until then.
    pub(crate) fn temporary(&self) -> &Utf8Path {
        &self.temporary
    }

    /// Puts the file in its place.
    ///
    /// Where a file is replaced, the two change places and the old one is removed: to rename
    /// over a file makes ext4 write the new one out, which for a large image takes as long as
    /// making it.
    pub(crate) fn commit(mut self) -> io::Result<()> {
        let (new, old) = (self.temporary.as_std_path(), self.path.as_std_path());
        let replaces = std::fs::symlink_metadata(old).is_ok_and(|data| data.is_file());
        if replaces && renameat_with(CWD, new, CWD, old, RenameFlags::EXCHANGE).is_ok() {
            self.done = true;
            // Only the old file is at stake.
            let _ = std::fs::remove_file(new);
            return Ok(());
        }
        // Not every file system can exchange.
        std::fs::rename(new, old)?;
        self.done = true;
        Ok(())
    }
}

impl Write for Replacement {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for Replacement {
    fn drop(&mut self) {
        if !self.done {
            // It may be gone already; there is nobody to tell.
            let _ = std::fs::remove_file(&self.temporary);
        }
    }
}

/// Writes a file whole or not at all, whatever fails: a full disk leaves what was there.
///
/// A link stays a link to the file that is written, and a file keeps its permissions. What is no
/// file, such as a pipe, is written to as it is, and so is a file whose folder takes no other.
/// Errors name the path.
pub fn write_whole(path: &Utf8Path, bytes: &[u8]) -> io::Result<()> {
    let named =
        |error: io::Error| io::Error::new(error.kind(), format!("cannot write {path}: {error}"));
    let target = path.canonicalize_utf8().unwrap_or_else(|_| path.to_owned());
    let old = std::fs::metadata(&target).ok();
    if old.as_ref().is_some_and(|data| !data.is_file()) {
        return std::fs::write(&target, bytes).map_err(named);
    }
    let replacement = Replacement::of(&target).and_then(|mut new| {
        if let Some(old) = &old {
            new.file.set_permissions(old.permissions())?;
        }
        new.write_all(bytes)?;
        new.commit()
    });
    match replacement {
        Err(error) if error.kind() == ErrorKind::PermissionDenied && old.is_some() => {
            std::fs::write(&target, bytes).map_err(named)
        }
        written => written.map_err(named),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_old_file_stays_until_commit() {
        let dir = camino_tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        fs_err::write(&path, "old").unwrap();
        let mut given_up = Replacement::of(&path).unwrap();
        given_up.write_all(b"half").unwrap();
        drop(given_up);
        assert_eq!(fs_err::read_to_string(&path).unwrap(), "old");
        assert_eq!(fs_err::read_dir(dir.path()).unwrap().count(), 1);
        let mut new = Replacement::of(&path).unwrap();
        new.write_all(b"new").unwrap();
        new.commit().unwrap();
        assert_eq!(fs_err::read_to_string(&path).unwrap(), "new");
        assert_eq!(fs_err::read_dir(dir.path()).unwrap().count(), 1);
        let folder = Replacement::of(dir.path()).unwrap();
        assert!(folder.commit().is_err(), "a folder is not replaced");
    }
    #[test]
    fn a_link_stays_one_and_so_do_permissions() {
        let dir = camino_tempfile::tempdir().unwrap();
        let (file, link) = (dir.path().join("f"), dir.path().join("l"));
        fs_err::write(&file, "old").unwrap();
        fs_err::set_permissions(&file, PermissionsExt::from_mode(0o640)).unwrap();
        fs_err::os::unix::fs::symlink("f", &link).unwrap();
        write_whole(&link, b"new").unwrap();
        assert!(fs_err::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs_err::read_to_string(&file).unwrap(), "new");
        assert_eq!(fs_err::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(fs_err::read_dir(dir.path()).unwrap().count(), 2);
        let error = write_whole(&dir.path().join("none/f"), b"").unwrap_err();
        assert!(error.to_string().contains("none/f"), "{error}");
    }

    #[test]
    fn a_device_is_not_replaced() {
        write_whole(Utf8Path::new("/dev/null"), b"new").unwrap();
        assert!(Replacement::of(Utf8Path::new("/dev/null")).is_err());
        assert!(!std::fs::metadata("/dev/null").unwrap().is_file());
    }
}
