//! `cargo l4re stop|start|reboot|rm NAME…`.
//!
//! Stop and rm are forced and skip the guest's own shutdown, which L4Re does not answer;
//! they end when EC2 says that the instance is stopped or gone, not when it was asked.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use futures::future::join_all;
use l4re_cloud::{Instance, InstanceState};
use serde_json::json;

use crate::commands::Context;
use crate::complete;
use crate::failure::Failure;
use crate::instance::{self, Connection, Where};

/// Limit for a change of state; metal machines take their time.
const LIMIT: Duration = Duration::from_secs(30 * 60);

/// Arguments of `stop`, `start`, `reboot` and `rm`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Names or ids of instances
    #[arg(required = true, value_name = "NAME", add = ArgValueCompleter::new(complete::instances))]
    names: Vec<String>,
    #[command(flatten)]
    end: Where,
    /// Leave as soon as it is asked for
    #[arg(long)]
    no_wait: bool,
}

/// What to do to them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Stop at once.
    Stop,
    /// Start again.
    Start,
    /// Reset.
    Reboot,
    /// Terminate.
    Remove,
}

/// Runs one of them. All instances are asked, also when one fails; the first failure counts.
pub fn power(context: &Arc<Context>, arguments: &Arguments, action: Action) -> Result<(), Failure> {
    let ready = instance::connect(context, arguments.end)?;
    let results = context.with_runtime(|runtime, interrupt| {
        runtime.block_on(async {
            let connection = ready.connect().await?;
            let wait = !arguments.no_wait;
            let names = arguments.names.iter().collect::<BTreeSet<_>>().into_iter();
            let each = names.map(|name| one(context, &connection, name, action, wait));
            tokio::select! {
                results = join_all(each) => Ok(results),
                () = interrupt.asked() => Err(Failure::Interrupted),
            }
        })
    })?;
    let local = context.local.load(Ordering::Relaxed);
    let mut first = Ok(());
    for failure in results.into_iter().filter_map(Result::err) {
        match first {
            Ok(()) => first = Err(failure),
            Err(_) => context.shell.error(&failure.diagnostic(local)),
        }
    }
    first
}

async fn one(
    context: &Context,
    connection: &Connection,
    name: &str,
    action: Action,
    wait: bool,
) -> Result<(), Failure> {
    let cloud = &connection.cloud;
    let machine = cloud.find(name).await?;
    let (verb, wanted) = match action {
        Action::Stop => {
            cloud.stop(&machine).await?;
            ("Stopped", Some(InstanceState::Stopped))
        }
        Action::Start => {
            cloud.start(&machine).await?;
            ("Started", Some(InstanceState::Running))
        }
        Action::Reboot => {
            cloud.reboot(&machine).await?;
            ("Rebooted", None)
        }
        Action::Remove => {
            cloud.terminate(&machine).await?;
            ("Removed", Some(InstanceState::Terminated))
        }
    };
    if let Some(wanted) = wanted.filter(|_| wait) {
        cloud.wait_for(&machine.id, wanted, LIMIT).await?;
    }
    tell(context, &machine, verb, wanted.filter(|_| wait))
}

fn tell(
    context: &Context,
    machine: &Instance,
    verb: &str,
    state: Option<InstanceState>,
) -> Result<(), Failure> {
    let name = machine.name.as_deref().unwrap_or(&machine.id);
    context.shell.status(verb, format_args!("{name} ({})", machine.id));
    let state = state.map(InstanceState::ec2);
    let message = json!({ "id": machine.id, "name": machine.name, "state": state });
    Ok(context.shell.json(&verb.to_lowercase(), &message)?)
}
