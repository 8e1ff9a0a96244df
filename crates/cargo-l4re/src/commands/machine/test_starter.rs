//! `cargo l4re test-starter`: L4Re's EXTERNAL_TEST_STARTER.
//!
//! `make test` of a build tree runs each test by `tool/bin/run_test`, which writes the test's
//! module list and then calls what EXTERNAL_TEST_STARTER names: in the build tree, with
//! MODULES_LIST, MODULE_SEARCH_PATH and ENTRY in the environment. The console is to come on
//! stdout; stdin is the console's (ESC enters the kernel debugger). The framework judges: it
//! reads to the end of the tests or until nothing comes for TEST_TIMEOUT seconds, then kills its
//! whole process tree. So nothing ends the run here, the machine is ended from outside of that
//! tree, and until the bootstrapper has come a line tells now and then that the machine is on
//! its way: firmware is silent for longer than the framework waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::Args;
use l4re_cloud::Boot;
use l4re_console::verdict::Verdict;
use l4re_image::Kind;

use super::flags::{JudgeFlags, MachineFlags, limit};
use super::run;
use crate::commands::Context;
use crate::commands::flags::ImageFlags;
use crate::environment::Environment;
use crate::failure::Failure;
use crate::instance::{self, Attachment, Connection, Elsewhere, Keeper, Recipe};
use crate::interrupt::Interrupt;
use crate::source::Source;
use crate::target::default_name;

/// The entry that L4Re's runner makes.
const ENTRY: &str = "maketest";
/// Between two lines about a machine that is on its way; the framework waits 10 s for one.
const SIGN_OF_LIFE: Duration = Duration::from_secs(4);

/// Arguments of `test-starter`.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    image: ImageFlags,
    #[command(flatten)]
    machine: MachineFlags,
    #[command(flatten)]
    elsewhere: Elsewhere,
}

/// Runs `test-starter`.
pub fn test_starter(context: &Arc<Context>, arguments: &Arguments) -> Result<(), Failure> {
    let image = framed(&arguments.image, &context.environment);
    context.with_runtime(|runtime, interrupt| {
        let booted = Arc::new(AtomicBool::new(false));
        let machine = &arguments.machine;
        let metal = machine.metal || machine.types.iter().any(|name| instance::is_metal(name));
        let life = runtime.spawn(signs_of_life(context.clone(), booted.clone(), limit(metal)));
        let result = boot(context, arguments, &image, &booted, interrupt, runtime);
        life.abort();
        result
    })
}

/// The words of the command line, completed by what the framework says in the environment.
fn framed(image: &ImageFlags, environment: &Environment) -> ImageFlags {
    let mut image = image.clone();
    let named = image.words.iter().any(|word| !word.contains('='));
    if !named {
        let entry = ["ENTRY", "E"].into_iter().find_map(|name| environment.get(name));
        image.words.insert(0, entry.unwrap_or(ENTRY).to_owned());
    }
    // Tests that run at once have the same entry's name: each image goes to its test's folder.
    let folder = environment.get("TEST_TMPDIR").filter(|folder| folder.starts_with('/'));
    let variables =
        [("MODULES_LIST", environment.get("MODULES_LIST")), ("BOOTSTRAP_OUTPUT_DIR", folder)];
    for (name, value) in variables {
        let set = image.words.iter().any(|word| word.starts_with(&format!("{name}=")));
        if let (Some(value), false) = (value, set) {
            image.words.push(format!("{name}={value}"));
        }
    }
    image.platform = image.platform.or_else(|| environment.get("PT").map(str::to_owned));
    image
}

/// Builds, boots, and passes the console on until the machine ends or this process is told to.
fn boot(
    context: &Arc<Context>,
    arguments: &Arguments,
    image: &ImageFlags,
    booted: &Arc<AtomicBool>,
    interrupt: &Interrupt,
    runtime: &tokio::runtime::Runtime,
) -> Result<(), Failure> {
    let source = image.source(context, interrupt)?;
    let recipe = recipe(context, arguments, &source)?;
    let attachment = Attachment {
        end_on_fault: false,
        timeout: None,
        all_input: true,
        booted: booted.clone(),
        ..JudgeFlags::default().attachment(context, None, false)?
    };
    let end = arguments.elsewhere.end();
    let ready = instance::connect_to(context, &end)?;
    ready.check_desk(context, source.arch())?;
    runtime.block_on(async {
        let connection = ready.connect().await?;
        let keeper = Keeper::start(context, &end)?;
        watch(context, &connection, &keeper, &source, &recipe, attachment, interrupt).await
    })
}

async fn watch(
    context: &Arc<Context>,
    connection: &Connection,
    keeper: &Keeper,
    source: &Source,
    recipe: &Recipe,
    mut attachment: Attachment,
    interrupt: &Interrupt,
) -> Result<(), Failure> {
    let begin = Instant::now();
    keeper.launching(&recipe.name)?;
    let launch = instance::launch(context, connection, source, recipe, interrupt).await?;
    attachment.image = instance::expected_of(&launch.image).ok();
    let machine = &launch.launched.instance;
    let ending = instance::attach(context, connection, machine, attachment, interrupt).await;
    run::remove(context, connection, machine, begin).await?;
    keeper.gone(&recipe.name)?;
    let ending = ending?;
    match ending.report.verdict {
        // The framework judges what it reads, but knows nothing of images.
        Verdict::Interrupted | Verdict::WrongImage { .. } => instance::judged(context, ending),
        _ => Ok(()),
    }
}

/// The machine, under a name that tells the test and that no other ever has.
fn recipe(context: &Context, arguments: &Arguments, source: &Source) -> Result<Recipe, Failure> {
    let mut recipe = arguments.machine.recipe(context, source, arguments.image.kind)?;
    let of_test = ["TEST_TARGET", "TEST_TESTFILE"];
    let test = of_test.into_iter().find_map(|name| context.environment.get(name));
    let test = test.and_then(|test| test.split_whitespace().next()).unwrap_or(&recipe.name);
    let test = arguments.machine.name.as_deref().unwrap_or(test);
    recipe.plan.boot = quickest(&arguments.machine, arguments.elsewhere.end().local, recipe.kind);
    let test = test.rsplit('/').next().unwrap_or(test);
    recipe.name = super::test::unique(&default_name(test), 0);
    Ok(recipe)
}

/// What firmware starts. On the desk the image itself, where nothing else is asked for: until
/// iPXE has fetched it, expected output may no longer count, for which the framework waits for
/// 20 s only.
fn quickest(machine: &MachineFlags, local: bool, kind: Option<Kind>) -> Option<Boot> {
    let may_need_ipxe = !local
        || machine.metal
        || !machine.types.is_empty()
        || machine.command_line.is_some()
        || kind == Some(Kind::Elf);
    machine.boot.or((!may_need_ipxe).then_some(Boot::Disk))
}

/// Says now and then that there is something to wait for, but no longer than a boot may take.
async fn signs_of_life(context: Arc<Context>, booted: Arc<AtomicBool>, limit: Duration) {
    let begin = Instant::now();
    let matching = matching_limit(&context.environment);
    loop {
        tokio::time::sleep(SIGN_OF_LIFE).await;
        let elapsed = begin.elapsed();
        if booted.load(Ordering::Relaxed) || elapsed > limit {
            return;
        }
        let too_late = match matching.filter(|matching| elapsed > *matching) {
            Some(limit) => format!(
                ", and expected output counts for {} s only: set TEST_TIMEOUT",
                limit.as_secs()
            ),
            None => String::new(),
        };
        let seconds = elapsed.as_secs();
        let line = format!("\ncargo l4re: {seconds} s, and no bootstrapper yet{too_late}\n");
        if context.shell.raw(line.as_bytes()).is_err() {
            return;
        }
    }
}

/// How long after its start the framework goes on to match a test's expected output, where it
/// does: for two of its time-outs, whether the test has begun or not.
fn matching_limit(environment: &Environment) -> Option<Duration> {
    const USUAL: f64 = 10.0;
    let plugins = environment.get("TEST_TAP_PLUGINS")?;
    let timeout = environment.get("TEST_TIMEOUT").and_then(|text| text.trim().parse().ok());
    let seconds = timeout.filter(|seconds| (0.0..1e9).contains(seconds)).unwrap_or(USUAL);
    plugins.contains("OutputMatching").then(|| Duration::from_secs_f64(2.0 * seconds))
}

#[cfg(test)]
mod tests {
    use camino::Utf8Path;

    use super::*;

    fn words(words: &[&str], variables: &[(&str, &str)]) -> Vec<String> {
        let words = words.iter().map(|&word| word.to_owned()).collect();
        let image = ImageFlags { words, ..ImageFlags::default() };
        framed(&image, &Environment::of(Utf8Path::new("/b"), variables)).words
    }

    #[test]
    fn what_the_framework_says_becomes_words() {
        let variables = [
            ("ENTRY", "maketest"),
            ("MODULES_LIST", "/t/__test_modules.list"),
            ("TEST_TMPDIR", "/t"),
        ];
        let all = ["maketest", "MODULES_LIST=/t/__test_modules.list", "BOOTSTRAP_OUTPUT_DIR=/t"];
        assert_eq!(words(&[], &variables), all);
        assert_eq!(words(&["x", "MODULES_LIST=m"], &variables)[..2], ["x", "MODULES_LIST=m"]);
        assert_eq!(words(&[], &[("TEST_TMPDIR", "relative")]), ["maketest"]);
    }

    #[test]
    fn on_the_desk_firmware_starts_the_image_itself() {
        let flags = MachineFlags::default;
        assert_eq!(quickest(&flags(), true, None), Some(Boot::Disk));
        assert_eq!(quickest(&flags(), false, None), None);
        let metal = MachineFlags { metal: true, ..flags() };
        let typed = MachineFlags { types: vec!["t2.micro".to_owned()], ..flags() };
        let told = MachineFlags { command_line: Some("-x".to_owned()), ..flags() };
        for machine in [metal, typed, told] {
            assert_eq!(quickest(&machine, true, None), None);
        }
        assert_eq!(quickest(&flags(), true, Some(Kind::Elf)), None);
        let asked = MachineFlags { boot: Some(Boot::Ipxe), ..flags() };
        assert_eq!(quickest(&asked, true, None), Some(Boot::Ipxe));
    }

    #[test]
    fn expected_output_counts_for_two_time_outs() {
        let limit = |variables: &[(&str, &str)]| {
            matching_limit(&Environment::of(Utf8Path::new("/b"), variables))
        };
        let matching = ("TEST_TAP_PLUGINS", "OutputMatching:file=a.txt ");
        assert_eq!(limit(&[matching]), Some(Duration::from_secs(20)));
        assert_eq!(limit(&[matching, ("TEST_TIMEOUT", " 300 ")]), Some(Duration::from_secs(600)));
        assert_eq!(limit(&[matching, ("TEST_TIMEOUT", "inf")]), Some(Duration::from_secs(20)));
        assert_eq!(limit(&[("TEST_TAP_PLUGINS", "BundleMode TAPOutput ")]), None);
    }
}
