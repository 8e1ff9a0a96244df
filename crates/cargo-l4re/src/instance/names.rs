//! Names of instances for a shell that asks: soon, or not at all.

use std::time::Duration;

use l4re_cloud::InstanceFilter;
use tokio::runtime::Builder;

use super::connect;
use crate::commands::Context;

/// Time that a person may wait for a completion.
const LIMIT: Duration = Duration::from_millis(1500);

/// Name, and state and type, of each instance; `None` when they cannot be had in time.
pub fn names(context: &Context, local: bool) -> Option<Vec<(String, String)>> {
    let ready = connect::connect_to_running(context, local)?;
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().ok()?;
    let listed = runtime.block_on(async {
        tokio::time::timeout(LIMIT, async {
            let connection = ready.connect().await.ok()?;
            connection.cloud.list(&InstanceFilter::default()).await.ok()
        })
        .await
    });
    runtime.shutdown_background();
    let named = listed.ok().flatten()?.into_iter().map(|machine| {
        let about = format!("{}, {}", machine.state, machine.instance_type);
        (machine.name.unwrap_or(machine.id), about)
    });
    Some(named.collect())
}
