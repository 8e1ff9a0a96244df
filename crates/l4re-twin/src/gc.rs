//! Frees what a state directory need not hold: terminated instances before their hour is
//! over, disks that are made anew for each boot, abandoned uploads, objects whose bucket's rules
//! let them expire, and those that are old and that no instance's user data names.

use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use camino::Utf8Path;
use fs_err as fs;
use serde::{Deserialize, Serialize};

use crate::TwinError;
use crate::machine::remove_disks;
use crate::s3::{Condition, Objects, Uploads, expire};
use crate::state::{Instance, InstanceState, State, files, resting};
use crate::status::{self, Lock};
use crate::twin::Twin;

/// What was freed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Freed {
    /// On disk.
    pub bytes: u64,
    /// Terminated instances, with their consoles.
    pub instances: usize,
    /// Objects of S3.
    pub objects: usize,
}

/// Frees it, by the twin itself if it runs. Objects younger than `age` stay.
pub fn gc(dir: &Utf8Path, age: Duration) -> Result<Freed, TwinError> {
    if let Some(running) = status::status(dir)? {
        return status::ask_to_free(&running, age);
    }
    if !dir.is_dir() {
        return Ok(Freed::default());
    }
    let _lock = Lock::take(dir)?;
    let before = size(dir)?;
    // Opening the store clears what a killed daemon left.
    let objects = Objects::open(&dir.join("s3"))?;
    let mut freed = Freed::default();
    let mut kept = Vec::new();
    for (dir, instance) in resting(dir)? {
        // Volumes that shall outlive theirs are kept by the next daemon.
        let stays = |instance: &Instance| {
            instance.state != InstanceState::Terminated || instance.keeps_volumes()
        };
        match instance.filter(stays) {
            Some(instance) => kept.push(instance),
            None => {
                fs::remove_dir_all(&dir).map_err(TwinError::file(&dir))?;
                freed.instances += 1;
            }
        }
    }
    free(dir, &objects, &kept, age, &mut freed)?;
    freed.bytes = before.saturating_sub(size(dir)?);
    Ok(freed)
}

/// The same in the running daemon. Blocking.
pub(crate) fn free_while_running(
    twin: &Twin,
    objects: &Objects,
    age: Duration,
) -> Result<Freed, TwinError> {
    let dir = &twin.config.dir;
    let before = size(dir)?;
    let count = |state: &State| state.instances.len();
    let had = count(&twin.store.lock());
    twin.store.forget_terminated(jiff::Timestamp::MAX);
    let (has, kept) = {
        let state = twin.store.lock();
        (count(&state), state.instances.values().cloned().collect::<Vec<_>>())
    };
    let mut freed = Freed { instances: had.saturating_sub(has), ..Freed::default() };
    free(dir, objects, &kept, age, &mut freed)?;
    let after = size(dir)?;
    twin.usage.set(after);
    freed.bytes = before.saturating_sub(after);
    Ok(freed)
}

fn free(
    dir: &Utf8Path,
    objects: &Objects,
    kept: &[Instance],
    age: Duration,
    freed: &mut Freed,
) -> Result<(), TwinError> {
    Uploads(objects).clear_abandoned().map_err(TwinError::file(objects.root()))?;
    for instance in kept.iter().filter(|instance| instance.state == InstanceState::Stopped) {
        remove_disks(&dir.join("instances").join(&instance.id));
    }
    // Disks with an AMI's own program are made again, but not below a machine's feet.
    let disks = dir.join("disks");
    if !kept.iter().any(|instance| instance.state.is_alive()) && disks.exists() {
        fs::remove_dir_all(&disks).map_err(TwinError::file(&disks))?;
    }
    let named: Vec<String> = kept.iter().filter_map(user_data).collect();
    let failed = |error: s3s::S3Error| {
        TwinError::file(objects.root())(std::io::Error::other(error.to_string()))
    };
    freed.objects += expire(objects, SystemTime::now()).map_err(failed)?;
    for bucket in objects.buckets().map_err(TwinError::file(objects.root()))? {
        for object in objects.objects(&bucket).map_err(failed)? {
            if is_stale(&object.key, object.modified, age, &named) {
                objects.delete(&bucket, &object.key, &Condition::None).map_err(failed)?;
                freed.objects += 1;
            }
        }
    }
    Ok(())
}

fn user_data(instance: &Instance) -> Option<String> {
    let data = STANDARD.decode(instance.user_data.as_deref()?).ok()?;
    Some(String::from_utf8_lossy(&data).into_owned())
}

/// Old, and named by no script: the end of a key is in a URL as it is.
fn is_stale(key: &str, modified: SystemTime, age: Duration, named: &[String]) -> bool {
    let name = key.rsplit('/').find(|part| !part.is_empty()).unwrap_or(key);
    modified.elapsed().is_ok_and(|elapsed| elapsed >= age)
        && !named.iter().any(|script| script.contains(name))
}

/// Removes what a killed daemon had begun to write beside its place.
pub(crate) fn clear_unfinished(dir: &Utf8Path) -> Result<(), TwinError> {
    if !dir.exists() {
        return Ok(());
    }
    for entry in dir.read_dir_utf8().map_err(TwinError::file(dir))? {
        let entry = entry.map_err(TwinError::file(dir))?;
        let path = entry.path();
        if entry.file_type().map_err(TwinError::file(path))?.is_dir() {
            clear_unfinished(path)?;
        } else if files::is_beside(entry.file_name()) {
            fs::remove_file(path).map_err(TwinError::file(path))?;
        }
    }
    Ok(())
}

/// What a tree takes on disk, holes not counted. What goes meanwhile takes nothing.
pub(crate) fn size(dir: &Utf8Path) -> Result<u64, TwinError> {
    let entries = match dir.read_dir_utf8() {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(TwinError::file(dir)(error)),
    };
    let mut sum = 0;
    for entry in entries {
        let path = entry.map_err(TwinError::file(dir))?.into_path();
        match std::fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_dir() => sum += size(&path)?,
            Ok(metadata) => sum += std::os::unix::fs::MetadataExt::blocks(&metadata) * 512,
            Err(_) => {}
        }
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WEEK: Duration = Duration::from_secs(7 * 24 * 60 * 60);

    #[test]
    fn what_can_be_made_again_goes() {
        let dir = camino_tempfile::tempdir().unwrap();
        assert_eq!(gc(&dir.path().join("none"), WEEK).unwrap(), Freed::default());
        fs::create_dir_all(dir.path().join("instances/i-0")).unwrap();
        fs::create_dir_all(dir.path().join("disks")).unwrap();
        fs::write(dir.path().join("disks/x.img"), vec![1; 100_000]).unwrap();
        let freed = gc(dir.path(), WEEK).unwrap();
        assert!(freed.bytes >= 100_000 && freed.instances == 1, "{freed:?}");
        assert!(!dir.path().join("disks").exists());
        assert!(!dir.path().join("instances/i-0").exists());
    }

    #[test]
    fn what_was_not_written_to_its_end_goes() {
        let dir = camino_tempfile::tempdir().unwrap();
        let record = dir.path().join("instances/i-0/record.json");
        fs::create_dir_all(record.parent().unwrap()).unwrap();
        fs::write(&record, "{}").unwrap();
        let beside = files::beside(&record);
        fs::write(&beside, "{").unwrap();
        clear_unfinished(dir.path()).unwrap();
        assert!(record.exists() && !beside.exists());
    }

    #[test]
    fn old_objects_stay_while_a_script_names_them() {
        let old = SystemTime::now() - 2 * WEEK;
        let scripts =
            ["#!ipxe\nkernel http://169.254.169.253/b/images/abc.efi?X-Amz-Date=1".into()];
        assert!(is_stale("images/xyz.efi", old, WEEK, &scripts));
        assert!(!is_stale("images/abc.efi", old, WEEK, &scripts));
        assert!(!is_stale("images/xyz.efi", SystemTime::now(), WEEK, &scripts));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_running_twin_frees_by_itself() {
        let test = crate::fixture::TestTwin::new().await;
        let objects = Objects::open(&test.twin.config.dir.join("s3")).unwrap();
        fs::create_dir_all(test.twin.config.dir.join("disks")).unwrap();
        fs::write(test.twin.config.dir.join("disks/x.img"), vec![1; 100_000]).unwrap();
        let freed = free_while_running(&test.twin, &objects, WEEK).unwrap();
        assert!(freed.bytes >= 100_000, "{freed:?}");
    }
}
