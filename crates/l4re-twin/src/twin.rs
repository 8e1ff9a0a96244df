//! The running twin: what all its services share.

use std::time::Instant;

use crate::Config;
use crate::connect::PushedKeys;
use crate::faults::Faults;
use crate::guest::Preface;
use crate::machine::{Accelerator, Machines};
use crate::scheduler::Schedules;
use crate::sigv4::Credentials;
use crate::state::Store;
use crate::usage::Usage;

/// Shared by every service and machine; lives as long as the daemon.
#[derive(Debug)]
pub(crate) struct Twin {
    pub(crate) config: Config,
    pub(crate) store: Store,
    pub(crate) credentials: Credentials,
    pub(crate) machines: Machines,
    pub(crate) keys: PushedKeys,
    pub(crate) accelerator: Accelerator,
    pub(crate) faults: Faults,
    pub(crate) schedules: Schedules,
    pub(crate) activity: Activity,
    pub(crate) usage: Usage,
    /// How guests' connections reach the daemon.
    pub(crate) guests: Preface,
}

impl Twin {
    /// Whether nothing has happened for as long as the configuration allows.
    pub(crate) fn is_idle(&self) -> bool {
        let Some(limit) = self.config.idle else { return false };
        let state = self.store.lock();
        let runs = state.instances.values().any(|instance| instance.state.is_alive());
        drop(state);
        if runs {
            self.activity.touch();
        }
        self.activity.since() >= limit
    }
}

/// When somebody last wanted something of the twin.
#[derive(Debug)]
pub(crate) struct Activity(std::sync::Mutex<Instant>);

impl Activity {
    pub(crate) fn new() -> Self {
        Self(std::sync::Mutex::new(Instant::now()))
    }

    pub(crate) fn touch(&self) {
        *self.lock() = Instant::now();
    }

    pub(crate) fn since(&self) -> std::time::Duration {
        self.lock().elapsed()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Instant> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
