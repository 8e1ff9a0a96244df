//! From nothing to a machine that waits for an image.

use std::sync::Arc;

use l4re_cloud::{Boot, BootPlan, CloudError, Launched, ParkOptions, Prepared};
use l4re_image::{Arch, Kind};

use super::connect::Connection;
use super::launch::{
    Launches, PRICE_LIMIT, Recipe, ask_prices, chain_sentence, confirm, launch_options, lookups,
    publish_options, schedule_end, scheduler_role,
};
use crate::commands::Context;
use crate::failure::Failure;
use crate::interrupt::Interrupt;

/// What is to be parked.
#[derive(Debug, Clone)]
pub struct Parking {
    /// As for a launch.
    pub recipe: Recipe,
    /// For images of this architecture; the machine's if none.
    pub arch: Option<Arch>,
    /// For this kind of image.
    pub kind: Option<Kind>,
}

/// A parking that was looked up.
struct Planned {
    prepared: Prepared,
    options: ParkOptions,
    plan: BootPlan,
}

/// Looks everything up, and says how the machine comes to wait.
async fn planned(
    context: &Arc<Context>,
    connection: &Connection,
    parking: &Parking,
    interrupt: &Interrupt,
) -> Result<Planned, Failure> {
    let recipe = &parking.recipe;
    let mut launch = launch_options(context, recipe)?;
    launch.plan.boot = Some(Boot::Ipxe);
    let prepared = lookups(context, connection, recipe, &launch, interrupt).await?;
    let of_machine = || prepared.types.iter().flat_map(|machine| &machine.archs).next().copied();
    let Some(arch) = parking.arch.or_else(of_machine) else {
        let text = format!("{} runs no architecture that L4Re has", recipe.types.join(", "));
        return Err(Failure::Usage(text));
    };
    let options = ParkOptions {
        arch,
        kind: parking.kind,
        publish: publish_options(context, connection, recipe),
        // On the desk nobody counts requests.
        eager: connection.local,
        launch,
    };
    let plan = prepared.plan(&options.image(&prepared), &options.launch.plan);
    let plan = plan.map_err(CloudError::from)?;
    let sentence = chain_sentence(plan.chain, &plan.instance_type, &plan.ami.name);
    context.shell.status("Planning", sentence);
    for warning in &plan.warnings {
        context.shell.warn(warning);
    }
    Ok(Planned { prepared, options, plan })
}

/// Launches a machine that waits in iPXE.
pub async fn park(
    context: &Arc<Context>,
    connection: &Connection,
    parking: &Parking,
    interrupt: &Interrupt,
) -> Result<Launched, Failure> {
    let asking = ask_prices(connection, &parking.recipe);
    let Planned { prepared, options, plan } =
        planned(context, connection, parking, interrupt).await?;
    if plan.metal && !parking.recipe.yes {
        confirm(context, connection, &plan.instance_type, interrupt).await?;
    }
    // Not cancelled by Ctrl-C: a call that is under way may launch a machine all the same.
    let launched = connection.cloud.park(&prepared, &options).await?;
    schedule_end(context, connection, &launched.instance, options.launch.expires).await;
    asking.abort();
    Ok(launched)
}

/// What [`park`] would do; nothing is launched.
pub async fn planned_park(
    context: &Arc<Context>,
    connection: &Connection,
    parking: &Parking,
    interrupt: &Interrupt,
) -> Result<Launches, Failure> {
    let Planned { prepared, options, .. } =
        planned(context, connection, parking, interrupt).await?;
    let cloud = &connection.cloud;
    let (attempts, mut calls) = cloud.planned_park(&prepared, &options).await?;
    if let Some(first) = attempts.first() {
        calls.push(cloud.planned_launch(first));
        calls.extend(cloud.planned_end(first, scheduler_role(context)));
    }
    connection.prices.ask(cloud, &parking.recipe.types, PRICE_LIMIT).await;
    Ok(Launches { attempts, calls })
}
