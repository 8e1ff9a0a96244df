//! `cargo l4re upload [ENTRY|IMAGE]`: the image into the bucket, its presigned URL on stdout.

use std::sync::Arc;

use clap::Args;
use serde_json::json;

use super::flags::MachineFlags;
use super::planned;
use crate::commands::Context;
use crate::commands::flags::ImageFlags;
use crate::failure::Failure;
use crate::instance::{self, Where};
use crate::settings::Span;

/// Arguments of `upload`.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    image: ImageFlags,
    #[command(flatten)]
    end: Where,
    /// Bucket for the image
    #[arg(long, value_name = "NAME", value_parser = crate::settings::bucket)]
    bucket: Option<String>,
    /// Make the bucket if it does not exist
    #[arg(long)]
    make_bucket: bool,
    /// Say what would be sent, and send nothing
    #[arg(long)]
    dry_run: bool,
    /// How long the URL is valid (at most 7 days)
    #[arg(long, value_name = "TIME", value_parser = Span::lasting)]
    ttl: Option<Span>,
}

/// Runs `upload`.
pub fn upload(context: &Arc<Context>, arguments: &Arguments) -> Result<(), Failure> {
    let uploaded = context.with_runtime(|runtime, interrupt| {
        let source = arguments.image.source(context, interrupt)?;
        let flags = MachineFlags { ttl: arguments.ttl, ..MachineFlags::default() };
        let mut recipe = flags.recipe(context, &source, arguments.image.kind)?;
        recipe.make_bucket = arguments.make_bucket;
        recipe.bucket = arguments.bucket.clone().or(recipe.bucket);
        let ready = instance::connect(context, &arguments.end)?;
        runtime.block_on(async {
            let connection = ready.connect().await?;
            let (connection, source, recipe) = (&connection, &source, &recipe);
            if arguments.dry_run {
                let calls =
                    instance::planned_upload(context, connection, source, recipe, interrupt);
                planned::show(context, &calls.await?)?;
                return Ok(None);
            }
            instance::upload(context, connection, source, recipe, interrupt).await.map(Some)
        })
    })?;
    let Some(uploaded) = uploaded else { return Ok(()) };
    let object = &uploaded.object;
    context.shell.result(&object.url)?;
    let message = json!({
        "bucket": object.bucket,
        "key": object.key,
        "url": object.url,
        "expires": object.expires,
        "sha256": uploaded.image.sha256,
        "reused": object.reused,
    });
    Ok(context.shell.json("object", &message)?)
}
