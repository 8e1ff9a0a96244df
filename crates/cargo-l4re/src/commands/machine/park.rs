//! `cargo l4re park`: a machine that waits in iPXE, so that the next image starts within
//! seconds of its upload instead of after a machine's start.
//!
//! The machine asks every few seconds for a script that `deploy --on NAME` puts into the
//! bucket. It ends itself at its expiry. Its address for that script is signed for seven days
//! at most, and for no longer than temporary credentials live.

use std::sync::Arc;

use clap::Args;
use l4re_cloud::PlanOptions;
use l4re_image::{Arch, Kind};
use serde_json::json;

use super::{deploy, flags};
use crate::commands::Context;
use crate::failure::Failure;
use crate::instance::{self, Attachment, Connection, Parking, Recipe, Where};
use crate::interrupt::Interrupt;
use crate::settings::Span;

/// What the script of a parked machine shows when it waits.
const PARKED: &str = "l4re: parked polls=";

/// Arguments of `park`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Name of the instance
    #[arg(value_name = "NAME", default_value = "parked")]
    name: String,
    #[command(flatten)]
    end: Where,
    /// Use a metal machine
    #[arg(long)]
    metal: bool,
    /// Instance type, instead of those of the settings (several are tried in turn)
    #[arg(long = "type", value_name = "TYPE", conflicts_with = "metal")]
    types: Vec<String>,
    /// Kind of image that it will boot, instead of the one that fits the machine
    #[arg(long, value_name = "KIND", value_parser = crate::commands::flags::kinds())]
    kind: Option<Kind>,
    /// Time to live: 45m, 2h, 1d
    #[arg(long, value_name = "TIME", value_parser = Span::lasting)]
    ttl: Option<Span>,
    /// Spot capacity first, on demand after
    #[arg(long)]
    spot: bool,
    /// Bucket in which it looks for its image
    #[arg(long, value_name = "NAME", value_parser = crate::settings::bucket)]
    bucket: Option<String>,
    /// Make the bucket if it does not exist
    #[arg(long)]
    make_bucket: bool,
    /// Launch metal machines without asking
    #[arg(short, long)]
    yes: bool,
    /// Leave at once when the launch is accepted
    #[arg(long)]
    detach: bool,
    /// Say what would be done, and do nothing that changes anything
    #[arg(long)]
    dry_run: bool,
    /// Time within which it must wait
    #[arg(long, value_name = "TIME")]
    timeout: Option<Span>,
}

/// Runs `park`.
pub fn park(context: &Arc<Context>, arguments: &Arguments) -> Result<(), Failure> {
    context.with_runtime(|runtime, interrupt| {
        let parking = parking(context, arguments)?;
        let ready = instance::connect(context, &arguments.end)?;
        if let Some(arch) = parking.arch {
            ready.check_desk(context, arch)?;
        }
        runtime.block_on(async {
            let connection = ready.connect().await?;
            if arguments.dry_run {
                let parking = &parking;
                let placed =
                    instance::planned_park(context, &connection, parking, interrupt).await?;
                return deploy::show(context, &connection, parking.recipe.ttl, &placed);
            }
            until_parked(context, arguments, &connection, &parking, interrupt).await
        })
    })
}

fn parking(context: &Context, arguments: &Arguments) -> Result<Parking, Failure> {
    let set = context.settings.find(|layer| layer.arch).map(|key| key.0);
    let only = match context.settings.trees().as_slice() {
        [(arch, _)] => Some(*arch),
        _ => None,
    };
    let named = context.global.arch;
    let (arch, types) = match arguments.types.as_slice() {
        [] => {
            let Some(arch) = named.or(set).or(only) else {
                let text = "for images of which architecture? Say `--arch ARCH` or `--type TYPE`";
                return Err(Failure::Usage(text.to_owned()));
            };
            (Some(arch), context.settings.machine(arch, arguments.metal))
        }
        types => (named, types.to_vec()),
    };
    let types = flags::some_types(types, arch.unwrap_or(Arch::X86_64))?;
    let recipe = Recipe {
        name: arguments.name.clone(),
        types,
        kind: arguments.kind,
        ttl: arguments.ttl.map_or_else(|| context.settings.ttl(), |span| span.0),
        spot: arguments.spot,
        yes: arguments.yes,
        bucket: arguments.bucket.clone().or(context.settings.bucket().map(str::to_owned)),
        make_bucket: arguments.make_bucket,
        command_line: None,
        adopt: true,
        plan: PlanOptions::default(),
        zones: Vec::new(),
        subnet: None,
    };
    Ok(Parking { recipe, arch, kind: arguments.kind })
}

async fn until_parked(
    context: &Arc<Context>,
    arguments: &Arguments,
    connection: &Connection,
    parking: &Parking,
    interrupt: &Interrupt,
) -> Result<(), Failure> {
    let launched = instance::park(context, connection, parking, interrupt).await?;
    let machine = &launched.instance;
    let message = json!({
        "id": machine.id, "name": machine.name, "type": machine.instance_type,
        "zone": machine.zone, "expires": machine.expires,
    });
    context.shell.json("parked", &message)?;
    let waits = match arguments.detach {
        true => Ok(()),
        false => {
            let limit = flags::limit(launched.plan.metal);
            let attachment = Attachment {
                expect: vec![PARKED.to_owned()],
                timeout: Some(arguments.timeout.map_or(limit, |span| span.0)),
                end_on_fault: true,
                ..Attachment::default()
            };
            let ending =
                instance::attach(context, connection, machine, attachment, interrupt).await;
            ending.and_then(|ending| instance::judged(context, ending))
        }
    };
    instance::ready_again(context, connection, machine);
    let (flag, name) = (context.end(), &arguments.name);
    context.shell.help(format_args!("its image:   cargo l4re deploy{flag} --on {name} ENTRY"));
    waits
}
