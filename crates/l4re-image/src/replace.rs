//! A file that takes another's place when it is complete, and not before.
//!
//! Invariant: until [`commit`](Replacement::commit) the old file stays as it is, also when the
//! disk is full or this process dies; given up, it leaves nothing behind. A device or a pipe is
//! never replaced.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use rustix::fs::{CWD, RenameFlags, renameat_with};

/// What nothing was written to for so long is left over.
const ABANDONED: Duration = Duration::from_secs(3600);

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
        sweep(path, name);
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

/// Removes what processes that were killed have left of this file.
fn sweep(path: &Utf8Path, name: &str) {
    let folder = path.parent().filter(|folder| !folder.as_str().is_empty());
    let Ok(entries) = folder.unwrap_or(Utf8Path::new(".")).read_dir_utf8() else { return };
    for entry in entries.filter_map(Result::ok) {
        let number = entry.file_name().strip_prefix('.').and_then(|rest| rest.strip_prefix(name));
        let number = number.and_then(|rest| rest.strip_prefix('.')?.strip_suffix(".tmp"));
        if !number.is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit())) {
            continue;
        }
        let written = entry.metadata().and_then(|data| data.modified());
        if written.is_ok_and(|at| at.elapsed().is_ok_and(|age| age > ABANDONED)) {
            // There is nobody to tell, and the next one tries again.
            let _ = std::fs::remove_file(entry.path());
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
    fn what_a_killed_process_left_is_removed_in_time() {
        let dir = camino_tempfile::tempdir().unwrap();
        let left = |name: &str, age: Duration| {
            let file = File::create(dir.path().join(name)).unwrap();
            file.set_modified(std::time::SystemTime::now() - age).unwrap();
        };
        left(".f.1.tmp", 2 * ABANDONED);
        left(".f.2.tmp", Duration::ZERO);
        left(".f.x.tmp", 2 * ABANDONED);
        left(".g.1.tmp", 2 * ABANDONED);
        write_whole(&dir.path().join("f"), b"new").unwrap();
        let entries = dir.path().read_dir_utf8().unwrap();
        let mut names: Vec<_> = entries.map(|e| e.unwrap().file_name().to_owned()).collect();
        names.sort_unstable();
        assert_eq!(names, [".f.2.tmp", ".f.x.tmp", ".g.1.tmp", "f"]);
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
