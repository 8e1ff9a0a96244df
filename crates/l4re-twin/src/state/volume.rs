//! The record of a volume: in its instance's as long as that lives, and then, if the volume
//! outlives it, on its own: `volumes/<id>.json`, with its content in `volumes/<id>.img`.
//!
//! Invariant: a volume that outlives its instance is on its own before the instance's record
//! ceases to name it, so that a daemon that is killed in between only does it again.

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use serde::{Deserialize, Serialize};

use crate::TwinError;
use crate::fault::Fault;
use crate::state::{Device, InstanceState, State, Store, Tags, disk_files, files};

/// One volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Volume {
    pub(crate) id: String,
    /// What it is to its instance, and what it was made from.
    pub(crate) device: Device,
    pub(crate) zone: String,
    pub(crate) created: jiff::Timestamp,
    pub(crate) tags: Tags,
}

impl Store {
    /// Lets go of what a terminated instance has: volumes that outlive it are from now on
    /// volumes of their own, and it has none any more.
    pub(crate) fn release_volumes(&self, id: &str) -> Result<(), Fault> {
        let mut state = self.lock();
        let Some(instance) = state.instances.get(id) else { return Ok(()) };
        if instance.state != InstanceState::Terminated || !instance.keeps_volumes() {
            return Ok(());
        }
        let mut instance = instance.clone();
        for (name, volume) in instance.volumes() {
            if volume.device.delete_on_termination {
                continue;
            }
            self.save_volume(&volume)?;
            let place = self.volume_disk(&volume.id);
            // The one that was written to, or else what it would have been made from; neither
            // where the twin plays the AMI.
            for file in disk_files(&self.instance_dir(id), &name) {
                if file.exists() && !place.exists() {
                    fs::rename(file, &place).map_err(|error| Fault::internal(error.to_string()))?;
                }
            }
            state.volumes.insert(volume.id.clone(), volume);
        }
        instance.forget_volumes();
        self.save(&instance)?;
        state.instances.insert(id.to_owned(), instance);
        Ok(())
    }

    /// Writes the record of a volume of its own.
    pub(crate) fn save_volume(&self, volume: &Volume) -> Result<(), Fault> {
        files::write_json(&self.volumes_dir().join(format!("{}.json", volume.id)), volume)
            .map_err(|error| Fault::internal(error.to_string()))
    }

    /// Forgets a volume of its own, and then its content: one that is there has all of it.
    pub(crate) fn remove_volume(&self, state: &mut State, id: &str) -> Result<(), Fault> {
        fs::remove_file(self.volumes_dir().join(format!("{id}.json")))
            .map_err(|error| Fault::internal(error.to_string()))?;
        state.volumes.remove(id);
        // Nothing is there where the twin played the AMI.
        let _ = fs::remove_file(self.volume_disk(id));
        Ok(())
    }

    /// Reads the volumes that have no instance, and clears what is left of those that were being
    /// deleted.
    pub(super) fn read_volumes(&self) -> Result<(), TwinError> {
        let dir = self.volumes_dir();
        fs::create_dir_all(&dir).map_err(TwinError::file(&dir))?;
        let mut disks = Vec::new();
        for entry in dir.read_dir_utf8().map_err(TwinError::file(&dir))? {
            let path = entry.map_err(TwinError::file(&dir))?.into_path();
            match path.extension() {
                Some("json") => {
                    if let Some(volume) = files::read_json::<Volume>(&path)? {
                        self.lock().volumes.insert(volume.id.clone(), volume);
                    }
                }
                Some("img") => disks.push(path),
                _ => {}
            }
        }
        let state = self.lock();
        for disk in disks {
            if !disk.file_stem().is_some_and(|id| state.volumes.contains_key(id)) {
                fs::remove_file(&disk).map_err(TwinError::file(&disk))?;
            }
        }
        Ok(())
    }

    fn volumes_dir(&self) -> Utf8PathBuf {
        self.dir.join("volumes")
    }

    fn volume_disk(&self, id: &str) -> Utf8PathBuf {
        self.volumes_dir().join(format!("{id}.img"))
    }
}

/// A disk of an instance, made at its first boot from what [`Store::keep_content`] left, if
/// anything, and as large as its volume; it keeps what the guest writes. Blocking.
pub(crate) fn instance_disk(
    instance_dir: &Utf8Path,
    name: &str,
    size_gib: u64,
) -> std::io::Result<Utf8PathBuf> {
    let [disk, base] = disk_files(instance_dir, name);
    if !disk.exists() {
        let beside = files::beside(&disk);
        if base.exists() {
            super::copy_sparse(&base, &beside)?;
        }
        let file = fs::OpenOptions::new().write(true).create(true).truncate(false).open(&beside)?;
        let size = (size_gib << 30).max(file.metadata()?.len());
        file.set_len(size)?;
        fs::rename(beside, &disk)?;
    }
    // Not there from the second boot on.
    let _ = fs::remove_file(base);
    Ok(disk)
}
