//! `cargo xtask bench`: ratios, not seconds, so that they hold on any machine.
//!
//! Both sides of a ratio are whole processes of one run, taken in turn, and compared by
//! their medians; memory is held against a limit. A target that is missed is exit code 1, so
//! that nobody has to read it.

mod ami;
mod boot;
mod by_hand;
mod console;
mod deploy;
mod eight;
mod figure;
mod http;
mod image;
mod keep_alive;
mod large;
mod outcome;
mod peak;
mod sample;
mod start;
mod table;
mod twin;
mod watch;

use anyhow::{Result, bail};
use camino::Utf8PathBuf;
use clap::ValueEnum;

use crate::bench::outcome::Outcome;
use crate::bench::sample::Tree;
use crate::build::{self, Profile};
use crate::environment;
use crate::project::Project;
use crate::setup::{self, Purpose};
use crate::shell;

/// What `cargo xtask bench` takes.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only these measures
    #[arg(value_name = "NAME")]
    names: Vec<Measure>,
    /// How often each side runs; the default is the measure's own
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rounds: Option<u32>,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
    /// Measure this cargo-l4re instead of building one for release
    #[arg(long, value_name = "FILE")]
    binary: Option<Utf8PathBuf>,
    /// The coldsnap to measure against, unless the one in PATH
    #[arg(long, value_name = "FILE")]
    coldsnap: Option<Utf8PathBuf>,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Measure {
    /// `efiimage` against plain `make efiimage`, nothing to rebuild; with 200 MiB of modules
    /// against make and cp, and its peak memory
    Image,
    /// `efiimage --make` against plain make: what driving make costs
    Make,
    /// `run` to the application's first line against QEMU by hand
    Run,
    /// `watch` from a write to the application's first line, against make and QEMU by hand
    Watch,
    /// The twin's API against moto's, and eight hello instances at once
    Twin,
    /// `--version` against the aws command line's
    Start,
    /// 1 GiB of hostile bytes through `console`, against `grep -E`; its speed and peak memory
    Console,
    /// `deploy` to the accepted launch and uploads, on the twin with 50 ms added to each
    /// call, against the aws command line; building an AMI, against coldsnap
    Deploy,
}

/// What every measure works with.
struct Bench<'a> {
    project: &'a Project,
    binary: Utf8PathBuf,
    tree: Utf8PathBuf,
    which: Tree,
    rounds: Option<u32>,
    coldsnap: Option<Utf8PathBuf>,
}

/// `cargo xtask bench`.
///
/// # Errors
/// What could not be measured, or that a target was missed.
pub(crate) fn run(project: &Project, args: &Args) -> Result<()> {
    setup::ensure(project, Purpose::Bench)?;
    let bench = prepare(project, args)?;
    let mut outcomes = Vec::new();
    for &measure in Measure::value_variants() {
        if args.names.is_empty() || args.names.contains(&measure) {
            outcomes.extend(take(&bench, measure)?);
        }
    }
    if args.json {
        shell::result(&table::json(&outcomes).to_string());
    } else {
        table::lines(&outcomes).iter().for_each(|line| shell::result(line));
    }
    match outcomes.iter().filter(|outcome| !outcome.is_ok()).count() {
        0 => Ok(()),
        missed => bail!("{missed} of {} targets missed", outcomes.len()),
    }
}

fn prepare<'a>(project: &'a Project, args: &Args) -> Result<Bench<'a>> {
    let binary = match &args.binary {
        Some(binary) => binary.canonicalize_utf8()?,
        None => build::binary(project, Profile::Release)?,
    };
    let (tree, which) = match environment::tree_amd64() {
        Some(tree) => (tree, Tree::Real),
        None => (build::demo_tree(project, "amd64")?, Tree::Demo),
    };
    let coldsnap = args.coldsnap.as_ref().map(|file| file.canonicalize_utf8()).transpose()?;
    Ok(Bench { project, binary, tree, which, rounds: args.rounds, coldsnap })
}

fn take(bench: &Bench<'_>, measure: Measure) -> Result<Vec<Outcome>> {
    let sample = match measure {
        Measure::Image => {
            let hello = Outcome::Ratio(image::measure(bench)?);
            return Ok(std::iter::once(hello).chain(large::measure(bench)?).collect());
        }
        Measure::Console => return console::measure(bench),
        Measure::Deploy => return deploy::measure(bench),
        Measure::Watch => return watch::measure(bench),
        Measure::Twin => {
            return Ok(twin::measure(bench)?.into_iter().chain(eight::measure(bench)?).collect());
        }
        Measure::Make => image::measure_make(bench)?,
        Measure::Run => boot::measure(bench)?,
        Measure::Start => start::measure(bench)?,
    };
    Ok(vec![Outcome::Ratio(sample)])
}
