//! From a target to an accepted launch.
//!
//! Lookups run while the image is built and uploaded; then the plan is made, and one call
//! launches. Whatever was launched is handed back even when the user wants to end, so that
//! the caller can stop it: no path out of here loses a machine.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use futures::future::{MaybeDone, TryMaybeDone, maybe_done, try_maybe_done};
use jiff::Timestamp;
use l4re_cloud::{
    Attempt, Boot, Chain, CloudError, ImageFacts, Instance, LaunchOptions, Launched, Market,
    Object, PlanOptions, PlannedCall, PrepareOptions, Prepared, PublishOptions,
};
use l4re_image::{Arch, Cancel, Image, Kind};

use super::ami;
use super::connect::Connection;
use crate::commands::Context;
use crate::failure::Failure;
use crate::interrupt::Interrupt;
use crate::source::Source;

/// Limit for the price list, which is asked while the image is built.
pub(super) const PRICE_LIMIT: Duration = Duration::from_secs(10);

/// What is to be launched, from flags and settings.
#[derive(Debug, Clone)]
pub struct Recipe {
    /// The instance's name.
    pub name: String,
    /// Types to try.
    pub types: Vec<String>,
    /// Kind of image, if the user insists.
    pub kind: Option<Kind>,
    /// Time to live.
    pub ttl: Duration,
    /// Spot capacity.
    pub spot: bool,
    /// Whether metal may be launched without asking.
    pub yes: bool,
    /// Bucket, if one is set.
    pub bucket: Option<String>,
    /// Whether to make the bucket.
    pub make_bucket: bool,
    /// The image's command line.
    pub command_line: Option<String>,
    /// Whether to go on with an instance that an earlier run of the same command launched.
    pub adopt: bool,
    /// What the boot plan is asked for.
    pub plan: PlanOptions,
    /// Zones to stay within; all if empty.
    pub zones: Vec<String>,
    /// Subnet, instead of that of the settings or the default VPC's.
    pub subnet: Option<String>,
}

/// A launch that was accepted, and what it runs.
pub struct Launch {
    /// The launch.
    pub launched: Launched,
    /// The image.
    pub image: Image,
}

/// An image in the store.
pub struct Uploaded {
    /// The image.
    pub image: Image,
    /// Where it is.
    pub object: Object,
}

/// An image, and its launch as it would be made.
pub struct Placed {
    /// The image.
    pub image: Image,
    /// The launch.
    pub launches: Launches,
}

/// A launch as it would be made.
pub struct Launches {
    /// The launches, in the order in which they would be tried.
    pub attempts: Vec<Attempt>,
    /// The calls if all goes well, in order.
    pub calls: Vec<PlannedCall>,
}

/// Builds or takes the image, uploads it, and launches it.
pub async fn launch(
    context: &Arc<Context>,
    connection: &Connection,
    source: &Source,
    recipe: &Recipe,
    interrupt: &Interrupt,
) -> Result<Launch, Failure> {
    let asking = ask_prices(connection, recipe);
    let options = launch_options(context, recipe)?;
    let lookups = lookups(context, connection, recipe, &options, interrupt);
    let mut lookups = pin!(try_maybe_done(lookups));
    let image = built(context, source, recipe, lookups.as_mut(), interrupt).await?;
    let sent = image.clone();
    let wanted = recipe.plan.boot != Some(Boot::Disk);
    let upload = async {
        match wanted {
            true => publish(context, connection, recipe, &sent, interrupt).await.map(Some),
            false => Ok(None),
        }
    };
    let mut upload = pin!(maybe_done(upload));
    let mut prepared = looked_up(lookups, upload.as_mut()).await?;
    let facts = facts(&image)?;
    if prepared.wants_disk(&facts, &options.plan) {
        let ami = ami::of_image(context, connection, &image, &options, &recipe.name, interrupt);
        prepared.amis.push(ami.await?);
    }
    let plan = prepared.plan(&facts, &options.plan).map_err(CloudError::from)?;
    context
        .shell
        .status("Planning", chain_sentence(plan.chain, &plan.instance_type, &plan.ami.name));
    for warning in &plan.warnings {
        context.shell.warn(warning);
    }
    warn_of_unread_words(context, recipe, image.arch);
    if plan.metal && !recipe.yes {
        confirm(context, connection, &plan.instance_type, interrupt).await?;
    }
    let object = match plan.chain {
        Chain::Disk => None,
        _ => {
            upload.as_mut().await;
            upload.take_output().ok_or(Failure::Interrupted)??
        }
    };
    if interrupt.is_asked() {
        return Err(Failure::Interrupted);
    }
    // Not cancelled by Ctrl-C: a call that is under way may launch a machine all the same.
    let launched = connection.cloud.launch(&prepared, &facts, object.as_ref(), &options).await?;
    schedule_end(context, connection, &launched.instance, options.expires).await;
    // Long since answered, or not worth a wait: the table serves.
    asking.abort();
    Ok(Launch { launched, image })
}

/// Asks for prices on the side.
pub(super) fn ask_prices(connection: &Connection, recipe: &Recipe) -> tokio::task::JoinHandle<()> {
    let (connection, types) = (connection.clone(), recipe.types.clone());
    tokio::spawn(async move {
        connection.prices.ask(&connection.cloud, &types, PRICE_LIMIT).await;
    })
}

/// Asks a person whether a metal machine is meant. Where nobody can be asked it goes on: who
/// calls without a terminal has said what is wanted.
pub(super) async fn confirm(
    context: &Arc<Context>,
    connection: &Connection,
    instance_type: &str,
    interrupt: &Interrupt,
) -> Result<(), Failure> {
    if connection.local || !context.shell.can_ask() {
        return Ok(());
    }
    let cost = match connection.prices.of(instance_type) {
        Some(money) => format!("costs {money}"),
        None => "is a metal machine of unknown price".to_owned(),
    };
    let question = format!("{instance_type} {cost}. Launch it?");
    let shell = context.shell.clone();
    let asked = tokio::task::spawn_blocking(move || shell.confirm(&question));
    let yes = tokio::select! {
        answer = asked => answer.map_err(std::io::Error::other)??,
        () = interrupt.asked() => false,
    };
    if yes {
        return Ok(());
    }
    context.shell.status("Left", "nothing was launched");
    Err(Failure::Interrupted)
}

/// Has AWS end the instance where a role for that is set. Without, the machine runs on all the
/// same, and `gc` ends it.
pub(super) async fn schedule_end(
    context: &Context,
    connection: &Connection,
    instance: &Instance,
    expires: Option<Timestamp>,
) {
    let (Some(role), Some(expires)) = (scheduler_role(context), instance.expires.or(expires))
    else {
        return;
    };
    if let Err(error) = connection.cloud.schedule_end(instance, expires, role).await {
        let name = instance.name.as_deref().unwrap_or(&instance.id);
        let text = format!("AWS will not end {name} by itself at its expiry: {error}");
        context.shell.warn(text);
    }
}

pub(super) fn scheduler_role(context: &Context) -> Option<&str> {
    context.settings.find(|layer| layer.scheduler_role.as_deref())
}

/// The image for the machines of a recipe: built or taken, and nothing more.
pub async fn image(
    context: &Arc<Context>,
    connection: &Connection,
    source: &Source,
    recipe: &Recipe,
    interrupt: &Interrupt,
) -> Result<Image, Failure> {
    let options = launch_options(context, recipe)?;
    let lookups = lookups(context, connection, recipe, &options, interrupt);
    let mut lookups = pin!(try_maybe_done(lookups));
    built(context, source, recipe, lookups.as_mut(), interrupt).await
}

/// What [`launch`] would do: nothing is uploaded and nothing is launched.
pub async fn dry_run(
    context: &Arc<Context>,
    connection: &Connection,
    source: &Source,
    recipe: &Recipe,
    interrupt: &Interrupt,
) -> Result<Placed, Failure> {
    let options = launch_options(context, recipe)?;
    let lookups = lookups(context, connection, recipe, &options, interrupt);
    let mut lookups = pin!(try_maybe_done(lookups));
    let image = built(context, source, recipe, lookups.as_mut(), interrupt).await?;
    let mut prepared = looked_up(lookups, pin!(maybe_done(std::future::ready(())))).await?;
    let facts = facts(&image)?;
    if prepared.wants_disk(&facts, &options.plan) {
        prepared.amis.push(ami::to_be_made(&image));
    }
    let publishing = publish_options(context, connection, recipe);
    let cloud = &connection.cloud;
    let object = cloud.object_for(&image, &publishing).await?;
    let attempts = l4re_cloud::attempts(&prepared, &facts, &object, &options, Timestamp::now())?;
    let mut calls = Vec::new();
    if let Some(first) = attempts.first() {
        match first.plan.chain {
            Chain::Disk => calls.extend(cloud.planned_disk(&image)),
            _ => calls.extend(cloud.planned_upload(&image, &publishing).await?),
        }
        calls.push(cloud.planned_launch(first));
        calls.extend(cloud.planned_end(first, scheduler_role(context)));
    }
    connection.prices.ask(cloud, &recipe.types, PRICE_LIMIT).await;
    Ok(Placed { image, launches: Launches { attempts, calls } })
}

/// What [`upload`] would send; nothing is sent.
pub async fn planned_upload(
    context: &Arc<Context>,
    connection: &Connection,
    source: &Source,
    recipe: &Recipe,
    interrupt: &Interrupt,
) -> Result<Vec<PlannedCall>, Failure> {
    let kind = recipe.kind.or(source.kind()).unwrap_or(Kind::Efi);
    let image = build(context, source, kind, interrupt).await?;
    let options = publish_options(context, connection, recipe);
    Ok(connection.cloud.planned_upload(&image, &options).await?)
}

/// Builds or takes the image and uploads it.
pub async fn upload(
    context: &Arc<Context>,
    connection: &Connection,
    source: &Source,
    recipe: &Recipe,
    interrupt: &Interrupt,
) -> Result<Uploaded, Failure> {
    let kind = recipe.kind.or(source.kind()).unwrap_or(Kind::Efi);
    let image = build(context, source, kind, interrupt).await?;
    let object = publish(context, connection, recipe, &image, interrupt).await?;
    Ok(Uploaded { image, object })
}

pub(super) async fn publish(
    context: &Context,
    connection: &Connection,
    recipe: &Recipe,
    image: &Image,
    interrupt: &Interrupt,
) -> Result<Object, Failure> {
    let options = publish_options(context, connection, recipe);
    tokio::select! {
        object = connection.cloud.publish(image, &options) => Ok(object?),
        () = interrupt.asked() => Err(Failure::Interrupted),
    }
}

/// Looks everything up, and refuses a name that is taken.
pub(super) async fn lookups(
    context: &Context,
    connection: &Connection,
    recipe: &Recipe,
    launch: &LaunchOptions,
    interrupt: &Interrupt,
) -> Result<Prepared, Failure> {
    let options = PrepareOptions {
        name: recipe.name.clone(),
        types: recipe.types.clone(),
        zones: recipe.zones.clone(),
        subnet: recipe.subnet.clone().or_else(|| {
            // The desk has subnets of its own.
            let set = context.settings.find(|layer| layer.subnet.clone());
            set.filter(|_| !connection.local)
        }),
        public_address: context.settings.find(|layer| layer.public_address),
    };
    let prepared = tokio::select! {
        prepared = connection.cloud.prepare(&options) => prepared?,
        () = interrupt.asked() => return Err(Failure::Interrupted),
    };
    prepared.check_free(launch)?;
    Ok(prepared)
}

/// Builds the image; the lookups go on at the same time where the kind of image does not
/// depend on what they find. What they refuse ends the build.
async fn built<L>(
    context: &Arc<Context>,
    source: &Source,
    recipe: &Recipe,
    mut lookups: Pin<&mut TryMaybeDone<L>>,
    interrupt: &Interrupt,
) -> Result<Image, Failure>
where
    L: Future<Output = Result<Prepared, Failure>>,
{
    let settled = recipe.kind.or(source.kind()).or(match source.arch() {
        Arch::X86_64 if recipe.plan.boot != Some(Boot::Disk) => None,
        _ => Some(Kind::Efi),
    });
    if let Some(kind) = settled {
        let mut building = pin!(build(context, source, kind, interrupt));
        tokio::select! {
            image = &mut building => return image,
            ended = lookups => ended?,
        }
        return building.await;
    }
    lookups.as_mut().await?;
    let prepared = lookups.output_mut().ok_or(Failure::Interrupted)?;
    let choice = prepared.best_kind(source.arch());
    if let Some(why) = &choice.why {
        context.shell.note(why);
    }
    build(context, source, choice.kind, interrupt).await
}

/// What the lookups found, the upload being carried on meanwhile. How that ends is for
/// later: a plan's refusal says more than a bucket that is missing.
async fn looked_up<L, U>(
    mut lookups: Pin<&mut TryMaybeDone<L>>,
    upload: Pin<&mut MaybeDone<U>>,
) -> Result<Prepared, Failure>
where
    L: Future<Output = Result<Prepared, Failure>>,
    U: Future,
{
    tokio::select! {
        ended = lookups.as_mut() => ended?,
        () = async { upload.await; std::future::pending().await } => {}
    }
    lookups.take_output().ok_or(Failure::Interrupted)
}

/// Builds or takes an image of this kind, on a thread that may wait. Dropped (because a lookup
/// failed), it ends make.
pub async fn build(
    context: &Arc<Context>,
    source: &Source,
    kind: Kind,
    interrupt: &Interrupt,
) -> Result<Image, Failure> {
    let (context, source, interrupt) = (context.clone(), source.clone(), interrupt.clone());
    let guard = CancelOnDrop(Cancel::default());
    let cancel = guard.0.clone();
    let building = move || source.image(&context, kind, &cancel, &interrupt);
    let image = tokio::task::spawn_blocking(building).await.map_err(std::io::Error::other)?;
    drop(guard);
    image
}

struct CancelOnDrop(Cancel);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// What the plan depends on. Whether the kernel wants EL2 is in the image itself, and counts
/// on arm64 only.
pub(super) fn facts(image: &Image) -> Result<ImageFacts, Failure> {
    let wants_el2 = match image.arch {
        Arch::Arm64 => l4re_image::wants_el2(&image.path)?,
        _ => None,
    };
    Ok(ImageFacts { wants_el2, ..ImageFacts::from(image) })
}

/// Says so where the image reads no command line: of L4Re's bootstrappers only those for x86 ask
/// EFI for one.
pub(super) fn warn_of_unread_words(context: &Context, recipe: &Recipe, arch: Arch) {
    if arch == Arch::Arm64 && recipe.command_line.is_some() {
        let text = "L4Re's bootstrapper is not known to read a command line on arm64: \
                    `--command-line` may have no effect";
        context.shell.warn(text);
    }
}

pub(super) fn publish_options(
    context: &Context,
    connection: &Connection,
    recipe: &Recipe,
) -> PublishOptions {
    PublishOptions {
        bucket: recipe.bucket.clone(),
        // On the desk a bucket costs nothing and nobody else sees it.
        make_bucket: recipe.make_bucket || connection.local,
        valid_for: recipe.ttl,
        https: context.settings.find(|layer| layer.https).unwrap_or(false),
    }
}

pub(super) fn launch_options(context: &Context, recipe: &Recipe) -> Result<LaunchOptions, Failure> {
    let too_long = |_| Failure::Usage("the time to live is longer than time itself".to_owned());
    let expires = Timestamp::now().checked_add(recipe.ttl).map_err(too_long)?;
    let owner = context.settings.find(|layer| layer.owner.clone());
    Ok(LaunchOptions {
        owner: owner.or_else(|| context.environment.user().map(str::to_owned)),
        expires: Some(expires),
        market: if recipe.spot { Market::SpotThenOnDemand } else { Market::OnDemand },
        plan: recipe.plan.clone(),
        command_line: recipe.command_line.clone(),
        adopt: recipe.adopt,
        tags: scheduler_role(context).map(|_| l4re_cloud::schedule_tag()).into_iter().collect(),
        ..LaunchOptions::default()
    })
}

pub(super) fn chain_sentence(chain: Chain, instance_type: &str, ami: &str) -> String {
    let how = match chain {
        Chain::OfficialEfi | Chain::OwnEfi => "UEFI, iPXE, EFI image",
        Chain::Disk => "UEFI, EFI image from its disk",
        Chain::OfficialBios => "BIOS, iPXE, multiboot ELF image",
    };
    format!("{instance_type}: {how} ({ami})")
}
