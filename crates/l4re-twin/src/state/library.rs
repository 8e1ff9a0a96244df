//! Images and snapshots on disk: `images/<id>.json` for each AMI that was registered here,
//! `image-tags.json` for the tags of those that every twin has, `snapshots/<id>/` for each
//! snapshot's record and content.
//!
//! Invariant: a snapshot's record is written after its content is in place, and removed
//! before it; a directory without a record is cleared when the state is read.

use std::collections::BTreeMap;

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;

use crate::TwinError;
use crate::fault::Fault;
use crate::state::{Blocks, Image, Snapshot, State, Store, Tags, files};

/// The name of an instance's root device among its disks; the others have their volume's.
pub(crate) const ROOT: &str = "root";

impl Store {
    /// The directory of a snapshot.
    pub(crate) fn snapshot_dir(&self, id: &str) -> Utf8PathBuf {
        self.dir.join("snapshots").join(id)
    }

    /// A new AMI.
    pub(crate) fn insert_image(&self, state: &mut State, image: Image) -> Result<(), Fault> {
        self.save_image(&image)?;
        state.images.push(image);
        Ok(())
    }

    /// Forgets an AMI; one that every twin has is noted in the account.
    pub(crate) fn remove_image(&self, state: &mut State, id: &str) -> Result<(), Fault> {
        let Some(at) = state.images.iter().position(|image| image.id == id) else { return Ok(()) };
        if state.images[at].seeded {
            state.account.deregistered.insert(id.to_owned());
            self.save_account(state)?;
        } else {
            fs::remove_file(self.image_record(id)).map_err(internal)?;
        }
        state.images.remove(at);
        Ok(())
    }

    /// Writes what has changed of an AMI, a snapshot or a volume of its own.
    pub(crate) fn save_resource(&self, state: &State, id: &str) -> Result<(), Fault> {
        if let Some(snapshot) = state.snapshots.get(id) {
            return self.save_snapshot(snapshot);
        }
        if let Some(volume) = state.volumes.get(id) {
            return self.save_volume(volume);
        }
        match state.images.iter().find(|image| image.id == id) {
            Some(image) if !image.seeded => self.save_image(image),
            _ => self.save_seeds(state),
        }
    }

    /// A new snapshot whose content is in place.
    pub(crate) fn insert_snapshot(&self, state: &mut State, new: Snapshot) -> Result<(), Fault> {
        self.save_snapshot(&new)?;
        state.snapshots.insert(new.id.clone(), new);
        Ok(())
    }

    /// Writes a snapshot's record.
    pub(crate) fn save_snapshot(&self, snapshot: &Snapshot) -> Result<(), Fault> {
        files::write_json(&self.snapshot_dir(&snapshot.id).join("record.json"), snapshot)
            .map_err(|error| Fault::internal(error.to_string()))
    }

    /// Forgets a snapshot with its content. Disks made from it stay.
    pub(crate) fn remove_snapshot(&self, state: &mut State, id: &str) -> Result<(), Fault> {
        let dir = self.snapshot_dir(id);
        fs::remove_file(dir.join("record.json")).map_err(internal)?;
        state.snapshots.remove(id);
        fs::remove_dir_all(dir).map_err(internal)
    }

    /// Gives a new instance's disk the content of a snapshot, in no time: the snapshot may be
    /// deleted from now on.
    pub(crate) fn keep_content(
        &self,
        snapshot: &str,
        instance: &str,
        name: &str,
    ) -> Result<(), Fault> {
        let dir = self.instance_dir(instance);
        fs::create_dir_all(&dir).map_err(internal)?;
        let from = self.snapshot_dir(snapshot);
        let [_, base] = disk_files(&dir, name);
        fs::hard_link(Blocks(&from).disk(), base).map_err(internal)
    }

    fn save_image(&self, image: &Image) -> Result<(), Fault> {
        files::write_json(&self.image_record(&image.id), image)
            .map_err(|error| Fault::internal(error.to_string()))
    }

    fn save_seeds(&self, state: &State) -> Result<(), Fault> {
        let seeded = state.images.iter().filter(|image| image.seeded);
        let tags: BTreeMap<&str, &Tags> =
            seeded.map(|image| (image.id.as_str(), &image.tags)).collect();
        files::write_json(&self.seed_tags(), &tags)
            .map_err(|error| Fault::internal(error.to_string()))
    }

    fn image_record(&self, id: &str) -> Utf8PathBuf {
        self.dir.join("images").join(format!("{id}.json"))
    }

    fn seed_tags(&self) -> Utf8PathBuf {
        self.dir.join("image-tags.json")
    }

    /// Reads all AMIs and snapshots.
    pub(super) fn read_library(&self) -> Result<(), TwinError> {
        let tags: BTreeMap<String, Tags> = files::read_json(&self.seed_tags())?.unwrap_or_default();
        let mut state = self.lock();
        for image in &mut state.images {
            if let Some(tags) = tags.get(&image.id) {
                image.tags = tags.clone();
            }
        }
        for path in entries(&self.dir.join("images"))? {
            if path.extension() == Some("json")
                && let Some(image) = files::read_json::<Image>(&path)?
            {
                state.images.push(image);
            }
        }
        for path in entries(&self.dir.join("snapshots"))? {
            match files::read_json::<Snapshot>(&path.join("record.json"))? {
                Some(snapshot) => {
                    Blocks(&path).mend().map_err(TwinError::file(&path))?;
                    state.snapshots.insert(snapshot.id.clone(), snapshot);
                }
                // Never answered, or being deleted.
                None => fs::remove_dir_all(&path).map_err(TwinError::file(path))?,
            }
        }
        Ok(())
    }
}

/// A disk in an instance's directory, and the snapshot's content that it is made from at its
/// first boot.
pub(crate) fn disk_files(instance_dir: &Utf8Path, name: &str) -> [Utf8PathBuf; 2] {
    ["img", "base"].map(|kind| instance_dir.join(format!("{name}.{kind}")))
}

/// What is in a directory, made if it is not there.
fn entries(dir: &Utf8Path) -> Result<Vec<Utf8PathBuf>, TwinError> {
    fs::create_dir_all(dir).map_err(TwinError::file(dir))?;
    let entries = dir.read_dir_utf8().map_err(TwinError::file(dir))?;
    entries
        .map(|entry| entry.map(|entry| entry.path().to_owned()).map_err(TwinError::file(dir)))
        .collect()
}

fn internal(error: std::io::Error) -> Fault {
    Fault::internal(error.to_string())
}
