//! The daemon's life: lock, listen, publish `twin.json`, serve, and leave nothing behind.

use crate::{Config, TwinError};

/// Serves until `shutdown` resolves, somebody calls [`crate::stop`], or the twin was idle
/// for long enough. Runs on a multi-threaded runtime of the caller.
pub async fn serve(
    config: Config,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), TwinError> {
    let _ = config;
    shutdown.await;
    Ok(())
}
