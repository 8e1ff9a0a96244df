//! The state in memory and on disk.
//!
//! Invariant: a change is on disk before anybody is told of it. Instance records are the
//! files `instances/<id>/record.json`; the console's log lies beside them.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;

use crate::fault::Fault;
use crate::state::{
    Account, Image, Instance, InstanceState, Snapshot, StateReason, Tags, Volume, files,
    seeded_images,
};
use crate::{Config, TwinError};

/// EC2 shows terminated instances for about an hour.
const FORGET_AFTER: jiff::SignedDuration = jiff::SignedDuration::from_hours(1);

/// What the twin remembers, in memory.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) account: Account,
    pub(crate) instances: BTreeMap<String, Instance>,
    pub(crate) images: Vec<Image>,
    pub(crate) snapshots: BTreeMap<String, Snapshot>,
    /// Those that have no instance.
    pub(crate) volumes: BTreeMap<String, Volume>,
}

impl State {
    /// The tags of a resource and EC2's word for its kind.
    pub(crate) fn tags_mut(&mut self, id: &str) -> Option<(&'static str, &mut Tags)> {
        if let Some(image) = self.images.iter_mut().find(|image| image.id == id) {
            return Some(("image", &mut image.tags));
        }
        if let Some(snapshot) = self.snapshots.get_mut(id) {
            return Some(("snapshot", &mut snapshot.tags));
        }
        if let Some(volume) = self.volumes.get_mut(id) {
            return Some(("volume", &mut volume.tags));
        }
        self.instances.values_mut().find_map(|instance| {
            if instance.id == id {
                Some(("instance", &mut instance.tags))
            } else if let Some(volume) = instance.data.iter_mut().find(|volume| volume.id == id) {
                Some(("volume", &mut volume.tags))
            } else if instance.volume_id == id {
                Some(("volume", &mut instance.volume_tags))
            } else if instance.eni_id == id {
                Some(("network-interface", &mut instance.eni_tags))
            } else {
                let spot = instance.spot.as_mut().filter(|spot| spot.request_id == id)?;
                Some(("spot-instances-request", &mut spot.tags))
            }
        })
    }
}

/// The state with its place on disk.
#[derive(Debug)]
pub(crate) struct Store {
    pub(super) dir: Utf8PathBuf,
    state: Mutex<State>,
}

impl Store {
    /// Reads a state directory. Instances that lived when the last daemon was killed are as
    /// they were: [`crate::machine::resume`] finds out what became of their machines.
    pub(crate) fn open(config: &Config, account: Account) -> Result<Self, TwinError> {
        let images = seeded_images(config, &account);
        let (instances, snapshots, volumes) = Default::default();
        let store = Self {
            dir: config.dir.clone(),
            state: Mutex::new(State { account, instances, images, snapshots, volumes }),
        };
        store.read_library()?;
        store.read_volumes()?;
        store.read_instances()?;
        Ok(store)
    }

    /// The state, for as long as the guard lives.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The directory of an instance.
    pub(crate) fn instance_dir(&self, id: &str) -> Utf8PathBuf {
        self.dir.join("instances").join(id)
    }

    /// A new instance: its directory and record.
    pub(crate) fn insert(&self, state: &mut State, instance: Instance) -> Result<(), Fault> {
        fs::create_dir_all(self.instance_dir(&instance.id))
            .map_err(|error| Fault::internal(error.to_string()))?;
        self.save(&instance)?;
        state.instances.insert(instance.id.clone(), instance);
        Ok(())
    }

    /// Writes an instance's record.
    pub(crate) fn save(&self, instance: &Instance) -> Result<(), Fault> {
        files::write_json(&self.record(&instance.id), instance)
            .map_err(|error| Fault::internal(error.to_string()))
    }

    /// Writes the account's record.
    pub(crate) fn save_account(&self, state: &State) -> Result<(), Fault> {
        self.write_account(state).map_err(|error| Fault::internal(error.to_string()))
    }

    /// The same, for the daemon itself.
    pub(crate) fn write_account(&self, state: &State) -> Result<(), TwinError> {
        state.account.save(&self.dir)
    }

    /// Changes an instance, if it is there, and writes its record. A record that cannot be
    /// written is logged: the machine's own life does not wait for the disk.
    pub(crate) fn update(&self, id: &str, change: impl FnOnce(&mut Instance)) {
        let mut state = self.lock();
        if let Some(instance) = state.instances.get_mut(id) {
            change(instance);
            if let Err(fault) = self.save(instance) {
                tracing::error!(instance = id, "cannot write the record: {}", fault.message);
            }
        }
    }

    /// Forgets instances that were terminated more than EC2's hour before `now`, with all
    /// their files.
    pub(crate) fn forget_terminated(&self, now: jiff::Timestamp) {
        let mut state = self.lock();
        state.instances.retain(|id, instance| {
            let keep = instance.state != InstanceState::Terminated
                || now.duration_since(instance.changed) < FORGET_AFTER;
            if !keep && let Err(error) = fs::remove_dir_all(self.instance_dir(id)) {
                tracing::warn!("cannot remove a terminated instance: {error}");
            }
            keep
        });
    }

    fn record(&self, id: &str) -> Utf8PathBuf {
        record(&self.instance_dir(id))
    }

    fn read_instances(&self) -> Result<(), TwinError> {
        let dir = self.dir.join("instances");
        fs::create_dir_all(&dir).map_err(TwinError::file(&dir))?;
        for entry in dir.read_dir_utf8().map_err(TwinError::file(&dir))? {
            let entry = entry.map_err(TwinError::file(&dir))?;
            self.read_instance(entry.path())?;
        }
        Ok(())
    }

    fn read_instance(&self, dir: &Utf8Path) -> Result<(), TwinError> {
        // A directory without a record is a launch that was never answered.
        let Some(instance) = files::read_json::<Instance>(&record(dir))? else {
            return fs::remove_dir_all(dir).map_err(TwinError::file(dir));
        };
        self.lock().instances.insert(instance.id.clone(), instance);
        Ok(())
    }
}

/// The record in an instance's directory.
fn record(dir: &Utf8Path) -> Utf8PathBuf {
    dir.join("record.json")
}

/// The instances of a state directory that no daemon has open, with their directories.
pub(crate) fn resting(dir: &Utf8Path) -> Result<Vec<(Utf8PathBuf, Option<Instance>)>, TwinError> {
    let instances = dir.join("instances");
    if !instances.exists() {
        return Ok(Vec::new());
    }
    let entries = instances.read_dir_utf8().map_err(TwinError::file(&instances))?;
    entries
        .map(|entry| {
            let dir = entry.map_err(TwinError::file(&instances))?.path().to_owned();
            let instance = files::read_json(&record(&dir))?;
            Ok((dir, instance))
        })
        .collect()
}

/// Writes down that an instance's machine was ended while no daemon had it.
pub(crate) fn end_resting(dir: &Utf8Path, mut instance: Instance) -> Result<(), TwinError> {
    mark_ended(&mut instance);
    files::write_json(&record(dir), &instance)
}

/// The twin ended, and the machine with it.
fn mark_ended(instance: &mut Instance) {
    let terminated = instance.state == InstanceState::ShuttingDown
        || instance.spot.as_ref().is_some_and(|spot| !spot.can_be_stopped);
    instance.state = if terminated { InstanceState::Terminated } else { InstanceState::Stopped };
    let message = "Server.InternalError: the twin ended and its machines with it";
    instance.state_reason = Some(StateReason::new("Server.InternalError", message));
    instance.transition_reason = message.to_owned();
    instance.changed = jiff::Timestamp::now();
}
