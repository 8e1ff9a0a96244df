//! One build of a build tree at a time, among those of this program.
//!
//! Invariant: the lock is another than the one that L4Re's own tools take, which make needs for
//! itself.

use std::fs::{File, TryLockError};
use std::io;

use camino::Utf8Path;

/// The right to build in a tree, until dropped.
#[derive(Debug)]
pub struct BuildLock(#[expect(dead_code, reason = "the lock lives as long as the file")] File);

impl BuildLock {
    /// Takes the lock of the build tree at `root`; `None` while another has it.
    pub fn try_take(root: &Utf8Path) -> io::Result<Option<Self>> {
        let dir = root.join(".cargo-l4re");
        fs_err::create_dir_all(&dir)?;
        let file = File::create(dir.join("lock"))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_has_it_at_a_time() {
        let dir = camino_tempfile::tempdir().unwrap();
        let first = BuildLock::try_take(dir.path()).unwrap();
        assert!(first.is_some());
        assert!(BuildLock::try_take(dir.path()).unwrap().is_none());
        drop(first);
        assert!(BuildLock::try_take(dir.path()).unwrap().is_some());
    }
}
