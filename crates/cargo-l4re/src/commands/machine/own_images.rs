//! A folder for the images of one call, within the build tree's: another call may build the
//! same entries while this one has not uploaded its own yet.
//!
//! It is removed with the call; what a killed one left is removed by the next.

use camino::{Utf8Path, Utf8PathBuf};

/// How the folders' names begin; the process's number follows.
const PREFIX: &str = ".of-process-";

/// The folder. Removed when dropped.
#[derive(Debug)]
pub struct OwnImages(Utf8PathBuf);

impl OwnImages {
    /// Makes one below `images`.
    pub fn new(images: &Utf8Path) -> std::io::Result<Self> {
        fs_err::create_dir_all(images)?;
        for entry in images.read_dir_utf8()?.filter_map(Result::ok) {
            let process = entry.file_name().strip_prefix(PREFIX);
            if process.is_some_and(|process| !Utf8Path::new("/proc").join(process).exists()) {
                // Another call may remove it at the same moment.
                let _ = fs_err::remove_dir_all(entry.path());
            }
        }
        let folder = images.join(format!("{PREFIX}{}", std::process::id()));
        fs_err::create_dir_all(&folder)?;
        Ok(Self(folder))
    }

    /// The variable for make that leads there.
    pub fn variable(&self) -> String {
        format!("BOOTSTRAP_OUTPUT_DIR={}", self.0)
    }
}

impl Drop for OwnImages {
    fn drop(&mut self) {
        // What is left is removed by the next call.
        let _ = fs_err::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_go_with_their_process() {
        let dir = camino_tempfile::tempdir().unwrap();
        let dead = dir.path().join(format!("{PREFIX}none"));
        fs_err::create_dir_all(&dead).unwrap();
        let own = OwnImages::new(dir.path()).unwrap();
        assert!(own.0.is_dir() && !dead.exists());
        assert_eq!(own.variable(), format!("BOOTSTRAP_OUTPUT_DIR={}", own.0));
        drop(own);
        assert_eq!(dir.path().read_dir_utf8().unwrap().count(), 0);
    }
}
