//! The record of a schedule: `schedules/<name>.json`, so that a daemon that was killed runs
//! it when it is back.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::Notify;

use crate::TwinError;
use crate::fault::Fault;
use crate::state::files;

/// A schedule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Schedule {
    pub(super) name: String,
    /// The members of the request, as it came.
    pub(super) request: Value,
    pub(super) due: jiff::Timestamp,
    pub(super) enabled: bool,
    pub(super) delete_when_done: bool,
    pub(super) done: bool,
    pub(super) created: jiff::Timestamp,
    pub(super) modified: jiff::Timestamp,
    pub(super) client_token: Option<String>,
}

/// All schedules, and what wakes their runner.
#[derive(Debug)]
pub(crate) struct Schedules {
    dir: Utf8PathBuf,
    map: Mutex<BTreeMap<String, Schedule>>,
    pub(super) changed: Notify,
}

impl Schedules {
    /// Reads the schedules of a state directory.
    pub(crate) fn open(state_dir: &Utf8Path) -> Result<Self, TwinError> {
        let dir = state_dir.join("schedules");
        fs::create_dir_all(&dir).map_err(TwinError::file(&dir))?;
        let mut map = BTreeMap::new();
        for entry in dir.read_dir_utf8().map_err(TwinError::file(&dir))? {
            let path = entry.map_err(TwinError::file(&dir))?.path().to_owned();
            // Files that were being written when the daemon was killed begin with a dot, too.
            let temporary = path.file_name().is_some_and(|name| name.ends_with(".new"));
            if !temporary && let Some(schedule) = files::read_json::<Schedule>(&path)? {
                map.insert(schedule.name.clone(), schedule);
            }
        }
        Ok(Self { dir, map: Mutex::new(map), changed: Notify::new() })
    }

    /// The schedules by name, for as long as the guard lives.
    pub(super) fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Schedule>> {
        self.map.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a schedule and wakes the runner.
    pub(super) fn put(
        &self,
        map: &mut BTreeMap<String, Schedule>,
        schedule: Schedule,
    ) -> Result<(), Fault> {
        files::write_json(&self.path(&schedule.name), &schedule)
            .map_err(|error| Fault::internal(error.to_string()))?;
        map.insert(schedule.name.clone(), schedule);
        self.changed.notify_one();
        Ok(())
    }

    /// Removes a schedule.
    pub(super) fn remove(
        &self,
        map: &mut BTreeMap<String, Schedule>,
        name: &str,
    ) -> Result<(), Fault> {
        fs::remove_file(self.path(name)).map_err(|error| Fault::internal(error.to_string()))?;
        map.remove(name);
        Ok(())
    }

    /// Names have letters, digits, `-`, `_` and `.` only.
    fn path(&self, name: &str) -> Utf8PathBuf {
        self.dir.join(format!("{name}.json"))
    }
}
