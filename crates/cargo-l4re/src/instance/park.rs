//! From nothing to a machine that waits for an image.

use std::sync::Arc;

use l4re_cloud::{Boot, CloudError, Launched, ParkOptions};
use l4re_image::{Arch, Kind};

use super::connect::Connection;
use super::launch::{
    Recipe, ask_prices, chain_sentence, confirm, launch_options, lookups, publish_options,
    schedule_end,
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

/// Launches a machine that waits in iPXE.
pub async fn park(
    context: &Arc<Context>,
    connection: &Connection,
    parking: &Parking,
    interrupt: &Interrupt,
) -> Result<Launched, Failure> {
    let recipe = &parking.recipe;
    let asking = ask_prices(connection, recipe);
    let mut launch = launch_options(context, recipe)?;
    launch.plan.boot = Some(Boot::Ipxe);
    let prepared = lookups(connection, recipe, &launch, interrupt).await?;
    let of_machine = || prepared.types.iter().flat_map(|machine| &machine.archs).next().copied();
    let Some(arch) = parking.arch.or_else(of_machine) else {
        let text = format!("{} runs no architecture that L4Re has", recipe.types.join(", "));
        return Err(Failure::Usage(text));
    };
    let expires = launch.expires;
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
    if plan.metal && !recipe.yes {
        confirm(context, connection, &plan.instance_type, interrupt).await?;
    }
    // Not cancelled by Ctrl-C: a call that is under way may launch a machine all the same.
    let launched = connection.cloud.park(&prepared, &options).await?;
    schedule_end(context, connection, &launched.instance, expires).await;
    asking.abort();
    Ok(launched)
}
