//! The daemon: found, or started so that it outlives who started it.

use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::process::CommandExt as _;
use std::time::{Duration, Instant};

use camino::Utf8Path;
use l4re_twin::Status;

use super::settings::{config_with, dir, warn_of_other_settings};
use crate::commands::Context;
use crate::failure::{Failure, MachineFailure};

/// Time within which the daemon must be ready: seconds on a machine with more to do.
const START_LIMIT: Duration = Duration::from_secs(60);
/// How often one is started, if it ends at once.
const STARTS: u32 = 3;
/// A log that is longer begins anew.
const MAX_LOG: u64 = 1 << 20;
/// How often its state is looked at meanwhile.
const LOOK: Duration = Duration::from_millis(10);

/// The twin that runs, if one does.
pub fn running(context: &Context) -> Option<Status> {
    l4re_twin::status(&dir(context).ok()?).ok().flatten()
}

/// The running twin, started if there is none.
pub fn ensure(context: &Context) -> Result<Status, Failure> {
    ensure_with(context, false)
}

/// The same; one that is started lets guests reach what this machine reaches if `open`.
pub fn ensure_with(context: &Context, open: bool) -> Result<Status, Failure> {
    let dir = dir(context)?;
    if let Some(status) = l4re_twin::status(&dir)? {
        if status.version != env!("CARGO_PKG_VERSION") {
            context.shell.warn(format_args!(
                "the twin that runs is of version {}; `cargo l4re twin stop` ends it",
                status.version
            ));
        } else {
            warn_of_other_settings(context, &status, &config_with(context, open)?);
        }
        return Ok(status);
    }
    start(context, &dir, open)
}

/// Starts a daemon and waits until one is ready.
fn start(context: &Context, dir: &Utf8Path, open: bool) -> Result<Status, Failure> {
    let log = dir.join("daemon.log");
    let failed = |source| MachineFailure::TwinStart { log: log.clone(), source };
    fs_err::create_dir_all(dir).map_err(failed)?;
    let mut output = open_log(&log).map_err(failed)?;
    // What earlier ones said is not this one's.
    let begin = output.seek(SeekFrom::End(0)).map_err(failed)?;
    let argv = serve_argv(context, dir, open);
    context.shell.detail("Running", crate::shell::words(&argv));
    let mut daemon = spawn(&argv, &output).map_err(failed)?;
    let mut starts = 1;
    let deadline = Instant::now() + START_LIMIT;
    loop {
        // In this order: one that has the directory may be ready a moment later.
        let ended = !is_alive(&daemon);
        let held = l4re_twin::is_held(dir)?;
        if let Some(status) = l4re_twin::status(dir)? {
            return Ok(status);
        }
        // Another command may have started one at the same moment: its daemon has the directory,
        // ours ends. And what had it then, `twin gc` say, may be over now.
        let over = ended && !held;
        if over && starts < STARTS && Instant::now() < deadline {
            daemon = spawn(&argv, &output).map_err(failed)?;
            starts += 1;
        } else if over || Instant::now() > deadline {
            let said = said_since(&log, begin).unwrap_or_default();
            let why = if ended { "it ended at once" } else { "it was not ready in time" };
            let text = format!("{why}: {}", said.trim_end());
            return Err(failed(std::io::Error::other(text)).into());
        }
        std::thread::sleep(LOOK);
    }
}

/// Starts a daemon and gives its process. It is nobody's child: test frameworks kill all
/// descendants of a test that is over, and other tests' machines are on the same twin.
fn spawn(argv: &[String], output: &std::fs::File) -> std::io::Result<String> {
    let words = argv[1..].iter().map(String::as_str).chain(["--apart"]);
    let call = duct::cmd(&argv[0], words).stdin_null().stderr_file(output.try_clone()?);
    Ok(call.read()?.trim().to_owned())
}

/// Starts a daemon so that it belongs to nobody, and prints its process.
pub fn start_apart(context: &Context, dir: &Utf8Path, open: bool) -> Result<(), Failure> {
    let argv = serve_argv(context, dir, open);
    let daemon = duct::cmd(&argv[0], &argv[1..])
        .stdin_null()
        .stdout_to_stderr()
        .unchecked()
        // A group of its own: the Ctrl-C that ends a run must not end the twin.
        .before_spawn(|command| {
            command.process_group(0);
            Ok(())
        })
        .start()?;
    let process = daemon.pids().first().map(u32::to_string).unwrap_or_default();
    Ok(context.shell.raw(process.as_bytes())?)
}

/// Whether a process runs; one that has ended and that nobody has asked about does not.
fn is_alive(process: &str) -> bool {
    fs_err::read(format!("/proc/{process}/cmdline")).is_ok_and(|words| !words.is_empty())
}

/// Opens the log, for several at once to write to, and empties one that has become long.
fn open_log(path: &Utf8Path) -> std::io::Result<std::fs::File> {
    let file = std::fs::OpenOptions::new().append(true).create(true).open(path)?;
    if file.metadata()?.len() > MAX_LOG {
        file.set_len(0)?;
    }
    Ok(file)
}

fn said_since(path: &Utf8Path, begin: u64) -> std::io::Result<String> {
    let mut file = std::fs::File::open(path)?;
    file.seek(SeekFrom::Start(begin))?;
    let mut said = Vec::new();
    file.read_to_end(&mut said)?;
    Ok(String::from_utf8_lossy(&said).into_owned())
}

/// The argv of the daemon: the same settings, whatever the folder and its files say later.
fn serve_argv(context: &Context, dir: &Utf8Path, open: bool) -> Vec<String> {
    let mut argv = vec![context.environment.program().to_string()];
    argv.extend(["twin", "serve", "--dir", dir.as_str()].map(str::to_owned));
    if open {
        argv.push("--net".to_owned());
    }
    for word in &context.global.config {
        argv.extend(["--config".to_owned(), word.clone()]);
    }
    argv
}
