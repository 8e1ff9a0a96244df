//! `cargo l4re ami build|list|rm`: AMIs of this account that UEFI starts.
//!
//! An AMI holds an image itself, or with `--ipxe` an iPXE that fetches any image: the latter
//! is what EFI images on x86_64 need, since the official iPXE there is for BIOS. A build that
//! was killed goes on where it was when it is repeated.

use std::sync::Arc;
use std::time::Duration;

use camino::Utf8PathBuf;
use clap::{Args, Subcommand};
use jiff::Timestamp;
use l4re_cloud::{AmiContent, AmiRequest, CloudError, OwnAmi};
use l4re_image::{Cancel, Image, Kind};
use serde_json::{Value, json};

use super::planned;
use crate::commands::Context;
use crate::commands::flags::ImageFlags;
use crate::failure::Failure;
use crate::instance::{self, Connection, Where};
use crate::interrupt::Interrupt;
use crate::settings::Span;
use crate::shell::Table;
use crate::source::Source;

/// Arguments of `ami`.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
}

/// What to do with AMIs.
#[derive(Debug, Subcommand)]
enum Action {
    /// Make an AMI of an image, or of an iPXE
    Build(Build),
    /// List AMIs, and snapshots left without one
    List(List),
    /// Remove AMIs and their snapshots
    Rm(Remove),
}

#[derive(Debug, Args)]
struct Build {
    #[command(flatten)]
    image: ImageFlags,
    /// EFI binary of an iPXE that starts instead of an image, and fetches one
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath, conflicts_with = "words")]
    ipxe: Option<Utf8PathBuf>,
    /// The iPXE speaks IMDSv2 (builds since 2026-07-14 do)
    #[arg(long, requires = "ipxe")]
    imds_v2: bool,
    /// Name of the AMI [default: the entry's or image's, or ipxe-ARCH]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Time after which `gc` removes it [default: never]
    #[arg(long, value_name = "TIME", value_parser = Span::lasting)]
    ttl: Option<Span>,
    /// Say what would be called, and call nothing that changes anything
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    end: Where,
}

#[derive(Debug, Args)]
struct List {
    #[command(flatten)]
    end: Where,
}

#[derive(Debug, Args)]
struct Remove {
    /// Names or ids of AMIs, or ids of snapshots
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
    /// Say what would be called, and call nothing that changes anything
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    end: Where,
}

/// Runs `ami`.
pub fn ami(context: &Arc<Context>, arguments: &Arguments) -> Result<(), Failure> {
    context.with_runtime(|runtime, interrupt| match &arguments.action {
        Action::Build(arguments) => {
            let (image, name) = arguments.image(context, interrupt)?;
            let ready = instance::connect(context, &arguments.end)?;
            runtime.block_on(async {
                let connection = ready.connect().await?;
                build(context, arguments, &connection, &image, &name, interrupt).await
            })
        }
        Action::List(arguments) => {
            let ready = instance::connect(context, &arguments.end)?;
            runtime.block_on(async { list(context, &ready.connect().await?).await })
        }
        Action::Rm(arguments) => {
            let ready = instance::connect(context, &arguments.end)?;
            runtime.block_on(async { remove(context, &ready.connect().await?, arguments).await })
        }
    })
}

impl Build {
    /// What starts from the disk, and the AMI's name.
    fn image(&self, context: &Context, interrupt: &Interrupt) -> Result<(Image, String), Failure> {
        let named = |default: String| self.name.clone().unwrap_or(default);
        if let Some(ipxe) = &self.ipxe {
            let image = crate::build::ipxe(&context.environment.folder().join(ipxe))?;
            let name = named(format!("ipxe-{}", image.arch));
            return Ok((image, name));
        }
        let source: Source = self.image.source(context, interrupt)?;
        let image = source.image(context, Kind::Efi, &Cancel::default(), interrupt)?;
        Ok((image, named(source.name())))
    }

    fn expires(&self) -> Result<Option<Timestamp>, Failure> {
        let too_long = |_| Failure::Usage("the time to live is longer than time itself".to_owned());
        let end = |ttl: Duration| Timestamp::now().checked_add(ttl).map_err(too_long);
        self.ttl.map(|span| end(span.0)).transpose()
    }
}

async fn build(
    context: &Context,
    arguments: &Build,
    connection: &Connection,
    image: &Image,
    name: &str,
    interrupt: &Interrupt,
) -> Result<(), Failure> {
    let holds = match arguments.ipxe {
        Some(_) => AmiContent::Ipxe { imds_v2: arguments.imds_v2 },
        None => AmiContent::Image(&image.sha256),
    };
    let set = context.settings.find(|layer| layer.owner.clone());
    let owner = set.or_else(|| context.environment.user().map(str::to_owned));
    let request = AmiRequest {
        disk: &image.path,
        arch: image.arch,
        name,
        owner: owner.as_deref(),
        expires: arguments.expires()?,
        holds,
    };
    if arguments.dry_run {
        let calls = instance::planned_ami(context, connection, image, &request).await?;
        if calls.is_empty() {
            context.shell.status("Unchanged", "there is an AMI of the same disk");
        }
        return planned::show(context, &calls);
    }
    let built = instance::of_disk(context, connection, image, &request, interrupt).await?;
    if built.reused {
        context.shell.status("Unchanged", format_args!("{} has the same disk", built.ami.id));
    }
    context.shell.result(&built.ami.id)?;
    let message = json!({
        "id": built.ami.id,
        "name": name,
        "arch": built.ami.arch.ec2(),
        "image": built.ami.image,
        "reused": built.reused,
    });
    Ok(context.shell.json("ami", &message)?)
}

async fn list(context: &Context, connection: &Connection) -> Result<(), Failure> {
    let shell = &context.shell;
    let found = connection.cloud.own_amis().await?;
    if found.is_empty() {
        shell.status("None", "no AMIs");
        return Ok(());
    }
    let mut table = Table::new(&["NAME", "ID", "HOLDS", "ARCH", "MADE", "EXPIRES", "OWNER"]);
    for own in &found {
        shell.json("ami", &message(own))?;
        table.row(row(own));
    }
    shell.table(table, &["OWNER", "MADE", "HOLDS", "ARCH"])?;
    Ok(())
}

fn row(own: &OwnAmi) -> [String; 7] {
    let none = || "-".to_owned();
    let time = |time: Option<Timestamp>| match time {
        Some(time) => time.strftime("%Y-%m-%d %H:%M").to_string(),
        None => none(),
    };
    let holds = match (&own.ami, &own.role) {
        (None, _) => "a snapshot only".to_owned(),
        (_, role) => role.clone().unwrap_or_else(none),
    };
    let arch = own.ami.as_ref().and_then(|ami| ami.arch.ec2()).unwrap_or("-").to_owned();
    [
        own.name.clone(),
        own.id().to_owned(),
        holds,
        arch,
        time(own.created),
        time(own.expires),
        own.owner.clone().unwrap_or_else(none),
    ]
}

fn message(own: &OwnAmi) -> Value {
    json!({
        "id": own.ami.as_ref().map(|ami| &ami.id),
        "snapshot": own.snapshot,
        "name": own.name,
        "role": own.role,
        "arch": own.ami.as_ref().and_then(|ami| ami.arch.ec2()),
        "image": own.ami.as_ref().and_then(|ami| ami.image.as_ref()),
        "created": own.created,
        "expires": own.expires,
        "owner": own.owner,
    })
}

async fn remove(
    context: &Context,
    connection: &Connection,
    arguments: &Remove,
) -> Result<(), Failure> {
    let found = connection.cloud.own_amis().await?;
    let mut calls = Vec::new();
    for wanted in &arguments.names {
        let named = |own: &&OwnAmi| {
            own.name == *wanted || own.id() == wanted || own.snapshot.as_ref() == Some(wanted)
        };
        let ours: Vec<_> = found.iter().filter(named).collect();
        if ours.is_empty() {
            return Err(CloudError::NoSuchAmi { name: wanted.clone() }.into());
        }
        if arguments.dry_run {
            calls.extend(ours.iter().flat_map(|own| connection.cloud.planned_removal(own)));
            continue;
        }
        for own in ours {
            connection.cloud.remove_ami(own).await?;
            context.shell.status("Removed", format_args!("{} ({})", own.name, own.id()));
            context.shell.json("ami-removed", &message(own))?;
        }
    }
    if arguments.dry_run { planned::show(context, &calls) } else { Ok(()) }
}
