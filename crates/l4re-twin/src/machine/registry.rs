//! The machines that live: how the API reaches them, and how all of them end together.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use crate::console::Console;

/// How a machine is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The guest is asked by ACPI first and has some time.
    Asked,
    /// At once.
    Now,
    /// At once, because the daemon ends: the instance is not its user's to have stopped.
    Daemon,
}

/// What the API tells a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Control {
    Reboot,
    End(Ending),
    /// QEMU is to write a picture of the screen.
    Photograph,
}

/// The machines that live, by instance.
#[derive(Debug)]
pub(crate) struct Machines {
    map: Mutex<HashMap<String, Entry>>,
    count: watch::Sender<usize>,
}

#[derive(Debug)]
struct Entry {
    control: mpsc::UnboundedSender<Control>,
    console: Arc<Console>,
}

impl Machines {
    pub(crate) fn new() -> Self {
        Self { map: Mutex::new(HashMap::new()), count: watch::Sender::new(0) }
    }

    /// Notes a machine; what it is told comes out of the receiver.
    pub(crate) fn add(&self, id: &str, console: Arc<Console>) -> mpsc::UnboundedReceiver<Control> {
        let (control, receiver) = mpsc::unbounded_channel();
        let mut map = self.lock();
        map.insert(id.to_owned(), Entry { control, console });
        self.count.send_replace(map.len());
        receiver
    }

    /// Forgets a machine that has ended.
    pub(crate) fn remove(&self, id: &str) {
        let mut map = self.lock();
        map.remove(id);
        self.count.send_replace(map.len());
    }

    pub(crate) fn reboot(&self, id: &str) {
        self.tell(id, Control::Reboot);
    }

    pub(crate) fn photograph(&self, id: &str) {
        self.tell(id, Control::Photograph);
    }

    pub(crate) fn end(&self, id: &str, ending: Ending) {
        self.tell(id, Control::End(ending));
    }

    /// The console of a machine that lives.
    pub(crate) fn console(&self, id: &str) -> Option<Arc<Console>> {
        self.lock().get(id).map(|entry| entry.console.clone())
    }

    /// Whether somebody is attached to an instance's serial console.
    pub(crate) fn has_session(&self, id: &str) -> bool {
        self.console(id).is_some_and(|console| console.has_session())
    }

    /// Ends all machines and waits until none is left, but not for ever.
    pub(crate) async fn end_all(&self) {
        let ids: Vec<String> = self.lock().keys().cloned().collect();
        for id in &ids {
            self.end(id, Ending::Daemon);
        }
        let mut count = self.count.subscribe();
        let none_left = count.wait_for(|count| *count == 0);
        if tokio::time::timeout(Duration::from_secs(10), none_left).await.is_err() {
            tracing::error!("machines did not end in time; the kernel ends them with the daemon");
        }
    }

    fn tell(&self, id: &str, control: Control) {
        if let Some(entry) = self.lock().get(id) {
            // A machine that no longer listens has ended.
            let _ = entry.control.send(control);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Entry>> {
        self.map.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
