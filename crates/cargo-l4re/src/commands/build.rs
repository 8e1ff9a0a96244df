//! `cargo l4re efiimage` and `elfimage`: an image from a build tree.
//!
//! Made natively where that gives what make would, else by make, whose output is shown as it
//! comes; the result is named with size, sum, architecture and the standard name under which
//! firmware looks for it.

use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use l4re_image::{Cancel, Kind, Made};
use serde_json::json;

use super::Context;
use crate::build::{self, Way, Workplace};
use crate::complete;
use crate::failure::Failure;
use crate::target::{Target, Words};

/// Arguments of `efiimage` and `elfimage`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Entry of modules.list, and variables that go through to make
    #[arg(value_name = "ENTRY|VAR=value", add = ArgValueCompleter::new(complete::entries))]
    words: Vec<String>,
    /// Platform, passed to make as PT (arm_sbsa, …)
    #[arg(long, value_name = "NAME")]
    platform: Option<String>,
    /// Jobs that make runs at once
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    jobs: Option<u32>,
    #[command(flatten)]
    way: Way,
}

/// Runs `efiimage` or `elfimage`.
pub fn build(context: &Context, arguments: &Arguments, kind: Kind) -> Result<(), Failure> {
    let words = Words::parse(&arguments.words, context.environment.folder())?;
    let name = match &words.target {
        Target::Entry(name) => name.as_deref(),
        Target::Image(path) => return Err(not_an_entry(path.as_str())),
        Target::Url(url) => return Err(not_an_entry(crate::target::masked(url))),
    };
    let place = Workplace::find(context)?;
    let entry = place.entry(context, name, &words.variables)?;
    let platform = arguments.platform.as_deref();
    let mut request = place.request(context, kind, &entry, platform, &words.variables)?;
    request.jobs = arguments.jobs;
    let made = context.with_runtime(|_, interrupt| {
        build::build(context, &request, arguments.way, &Cancel::default(), interrupt)
    })?;
    tell(context, &entry, &made)
}

fn not_an_entry(word: &str) -> Failure {
    Failure::Usage(format!("`{word}` is not an entry's name: this command builds entries"))
}

/// Names the result: a line on stdout with the image's path, the rest on stderr.
fn tell(context: &Context, entry: &str, made: &Made) -> Result<(), Failure> {
    let image = &made.image;
    let shell = &context.shell;
    shell.status("Finished", build::describe(image));
    shell.status("Sum", format_args!("sha256 {}", image.sha256));
    if let Some(standard) = &made.standard {
        shell.status("Linked", format_args!("{standard}"));
    }
    shell.result(&image.path)?;
    let message = json!({
        "entry": entry,
        "path": image.path,
        "kind": image.kind,
        "arch": image.arch,
        "size": image.size,
        "sha256": image.sha256,
        "standard": made.standard,
        "fresh": !made.written,
    });
    Ok(shell.json("image", &message)?)
}
