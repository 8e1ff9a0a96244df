//! `cargo xtask bench`: ratios, not seconds, so that they hold on any machine.
//!
//! Both sides of a ratio are whole processes of one run, taken in turn, and compared by
//! their medians. A target that is missed is exit code 1, so that nobody has to read it.

mod boot;
mod by_hand;
mod http;
mod image;
mod sample;
mod start;
mod table;

use anyhow::{Result, bail};
use camino::Utf8PathBuf;
use clap::ValueEnum;

use crate::bench::sample::Sample;
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
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Measure {
    /// `efiimage` against plain `make efiimage`, nothing to rebuild
    Image,
    /// The same with `--make`: what driving make costs
    Make,
    /// `run` to the application's first line against QEMU by hand
    Run,
    /// `--version` against the aws command line's
    Start,
}

/// What every measure works with.
struct Bench<'a> {
    project: &'a Project,
    binary: Utf8PathBuf,
    tree: Utf8PathBuf,
    rounds: Option<u32>,
}

/// `cargo xtask bench`.
///
/// # Errors
/// What could not be measured, or that a target was missed.
pub(crate) fn run(project: &Project, args: &Args) -> Result<()> {
    setup::ensure(project, Purpose::Bench)?;
    let bench = prepare(project, args)?;
    let mut samples = Vec::new();
    for &measure in Measure::value_variants() {
        if args.names.is_empty() || args.names.contains(&measure) {
            samples.push(take(&bench, measure)?);
        }
    }
    if args.json {
        shell::result(&table::json(&samples).to_string());
    } else {
        table::lines(&samples).iter().for_each(|line| shell::result(line));
    }
    match samples.iter().filter(|sample| !sample.is_ok()).count() {
        0 => Ok(()),
        missed => bail!("{missed} of {} targets missed", samples.len()),
    }
}

fn prepare<'a>(project: &'a Project, args: &Args) -> Result<Bench<'a>> {
    let binary = match &args.binary {
        Some(binary) => binary.canonicalize_utf8()?,
        None => build::binary(project, Profile::Release)?,
    };
    let tree = match environment::tree_amd64() {
        Some(tree) => tree,
        None => build::demo_tree(project, "amd64")?,
    };
    Ok(Bench { project, binary, tree, rounds: args.rounds })
}

fn take(bench: &Bench<'_>, measure: Measure) -> Result<Sample> {
    match measure {
        Measure::Image => image::measure(bench),
        Measure::Make => image::measure_make(bench),
        Measure::Run => boot::measure(bench),
        Measure::Start => start::measure(bench),
    }
}
