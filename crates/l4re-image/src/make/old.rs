//! The image that is there before make runs: L4Re's tools remove it first, whatever becomes of
//! the new one.
//!
//! Invariant: unless the new image is accepted, the old one is there again.

use std::fs;

use camino::{Utf8Path, Utf8PathBuf};

/// The old image under a second name; put back when this is dropped.
#[derive(Debug)]
pub(super) struct Old {
    path: Utf8PathBuf,
    beside: Option<Utf8PathBuf>,
}

impl Old {
    /// Of the image at `path`, if there is one.
    pub(super) fn keep(path: &Utf8Path) -> Self {
        let name = path.file_name().unwrap_or_default();
        let beside = path.with_file_name(format!(".{name}.{}.old", std::process::id()));
        // Left by a process of the same number that died.
        let _ = fs::remove_file(&beside);
        // Where a file cannot have two names it goes, as without us.
        let kept = path.is_file() && fs::hard_link(path, &beside).is_ok();
        Self { path: path.to_owned(), beside: kept.then_some(beside) }
    }

    /// The new image is in its place.
    pub(super) fn give_up(mut self) {
        if let Some(beside) = self.beside.take() {
            let _ = fs::remove_file(beside);
        }
    }
}

impl Drop for Old {
    fn drop(&mut self) {
        if let Some(beside) = &self.beside {
            // Two names of one file are left as they are by a rename.
            let _ = fs::rename(beside, &self.path).and_then(|()| fs::remove_file(beside));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_old_image_stays_unless_there_is_a_new_one() {
        let dir = camino_tempfile::tempdir().unwrap();
        let path = dir.path().join("image");
        let left = || fs_err::read_dir(dir.path()).unwrap().count();
        Old::keep(&path).give_up();
        drop(Old::keep(&path));
        assert_eq!(left(), 0);
        fs_err::write(&path, "old").unwrap();
        drop(Old::keep(&path));
        assert_eq!((left(), fs_err::read_to_string(&path).unwrap().as_str()), (1, "old"));
        let old = Old::keep(&path);
        fs_err::remove_file(&path).unwrap();
        fs_err::write(&path, "half").unwrap();
        drop(old);
        assert_eq!((left(), fs_err::read_to_string(&path).unwrap().as_str()), (1, "old"));
        let old = Old::keep(&path);
        fs_err::remove_file(&path).unwrap();
        fs_err::write(&path, "new").unwrap();
        old.give_up();
        assert_eq!((left(), fs_err::read_to_string(&path).unwrap().as_str()), (1, "new"));
    }
}
