//! A new image on an instance that exists.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use l4re_cloud::{Instance, PlanWarning, PlannedCall, RedeployOptions, Redeployed, Warm, Way};
use l4re_image::{Arch, Image, Kind};

use super::connect::Connection;
use super::launch::{Recipe, build, facts, publish, publish_options, warn_of_unread_words};
use crate::commands::Context;
use crate::failure::Failure;
use crate::interrupt::Interrupt;
use crate::source::Source;

/// For how long a URL is signed where the instance has no expiry.
const WITHOUT_EXPIRY: Duration = Duration::from_secs(24 * 3600);

/// What [`redeploy`] would do; nothing is sent and nothing changed.
pub async fn planned_on(
    context: &Arc<Context>,
    connection: &Connection,
    source: &Source,
    recipe: &Recipe,
    name: &str,
    interrupt: &Interrupt,
) -> Result<Vec<PlannedCall>, Failure> {
    let (warm, image) = fitting(context, connection, source, recipe, name, interrupt).await?;
    let options = publish_options(context, connection, recipe);
    let mut calls = connection.cloud.planned_upload(&image, &options).await?;
    calls.extend(connection.cloud.planned_redeploy(&warm));
    Ok(calls)
}

/// The machine, and an image of the kind that it boots.
async fn fitting(
    context: &Arc<Context>,
    connection: &Connection,
    source: &Source,
    recipe: &Recipe,
    name: &str,
    interrupt: &Interrupt,
) -> Result<(Warm, Image), Failure> {
    let lookup = async {
        tokio::select! {
            warm = connection.cloud.warm(name) => Ok(warm?),
            () = interrupt.asked() => Err(Failure::Interrupted),
        }
    };
    // Only x86_64 has machines of both kinds.
    let settled = recipe.kind.or(source.kind()).or(match source.arch() {
        Arch::X86_64 => None,
        _ => Some(Kind::Efi),
    });
    let (warm, image) = match settled {
        Some(kind) => tokio::try_join!(lookup, build(context, source, kind, interrupt))?,
        None => {
            let warm = lookup.await?;
            let kind = warm.kind();
            let image = build(context, source, kind, interrupt).await?;
            (warm, image)
        }
    };
    warm.check(&facts(&image)?)?;
    Ok((warm, image))
}

/// Builds or takes the image, uploads it, and boots it on the instance.
pub async fn redeploy(
    context: &Arc<Context>,
    connection: &Connection,
    source: &Source,
    recipe: &Recipe,
    name: &str,
    interrupt: &Interrupt,
) -> Result<(Redeployed, Image), Failure> {
    let (warm, image) = fitting(context, connection, source, recipe, name, interrupt).await?;
    let facts = facts(&image)?;
    let instance = &warm.instance;
    if facts.wants_el2 == Some(true) && !warm.machine.bare_metal {
        let instance_type = instance.instance_type.clone();
        context.shell.warn(PlanWarning::WantsEl2 { instance_type });
    }
    warn_of_unread_words(context, recipe, image.arch);
    let recipe = Recipe { ttl: rest(context, instance), ..recipe.clone() };
    let object = publish(context, connection, &recipe, &image, interrupt).await?;
    if interrupt.is_asked() {
        return Err(Failure::Interrupted);
    }
    let options =
        RedeployOptions { command_line: recipe.command_line.clone(), ..RedeployOptions::default() };
    let redeployed = connection.cloud.redeploy(&warm, &facts, &object, &options).await?;
    let (verb, how) = match redeployed.way {
        Way::Waiting => ("Deployed", "which waited for it"),
        Way::Reboot => ("Rebooting", "with a new image"),
        Way::Restart => ("Restarted", "with a new image"),
    };
    let shown = instance.name.as_deref().unwrap_or(&instance.id);
    context.shell.status(verb, format_args!("{shown} ({}), {how}", instance.id));
    Ok((redeployed, image))
}

/// How long the instance may go on to exist.
fn rest(context: &Context, instance: &Instance) -> Duration {
    let Some(expires) = instance.expires else { return WITHOUT_EXPIRY };
    let rest = Duration::try_from(expires.duration_since(Timestamp::now())).unwrap_or_default();
    if rest.is_zero() {
        context.shell.warn(format_args!("{} is past its expiry: `gc` may end it", instance.id));
    }
    rest
}
