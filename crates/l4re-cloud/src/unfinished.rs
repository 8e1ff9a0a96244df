//! Cleaning up that goes on when what began it was dropped, by a Ctrl-C for instance.
//!
//! Invariant: it takes no longer than [`CLEANING`], and who ends the runtime can wait for it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::JoinHandle;

/// The longest that one clean-up may take: somebody has asked to end.
pub(crate) const CLEANING: Duration = Duration::from_secs(5);

/// Clean-ups that are under way. Its clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Unfinished(Arc<Mutex<Vec<JoinHandle<()>>>>);

impl Unfinished {
    /// Goes on with one, if there is a runtime to do so.
    pub(crate) fn spawn(&self, cleaning: impl Future<Output = ()> + Send + 'static) {
        if let Ok(runtime) = Handle::try_current() {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).push(runtime.spawn(cleaning));
        }
    }

    /// Waits until all have come to their end.
    pub async fn finish(&self) {
        let all = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        for cleaning in all {
            // One that panicked has nothing left to wait for.
            let _ = cleaning.await;
        }
    }
}
