//! `cargo l4re test [ENTRY…]`: boots entries and judges each by its console.
//!
//! An entry is judged by what the settings or the flags expect of it, and by the tests that it
//! prints (TAP) where they say so or expect nothing. Without a name, all entries are tested of
//! which the settings say how. All images are built first; then each entry runs on a machine of
//! its own, on the desk or, with `--ec2`, on EC2, several at once with `--jobs`. Every machine
//! is terminated at its end, on Ctrl-C, and even if this process is killed. With `--on` entries
//! run on machines that exist, one after the other on each, and these stay.
//!
//! A run that fails keeps no other from running, unless that is asked for; an image that cannot
//! be built does, as with Cargo, unless that must not.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use camino::Utf8PathBuf;
use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use futures::StreamExt;
use l4re_image::Kind;
use serde_json::json;

use super::flags::{JudgeFlags, MachineFlags};
use super::run;
use super::test_entries::sources;
use crate::commands::Context;
use crate::commands::flags::ImageFlags;
use crate::complete;
use crate::failure::Failure;
use crate::instance::{self, Attachment, Connection, Elsewhere, Ending, Keeper, Recipe};
use crate::interrupt::Interrupt;
use crate::results::{self, Outcome, Tally};
use crate::shell::count;
use crate::source::Source;
use crate::twin;

/// Arguments of `test`.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    image: ImageFlags,
    #[command(flatten)]
    machine: MachineFlags,
    #[command(flatten)]
    judge: JudgeFlags,
    #[command(flatten)]
    elsewhere: Elsewhere,
    /// Boot on this instance, best a parked one, which stays (may be given several times)
    #[arg(long, value_name = "NAME", add = ArgValueCompleter::new(complete::instances),
        conflicts_with_all = ["jobs", "metal", "types", "name", "ttl"])]
    on: Vec<String>,
    /// Machines that run at once
    #[arg(short, long, value_name = "N", default_value = "1")]
    jobs: NonZeroUsize,
    /// Run each entry on so many machines
    #[arg(long, value_name = "N", default_value = "1")]
    count: NonZeroUsize,
    /// Start no further run after one that failed
    #[arg(long)]
    fail_fast: bool,
    /// Run everything that can be, even if another image cannot be built
    #[arg(long, conflicts_with = "fail_fast")]
    no_fail_fast: bool,
    /// Show the consoles as they come, each line with its entry's name
    #[arg(long)]
    no_capture: bool,
    /// Folder for the raw consoles, a file each [default: the state folder's]
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath, conflicts_with = "log")]
    logs: Option<Utf8PathBuf>,
    /// File for the results as JUnit XML
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    junit: Option<Utf8PathBuf>,
}

/// An entry that is to run on a machine.
struct Trial {
    run: String,
    entry: String,
    /// Or why there is none.
    image: Result<Source, Failure>,
    recipe: Recipe,
    attachment: Attachment,
}

/// Runs `test`.
pub fn test(context: &Arc<Context>, arguments: &Arguments) -> Result<(), Failure> {
    let begin = Instant::now();
    if let Some(path) = &arguments.junit {
        results::forget_junit(&context.environment.folder().join(path))?;
    }
    let (outcomes, planned) = context.with_runtime(|runtime, interrupt| {
        let (sources, _own) = sources(context, &arguments.image, interrupt)?;
        let end = arguments.elsewhere.end();
        let ready = instance::connect_to(context, &end)?;
        for source in &sources {
            // What is no expression must be said before anything is built.
            attachment(context, arguments, source)?;
            ready.check_desk(context, source.arch())?;
        }
        runtime.block_on(async {
            let connection = ready.connect().await?;
            let trials = trials(context, arguments, &connection, sources, interrupt).await?;
            let keeper = Keeper::start(context, &end)?;
            let idle = Mutex::new(arguments.on.clone());
            let failed = AtomicUsize::new(0);
            let bench = Bench { context, connection, arguments, keeper, idle, failed, interrupt };
            let planned = trials.len();
            Ok::<_, Failure>((bench.run(trials).await, planned))
        })
    })?;
    let tally = Tally::of(&outcomes, planned);
    let told = tell(context, arguments, &outcomes, tally, begin.elapsed());
    tally.result(&outcomes).and(told)
}

/// What to watch a console for. Where nothing is expected, tests are.
fn attachment(
    context: &Context,
    arguments: &Arguments,
    source: &Source,
) -> Result<Attachment, Failure> {
    let types = arguments.machine.recipe(context, source, arguments.image.kind)?.types;
    let metal = types.iter().any(|name| instance::is_metal(name));
    arguments.judge.test_attachment(context, source.entry(), metal)
}

/// Builds all images and says what runs where.
async fn trials(
    context: &Arc<Context>,
    arguments: &Arguments,
    connection: &Connection,
    sources: Vec<Source>,
    interrupt: &Interrupt,
) -> Result<Vec<Trial>, Failure> {
    let several = sources.len() * arguments.count.get() > 1;
    if several && arguments.judge.log.is_some() {
        let text = "`--log` names one file, and there are several consoles: use `--logs DIR`";
        return Err(Failure::Usage(text.to_owned()));
    }
    let mut trials: Vec<Trial> = Vec::new();
    let mut boots = None;
    for name in &arguments.on {
        // Each is looked for before anything is built.
        boots = Some(connection.cloud.warm(name).await?.kind());
    }
    let bar = context.shell.progress().steps("Building", sources.len());
    for source in &sources {
        let entry = source.entry().map_or_else(|| source.name(), str::to_owned);
        bar.set_message(entry.clone());
        let mut recipe = arguments.machine.recipe(context, source, arguments.image.kind)?;
        let base = recipe.name.clone();
        recipe.name = unique(&base, 0);
        // What is named twice is built once: another image in its place would not be it.
        let same = |trial: &&Trial| source.entry().is_some() && trial.entry == entry;
        let known = trials.iter().find(same).and_then(|trial| trial.image.as_ref().ok()).cloned();
        let image = match known {
            Some(image) => Ok(image),
            None => image(context, connection, source, &recipe, boots, interrupt).await,
        };
        let images: Vec<_> = match image {
            Ok(image) => (0..arguments.count.get()).map(|_| Ok(image.clone())).collect(),
            Err(failure) if arguments.no_fail_fast && !interrupt.is_asked() => vec![Err(failure)],
            Err(failure) => return Err(failure),
        };
        let several = images.len() > 1;
        for (at, image) in images.into_iter().enumerate() {
            let run = if several { format!("{entry}-{}", at + 1) } else { entry.clone() };
            let attachment = attachment(context, arguments, source)?;
            let recipe = Recipe { name: unique(&base, trials.len() + 1), ..recipe.clone() };
            trials.push(Trial { run, entry: entry.clone(), image, recipe, attachment });
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    distinct(&mut trials);
    if let Some(logs) = &arguments.logs {
        fs_err::create_dir_all(context.environment.folder().join(logs))?;
        for trial in &mut trials {
            trial.attachment.log = Some(logs.join(format!("{}.log", trial.run)));
        }
    }
    Ok(trials)
}

/// Builds an image for the machine that it will run on, one that exists if it `boots` a kind.
async fn image(
    context: &Arc<Context>,
    connection: &Connection,
    source: &Source,
    recipe: &Recipe,
    boots: Option<Kind>,
    interrupt: &Interrupt,
) -> Result<Source, Failure> {
    let built = match boots {
        Some(boots) => {
            let kind = recipe.kind.or(source.kind()).unwrap_or(boots);
            instance::build(context, source, kind, interrupt).await
        }
        None => instance::image(context, connection, source, recipe, interrupt).await,
    };
    built.map(Source::Image)
}

/// A name that no other run has, of this call or of another in the same account.
pub fn unique(base: &str, number: usize) -> String {
    let now = jiff::Timestamp::now().as_millisecond();
    format!("{base}-{:x}-{number}", (now ^ i64::from(std::process::id()) << 24) & 0xff_ffff_ffff)
}

/// Gives runs of the same name numbers, for instance an entry that is named twice.
fn distinct(trials: &mut [Trial]) {
    for at in 0..trials.len() {
        let (before, rest) = trials.split_at_mut(at);
        let trial = &mut rest[0];
        let mut number = 1;
        while before.iter().any(|other| other.run == trial.run) {
            number += 1;
            trial.run = format!("{}-{number}", trial.entry);
        }
    }
}

/// What all runs share.
struct Bench<'a> {
    context: &'a Arc<Context>,
    connection: Connection,
    arguments: &'a Arguments,
    keeper: Keeper,
    /// The machines of `--on` that run nothing of ours now.
    idle: Mutex<Vec<String>>,
    /// How many runs failed.
    failed: AtomicUsize,
    interrupt: &'a Interrupt,
}

impl Bench<'_> {
    /// Runs all, and gives what they came to in the order of the trials. One that was not to be
    /// started any more is not among them.
    async fn run(&self, trials: Vec<Trial>) -> Vec<Outcome> {
        let jobs = match self.arguments.on.len() {
            0 => self.jobs(trials.len()),
            machines => machines,
        };
        let width = trials.iter().map(|trial| trial.run.len()).max().unwrap_or_default();
        let place = if self.connection.local { "the twin" } else { "EC2" };
        let (runs, at_once) = (count(trials.len(), "run"), jobs.min(trials.len()));
        self.context.shell.status("Testing", format!("{runs} on {place}, {at_once} at once"));
        let all = trials.into_iter().enumerate();
        let all = all.map(|(at, trial)| async move { (at, self.one(trial, width).await) });
        let mut outcomes: Vec<_> =
            futures::stream::iter(all).buffer_unordered(jobs).collect().await;
        outcomes.sort_by_key(|(at, _)| *at);
        outcomes.into_iter().filter_map(|(_, outcome)| outcome).collect()
    }

    /// So many machines are to run at once: on the desk no more than it has memory for.
    fn jobs(&self, trials: usize) -> usize {
        let asked = self.arguments.jobs.get();
        let config = twin::config(self.context).ok().filter(|_| self.connection.local);
        let Some(room) = config.and_then(|config| twin::machines(&config)) else { return asked };
        if room < asked.min(trials) {
            let shell = &self.context.shell;
            shell.note(format_args!("this desk has free memory for {room} of {asked} machines"));
        }
        asked.min(room)
    }

    /// Runs one and tells what it came to.
    async fn one(&self, trial: Trial, width: usize) -> Option<Outcome> {
        if self.arguments.fail_fast && self.failed.load(Ordering::Relaxed) > 0 {
            return None;
        }
        let begin = Instant::now();
        let shell = self.context.shell.of_machine(&trial.run, width, self.arguments.no_capture);
        let context = self.context.with_shell(shell);
        let (entry, run) = (trial.entry.clone(), trial.run.clone());
        let result = self.to_verdict(&context, trial).await;
        context.shell.end_of_machine();
        let (report, log, failure) = match result {
            Ok(ending) => {
                let (report, log) = (ending.report.clone(), ending.log.clone());
                (Some(report), Some(log), instance::judged(&context, ending).err())
            }
            Err(failure) => (None, None, Some(failure)),
        };
        self.failed.fetch_add(usize::from(failure.is_some()), Ordering::Relaxed);
        let outcome = Outcome { entry, run, elapsed: begin.elapsed(), report, log, failure };
        // Who reads no further learns by the exit code what all came to.
        let _ = self.context.shell.result(results::line(&outcome, width));
        let _ = self.context.shell.json("test", &results::message(&outcome));
        Some(outcome)
    }

    async fn to_verdict(&self, context: &Arc<Context>, trial: Trial) -> Result<Ending, Failure> {
        let begin = Instant::now();
        if self.interrupt.is_asked() {
            return Err(Failure::Interrupted);
        }
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let Trial { image, recipe, mut attachment, .. } = trial;
        let source = image?;
        let machine = idle().pop();
        if let Some(name) = machine {
            let ending = self.on_machine(context, &source, &recipe, attachment, &name).await;
            idle().push(name);
            return ending;
        }
        let connection = &self.connection.told_by(&context.shell);
        self.keeper.launching(&recipe.name)?;
        let launch =
            instance::launch(context, connection, &source, &recipe, self.interrupt).await?;
        attachment.image = instance::expected_of(&launch.image).ok();
        let machine = &launch.launched.instance;
        let ending =
            instance::attach(context, connection, machine, attachment, self.interrupt).await;
        // First of all the machine's end; what the console said can wait.
        run::remove(context, connection, machine, begin).await?;
        let _ = self.keeper.gone(&recipe.name);
        ending
    }

    /// Boots on a machine that exists, and leaves it.
    async fn on_machine(
        &self,
        context: &Arc<Context>,
        source: &Source,
        recipe: &Recipe,
        mut attachment: Attachment,
        name: &str,
    ) -> Result<Ending, Failure> {
        let connection = &self.connection.told_by(&context.shell);
        let interrupt = self.interrupt;
        let redeploy =
            instance::redeploy(context, connection, source, recipe, name, interrupt).await?;
        let (redeployed, image) = redeploy;
        attachment.since = Some(redeployed.mark);
        attachment.image = instance::expected_of(&image).ok();
        instance::attach(context, connection, &redeployed.instance, attachment, interrupt).await
    }
}

/// What went wrong, the sum of it all, and the JUnit file.
fn tell(
    context: &Context,
    arguments: &Arguments,
    outcomes: &[Outcome],
    tally: Tally,
    elapsed: Duration,
) -> Result<(), Failure> {
    let shell = &context.shell;
    // What the runs came to is told even if it cannot be written.
    let written = arguments.junit.as_ref().map(|path| {
        let path = context.environment.folder().join(path);
        results::write_junit(&path, outcomes, elapsed).inspect(|()| shell.detail("Wrote", path))
    });
    for text in outcomes.iter().filter_map(results::details) {
        shell.result(text)?;
    }
    let Tally { passed, failed, skipped, stopped } = tally;
    let stopped = if stopped > 0 { format!(", {stopped} stopped") } else { String::new() };
    let seconds = elapsed.as_secs_f64();
    shell.result(format_args!(
        "\n{passed} passed, {failed} failed, {skipped} skipped{stopped} in {seconds:.1} s"
    ))?;
    let sum = json!({ "tally": tally, "elapsed_s": seconds, "junit": arguments.junit });
    shell.json("tests", &sum)?;
    match written {
        // That runs failed is the error then, and this is said beside it.
        Some(Err(error)) if tally.failed > 0 => shell.warn(error),
        Some(written) => written?,
        None => {}
    }
    Ok(())
}
