//! `cargo l4re gc`: what is past its expiry, of every kind, from any machine.

use std::sync::Arc;

use clap::Args;
use futures::{StreamExt, stream};
use jiff::Timestamp;
use l4re_cloud::{Cloud, CloudError, GcOptions, Leftover};
use serde_json::json;

use super::ps::coarse;
use crate::commands::Context;
use crate::failure::Failure;
use crate::instance::{self, Where};
use crate::shell::Table;

/// Calls at a time.
const PARALLEL: usize = 8;

/// Arguments of `gc`.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    end: Where,
    /// Only what belongs to this owner (objects and schedules belong to nobody)
    #[arg(long, value_name = "NAME")]
    owner: Option<String>,
    /// Bucket to look into
    #[arg(long, value_name = "NAME", value_parser = crate::settings::bucket)]
    bucket: Option<String>,
    /// Say what would be removed, and remove nothing
    #[arg(long)]
    dry_run: bool,
}

/// Runs `gc`. What cannot be removed keeps nothing else; the first failure counts.
pub fn gc(context: &Arc<Context>, arguments: &Arguments) -> Result<(), Failure> {
    let ready = instance::connect(context, &arguments.end)?;
    let bucket = arguments.bucket.clone().or(context.settings.bucket().map(str::to_owned));
    let options = GcOptions { bucket, owner: arguments.owner.clone() };
    let now = Timestamp::now();
    let results = context.with_runtime(|runtime, interrupt| {
        runtime.block_on(async {
            let cloud = ready.connect().await?.cloud;
            let work = async {
                let found = cloud.leftovers(&options, now).await?;
                Ok(match arguments.dry_run {
                    true => found.into_iter().map(|leftover| (leftover, None)).collect(),
                    false => collect(&cloud, found).await,
                })
            };
            tokio::select! {
                results = work => results,
                () = interrupt.asked() => Err(Failure::Interrupted),
            }
        })
    })?;
    report(context, results, arguments.dry_run, now)
}

type Collected = (Leftover, Option<Result<(), CloudError>>);

/// Removes all: one kind after the other, as snapshots can go only after their images.
async fn collect(cloud: &Cloud, found: Vec<Leftover>) -> Vec<Collected> {
    let mut done = Vec::new();
    for kind in found.chunk_by(|a, b| a.kind == b.kind) {
        let each = kind
            .iter()
            .map(|leftover| async move { (leftover.clone(), Some(cloud.collect(leftover).await)) });
        done.extend(stream::iter(each).buffered(PARALLEL).collect::<Vec<_>>().await);
    }
    done
}

fn report(
    context: &Context,
    results: Vec<Collected>,
    dry_run: bool,
    now: Timestamp,
) -> Result<(), Failure> {
    let mut table = Table::new(&["KIND", "ID", "NAME", "OWNER", "EXPIRED"]);
    let (mut removed, mut failures) = (0, Vec::new());
    let nothing = results.is_empty();
    for (leftover, result) in results {
        let error = match result {
            Some(Err(error)) => Some(error),
            _ => None,
        };
        context.shell.json("leftover", &message(&leftover, !dry_run, error.as_ref()))?;
        match error {
            Some(error) => failures.push(error),
            None => {
                removed += 1;
                table.row(row(&leftover, now));
            }
        }
    }
    if removed > 0 {
        context.shell.table(table, &["OWNER", "NAME"])?;
    }
    match (nothing, dry_run) {
        (true, _) => context.shell.status("None", "nothing is past its expiry"),
        (_, true) => context.shell.status("Would", format_args!("remove {removed}")),
        (_, false) => context.shell.status("Removed", removed),
    }
    let mut failures = failures.into_iter().map(Failure::from);
    let first = failures.next();
    for failure in failures {
        context.shell.error(&failure.diagnostic(&context.end()));
    }
    first.map_or(Ok(()), Err)
}

fn row(leftover: &Leftover, now: Timestamp) -> [String; 5] {
    let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
    let ago = |time: Timestamp| format!("{} ago", coarse(now.duration_since(time)));
    [
        leftover.kind.to_string(),
        leftover.id.clone(),
        text(&leftover.name),
        text(&leftover.owner),
        leftover.expired.map_or_else(|| "-".to_owned(), ago),
    ]
}

fn message(leftover: &Leftover, remove: bool, error: Option<&CloudError>) -> serde_json::Value {
    json!({
        "kind": leftover.kind.to_string(),
        "id": leftover.id,
        "name": leftover.name,
        "owner": leftover.owner,
        "expired": leftover.expired,
        "removed": remove && error.is_none(),
        "error": error.map(ToString::to_string),
    })
}
