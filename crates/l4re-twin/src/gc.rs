//! Frees what a state directory need not hold: records and consoles of terminated
//! instances before their hour is over, disks that can be made again, abandoned uploads.

use camino::Utf8Path;
use fs_err as fs;

use crate::TwinError;
use crate::s3::Objects;
use crate::state::{InstanceState, resting};
use crate::status::Lock;

/// Frees it; how many bytes that were. A running twin is refused: it keeps house itself.
pub fn gc(dir: &Utf8Path) -> Result<u64, TwinError> {
    if !dir.is_dir() {
        return Ok(0);
    }
    let _lock = Lock::take(dir)?;
    let before = size(dir)?;
    // Opening the store clears it.
    Objects::open(&dir.join("s3"))?;
    remove(&dir.join("disks"))?;
    for (dir, instance) in resting(dir)? {
        if instance.is_none_or(|instance| instance.state == InstanceState::Terminated) {
            remove(&dir)?;
        }
    }
    Ok(before.saturating_sub(size(dir)?))
}

fn remove(dir: &Utf8Path) -> Result<(), TwinError> {
    if dir.exists() {
        fs::remove_dir_all(dir).map_err(TwinError::file(dir))?;
    }
    Ok(())
}

fn entries(dir: &Utf8Path) -> Result<Vec<camino::Utf8PathBuf>, TwinError> {
    if !dir.exists() {
        return Ok(Vec::new());
    }
    let entries = dir.read_dir_utf8().map_err(TwinError::file(dir))?;
    entries
        .map(|entry| entry.map(|entry| entry.path().to_owned()).map_err(TwinError::file(dir)))
        .collect()
}

/// What a tree takes on disk, holes not counted.
fn size(dir: &Utf8Path) -> Result<u64, TwinError> {
    let mut sum = 0;
    for entry in entries(dir)? {
        let metadata = fs::symlink_metadata(&entry).map_err(TwinError::file(&entry))?;
        sum += if metadata.is_dir() {
            size(&entry)?
        } else {
            std::os::unix::fs::MetadataExt::blocks(&metadata) * 512
        };
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_made_again_goes_and_a_running_twin_is_left_alone() {
        let dir = camino_tempfile::tempdir().unwrap();
        assert_eq!(gc(&dir.path().join("none")).unwrap(), 0);
        fs::create_dir_all(dir.path().join("instances/i-0")).unwrap();
        fs::create_dir_all(dir.path().join("disks")).unwrap();
        fs::write(dir.path().join("disks/x.img"), vec![1; 100_000]).unwrap();
        let lock = Lock::take(dir.path()).unwrap();
        assert!(matches!(gc(dir.path()), Err(TwinError::AlreadyRunning { .. })));
        drop(lock);
        assert!(gc(dir.path()).unwrap() >= 100_000);
        assert!(!dir.path().join("disks").exists());
        assert!(!dir.path().join("instances/i-0").exists());
    }
}
