//! `cargo l4re stop|start|reboot|rm NAME…`.
//!
//! Stop and rm are forced and skip the guest's own shutdown, which L4Re does not answer;
//! they end when EC2 says that the instance is stopped or gone, not when it was asked.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use futures::future::join_all;
use l4re_cloud::{Instance, InstanceState, PlannedCall, Power};
use serde_json::json;

use super::planned;
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
    /// Say what would be called, and call nothing that changes anything
    #[arg(long)]
    dry_run: bool,
}

/// Runs one of them. All instances are asked, also when one fails; the first failure counts.
pub fn power(context: &Arc<Context>, arguments: &Arguments, action: Power) -> Result<(), Failure> {
    let ready = instance::connect(context, &arguments.end)?;
    let results = context.with_runtime(|runtime, interrupt| {
        runtime.block_on(async {
            let connection = ready.connect().await?;
            if arguments.dry_run {
                let calls = calls_of(&connection, &arguments.names, action).await?;
                planned::show(context, &calls)?;
                return Ok(Vec::new());
            }
            let wait = !arguments.no_wait;
            let names = arguments.names.iter().collect::<BTreeSet<_>>().into_iter();
            let each = names.map(|name| one(context, &connection, name, action, wait));
            tokio::select! {
                results = join_all(each) => Ok(results),
                () = interrupt.asked() => Err(Failure::Interrupted),
            }
        })
    })?;
    let mut first = Ok(());
    for failure in results.into_iter().filter_map(Result::err) {
        match first {
            Ok(()) => first = Err(failure),
            Err(_) => context.shell.error(&failure.diagnostic(&context.end())),
        }
    }
    first
}

/// The calls that would be made.
async fn calls_of(
    connection: &Connection,
    names: &[String],
    action: Power,
) -> Result<Vec<PlannedCall>, Failure> {
    let mut calls = Vec::new();
    for name in names {
        let machine = connection.cloud.find(name).await?;
        calls.extend(connection.cloud.planned_power(action, &machine));
    }
    Ok(calls)
}

async fn one(
    context: &Context,
    connection: &Connection,
    name: &str,
    action: Power,
    wait: bool,
) -> Result<(), Failure> {
    let cloud = &connection.cloud;
    let machine = cloud.find(name).await?;
    let (verb, wanted) = match action {
        Power::Stop => {
            cloud.stop(&machine).await?;
            ("Stopped", Some(InstanceState::Stopped))
        }
        Power::Start => {
            cloud.start(&machine).await?;
            ("Started", Some(InstanceState::Running))
        }
        Power::Reboot => {
            cloud.reboot(&machine).await?;
            ("Rebooted", None)
        }
        Power::Terminate => {
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
