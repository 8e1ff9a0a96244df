//! Names of instances, regions and profiles for a shell that asks: soon, or not at all.

use std::time::Duration;

use l4re_cloud::{CloudError, InstanceFilter};
use tokio::runtime::Builder;

use super::connect::{self, Account, Connection, Ready, Where};
use crate::commands::Context;
use crate::failure::{Failure, MachineFailure};

/// Time that a person may wait for a completion.
const LIMIT: Duration = Duration::from_millis(1500);

/// The region that is asked for the others where none is set.
const FIRST_REGION: &str = "us-east-1";

/// Name, and state and type, of each instance; `None` when they cannot be had in time.
pub fn names(context: &Context, end: &Where) -> Option<Vec<(String, String)>> {
    let ready = connect::connect_to_running(context, end)?;
    let listed = soon(async {
        let connection = ready.connect().await.ok()?;
        connection.cloud.list(&InstanceFilter::default()).await.ok()
    });
    let named = listed?.into_iter().map(|machine| {
        let about = format!("{}, {}", machine.state, machine.instance_type);
        (machine.name.unwrap_or(machine.id), about)
    });
    Some(named.collect())
}

/// The regions that the account may use; when they cannot be had in time, all that are known.
pub fn regions(context: &Context, end: &Where) -> Vec<String> {
    // The region itself is what is being typed.
    let at = |region: Option<&str>| -> Option<Ready> {
        let region = region.map(str::to_owned);
        let account = Account { region, profile: end.account.profile.clone() };
        connect::connect_to_running(context, &Where { local: false, account })
    };
    let listed = soon(async {
        let mut connected = at(None)?.connect().await;
        if is_without_region(&connected) {
            connected = at(Some(FIRST_REGION))?.connect().await;
        }
        connected.ok()?.cloud.regions().await.ok()
    });
    listed.unwrap_or_else(l4re_cloud::known_regions)
}

fn is_without_region(connected: &Result<Connection, Failure>) -> bool {
    matches!(connected, Err(Failure::Machine(MachineFailure::Cloud(CloudError::NoRegion))))
}

/// The profiles of the settings for AWS.
pub fn profiles() -> Vec<String> {
    soon(async { Some(l4re_cloud::profiles().await) }).unwrap_or_default()
}

/// What comes of it within the limit.
fn soon<T>(asked: impl Future<Output = Option<T>>) -> Option<T> {
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().ok()?;
    let answer = runtime.block_on(async { tokio::time::timeout(LIMIT, asked).await });
    runtime.shutdown_background();
    answer.ok().flatten()
}
