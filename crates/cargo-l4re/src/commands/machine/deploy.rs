//! `cargo l4re deploy [ENTRY|IMAGE|URL]`: onto EC2 (or, with `--local`, the twin), attached.
//!
//! The instance runs on after the command unless `--rm` is given; its tags say until when.
//! Ctrl-C detaches and says how to get back and what it costs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use l4re_cloud::{Attempt, Instance};
use l4re_console::escape::Leaving;
use l4re_image::Image;
use serde_json::json;

use super::flags::{JudgeFlags, MachineFlags};
use super::{planned, run};
use crate::commands::Context;
use crate::commands::flags::ImageFlags;
use crate::complete;
use crate::failure::Failure;
use crate::instance::{self, Connection, Ending, Launches, Recipe, Show, Where};
use crate::interrupt::Interrupt;
use crate::source::Source;

/// What a plan is made of.
#[derive(Debug, Args)]
pub struct Planned {
    #[command(flatten)]
    image: ImageFlags,
    #[command(flatten)]
    machine: MachineFlags,
    #[command(flatten)]
    end: Where,
}

/// Arguments of `deploy`.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    what: Planned,
    /// Boot it on an instance that exists instead of launching one
    #[arg(long, value_name = "NAME", add = ArgValueCompleter::new(complete::instances),
        conflicts_with_all = ["metal", "types", "name", "ttl", "spot", "yes"])]
    on: Option<String>,
    /// Spot capacity first, on demand after
    #[arg(long)]
    spot: bool,
    /// Zone to stay within, instead of trying all (may be given several times)
    #[arg(long = "zone", value_name = "ZONE")]
    zones: Vec<String>,
    /// Subnet, instead of that of the settings or the default VPC's
    #[arg(long, value_name = "ID")]
    subnet: Option<String>,
    /// Bucket for the image
    #[arg(long, value_name = "NAME", value_parser = crate::settings::bucket)]
    bucket: Option<String>,
    /// Make the bucket if it does not exist
    #[arg(long)]
    make_bucket: bool,
    /// Leave at once when the launch is accepted
    #[arg(long, conflicts_with_all = ["expect", "fail_on", "timeout", "idle_timeout", "reboots", "tap", "rm"])]
    detach: bool,
    /// Terminate the instance at the end
    #[arg(long)]
    rm: bool,
    /// Launch metal machines without asking
    #[arg(short, long)]
    yes: bool,
    /// Say what would be done, and do nothing that changes anything
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    judge: JudgeFlags,
    #[command(flatten)]
    show: Show,
}

/// Runs `deploy`.
pub fn deploy(context: &Arc<Context>, arguments: &Arguments) -> Result<(), Failure> {
    context.with_runtime(|runtime, interrupt| {
        let source = arguments.what.image.source(context, interrupt)?;
        let recipe = recipe(context, arguments, &source)?;
        arguments.judge.expressions(context, source.entry())?;
        let ready = instance::connect(context, &arguments.what.end)?;
        ready.check_desk(context, source.arch())?;
        runtime.block_on(async {
            let connection = ready.connect().await?;
            match (arguments.dry_run, &arguments.on) {
                (true, Some(name)) => {
                    let source = &source;
                    let calls = instance::planned_on(
                        context,
                        &connection,
                        source,
                        &recipe,
                        name,
                        interrupt,
                    );
                    planned::show(context, &calls.await?)
                }
                (true, None) => rehearse(context, &connection, &source, &recipe, interrupt).await,
                (false, _) => {
                    to_console(context, arguments, &connection, &source, &recipe, interrupt).await
                }
            }
        })
    })
}

fn recipe(context: &Context, arguments: &Arguments, source: &Source) -> Result<Recipe, Failure> {
    let mut recipe = arguments.what.machine.recipe(context, source, arguments.what.image.kind)?;
    recipe.spot = arguments.spot;
    recipe.adopt = true;
    recipe.zones.clone_from(&arguments.zones);
    recipe.subnet.clone_from(&arguments.subnet);
    recipe.make_bucket = arguments.make_bucket;
    recipe.yes = arguments.yes;
    recipe.bucket = arguments.bucket.clone().or(recipe.bucket);
    Ok(recipe)
}

async fn to_console(
    context: &Arc<Context>,
    arguments: &Arguments,
    connection: &Connection,
    source: &Source,
    recipe: &Recipe,
    interrupt: &Interrupt,
) -> Result<(), Failure> {
    // What is no expression must be said before anything is built; so the machine that takes
    // longest counts for the limit.
    let metal = arguments.on.is_some() || recipe.types.iter().any(|name| instance::is_metal(name));
    let mut attachment = arguments.judge.attachment(context, source.entry(), metal)?;
    arguments.show.check(context, connection.local, arguments.judge.log.as_deref())?;
    attachment.show = arguments.show.clone();
    if arguments.rm {
        attachment.leaving = Leaving::Ends;
    }
    let begin = Instant::now();
    let (machine, image) = match &arguments.on {
        Some(name) => {
            let redeploy = instance::redeploy(context, connection, source, recipe, name, interrupt);
            let (redeployed, image) = redeploy.await?;
            attachment.since = Some(redeployed.mark);
            (redeployed.instance, image)
        }
        None => {
            let launch = instance::launch(context, connection, source, recipe, interrupt).await?;
            (launch.launched.instance, launch.image)
        }
    };
    let machine = &machine;
    attachment.image = instance::expected_of(&image).ok();
    let told = report(context, connection, machine, &image);
    if arguments.detach {
        instance::ready_again(context, connection, machine);
        return told;
    }
    let attached = async {
        told?;
        instance::attach(context, connection, machine, attachment, interrupt).await
    };
    // The machine first: nothing that went wrong with the console may keep it.
    let (ending, ended) = match arguments.rm {
        true => run::and_then(attached, run::remove(context, connection, machine, begin)).await,
        false => (attached.await, Ok(())),
    };
    if let Ok(Ending { over: false, .. }) | Err(_) = &ending
        && !arguments.rm
    {
        instance::ready_again(context, connection, machine);
    }
    let ending = ending?;
    instance::phases(context, &ending);
    ended?;
    instance::judged(context, ending)
}

/// The accepted launch, for programs.
fn report(
    context: &Context,
    connection: &Connection,
    machine: &Instance,
    image: &Image,
) -> Result<(), Failure> {
    let money = connection.prices.of(&machine.instance_type);
    let message = json!({
        "id": machine.id,
        "name": machine.name,
        "type": machine.instance_type,
        "zone": machine.zone,
        "spot": machine.spot_request.is_some(),
        "expires": machine.expires,
        "image": image.sha256,
        "dollars_per_hour": money.map(|money| money.per_hour()),
        "price_source": money.map(|money| money.source()),
    });
    Ok(context.shell.json("launched", &message)?)
}

/// `--dry-run`: the plan, the calls, the user data and the cost.
async fn rehearse(
    context: &Arc<Context>,
    connection: &Connection,
    source: &Source,
    recipe: &Recipe,
    interrupt: &Interrupt,
) -> Result<(), Failure> {
    let placed = instance::dry_run(context, connection, source, recipe, interrupt).await?;
    context.shell.status("Image", crate::build::describe(&placed.image));
    show(context, connection, recipe.ttl, &placed.launches)
}

/// Shows launches as they would be made.
pub fn show(
    context: &Context,
    connection: &Connection,
    ttl: Duration,
    placed: &Launches,
) -> Result<(), Failure> {
    let shell = &context.shell;
    for line in plan_lines(connection, ttl, placed) {
        shell.result(line)?;
    }
    let Some(first) = placed.attempts.first() else { return Ok(()) };
    let script = instance::masked_script(&first.user_data);
    let money = connection.prices.of(&first.plan.instance_type);
    let message = json!({
        "types": placed.attempts.iter().map(|a| &a.plan.instance_type).collect::<Vec<_>>(),
        "ami": first.plan.ami.id,
        "calls": planned::message(&placed.calls),
        "tags": first.tags.iter().cloned().collect::<BTreeMap<_, _>>(),
        "user_data": script,
        "dollars_per_hour": money.map(|money| money.per_hour()),
        "price_source": money.map(|money| money.source()),
    });
    Ok(shell.json("plan", &message)?)
}

/// The plan for people: machines, calls, tags, user data, cost.
fn plan_lines(connection: &Connection, ttl: Duration, placed: &Launches) -> Vec<String> {
    let Some(first) = placed.attempts.first() else { return Vec::new() };
    let mut lines = vec!["Machines, tried in turn:".to_owned()];
    for (at, attempt) in placed.attempts.iter().enumerate() {
        lines.push(format!("{:>3}. {}", at + 1, machine_line(connection, attempt)));
    }
    lines.push("\nAMI:".to_owned());
    let mut amis: Vec<_> = placed.attempts.iter().map(|attempt| &attempt.plan.ami).collect();
    amis.sort_by(|a, b| a.id.cmp(&b.id));
    amis.dedup_by(|a, b| a.id == b.id);
    lines.extend(amis.iter().map(|ami| format!("   {} ({})", ami.id, ami.name)));
    lines.push(String::new());
    lines.extend(planned::lines(&placed.calls));
    lines.push("\nTags:".to_owned());
    lines.extend(first.tags.iter().map(|(key, value)| format!("   {key} = {value}")));
    lines.push(format!("\nUser data:\n{}", instance::masked_script(&first.user_data)));
    if let Some(money) = connection.prices.of(&first.plan.instance_type) {
        let most = money.per_hour() * ttl.as_secs_f64() / 3600.0;
        lines.push(format!("\nCost: {money}; {most:.2} $ until its expiry"));
    }
    lines
}

fn machine_line(connection: &Connection, attempt: &Attempt) -> String {
    let Attempt { plan, place, spot, .. } = attempt;
    let zone = place.zone.as_deref().unwrap_or("any zone");
    let market = if *spot { ", spot" } else { "" };
    let cost = connection.prices.of(&plan.instance_type).map(|money| money.for_market(*spot));
    let cost = cost.map(|cost| format!(", {cost}")).unwrap_or_default();
    format!("{} in {zone}{market}{cost}", plan.instance_type)
}

/// The plan for what a command line names, in lines; `None` when it names nothing.
pub fn planned(context: &Arc<Context>, words: &Planned) -> Result<Option<Vec<String>>, Failure> {
    if words.image.words.is_empty() {
        return Ok(None);
    }
    context.with_runtime(|runtime, interrupt| {
        let source = words.image.source(context, interrupt)?;
        let recipe = words.machine.recipe(context, &source, words.image.kind)?;
        let ready = instance::connect(context, &words.end)?;
        runtime.block_on(async {
            let connection = ready.connect().await?;
            let placed =
                instance::dry_run(context, &connection, &source, &recipe, interrupt).await?;
            Ok(Some(plan_lines(&connection, recipe.ttl, &placed.launches)))
        })
    })
}
