//! `cargo l4re twin`: the EC2 on the desk.
//!
//! `run` and `--local` start it when it does not run, and it ends itself when it has had
//! nothing to do for a while; these commands are for the rest. `serve` is the daemon itself,
//! in the foreground.

use std::collections::BTreeMap;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::process::CommandExt;
use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};
use clap::{Args, Subcommand};
use l4re_image::Arch;
use l4re_twin::{Config, GuestNetwork, Status};

use super::fault;
use crate::commands::Context;
use crate::failure::{Failure, MachineFailure};
use crate::settings::{Accel, Settings, Size, Span, Timing};
use crate::shell::count;

/// Time within which the daemon must be ready: seconds on a machine with more to do.
const START_LIMIT: Duration = Duration::from_secs(60);
/// How often one is started, if it ends at once.
const STARTS: u32 = 3;
/// A log that is longer begins anew.
const MAX_LOG: u64 = 1 << 20;
/// Time within which it must have ended.
const STOP_LIMIT: Duration = Duration::from_secs(60);
/// How often its state is looked at meanwhile.
const LOOK: Duration = Duration::from_millis(10);

/// Arguments of `twin`.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Start the twin, if it does not run
    Start(Net),
    /// Stop the twin and every instance on it
    Stop,
    /// Say whether it runs, and where
    Status,
    /// Print the variables that point any AWS client at it, for a shell's `eval`
    Env,
    /// Let something go wrong on it, on request
    Fault(fault::Fault),
    /// Free disk: terminated instances, what can be made again, old objects
    Gc(Gc),
    /// Be the twin, in the foreground
    Serve(Serve),
}

/// What guests can reach.
#[derive(Debug, Clone, Copy, Default, Args)]
struct Net {
    /// Let guests reach what this machine reaches, its own ports too
    #[arg(long)]
    net: bool,
}

/// What a daemon is told by the command that starts it.
#[derive(Debug, Args)]
struct Serve {
    /// Folder of its state
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    dir: Option<Utf8PathBuf>,
    #[command(flatten)]
    net: Net,
    /// Start it so that it belongs to nobody, print its process and leave
    #[arg(long, hide = true)]
    apart: bool,
}

/// Arguments of `twin gc`.
#[derive(Debug, Args)]
struct Gc {
    /// Free objects that are older than this and that no instance names
    #[arg(long, value_name = "TIME", default_value = "7d")]
    older_than: Span,
}

/// Arguments of the program that QEMU starts per connection.
#[derive(Debug, Args)]
pub struct Pipe {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<String>,
}

/// Runs `twin`.
pub fn twin(context: &Context, arguments: &Arguments) -> Result<(), Failure> {
    match &arguments.action {
        Action::Start(net) => {
            let running = l4re_twin::status(&dir(context)?)?.is_some();
            let status = ensure_with(context, *net)?;
            let verb = if running { "Running" } else { "Started" };
            context.shell.status(verb, describe(&status));
            report(context, &status)
        }
        Action::Stop => {
            let stopped = l4re_twin::stop(&dir(context)?, STOP_LIMIT)?;
            context.shell.status(
                "Stopped",
                if stopped { "the twin and its instances" } else { "nothing: no twin was running" },
            );
            report_none(context)
        }
        Action::Status => match l4re_twin::status(&dir(context)?)? {
            Some(status) => {
                context.shell.result(describe(&status))?;
                warn_of_other_settings(context, &status, &config(context)?);
                report(context, &status)
            }
            None => {
                context.shell.result("no twin is running")?;
                report_none(context)
            }
        },
        Action::Env => {
            let status = ensure(context)?;
            let variables = variables(&status);
            context.shell.result(env_lines(&variables))?;
            let set: BTreeMap<_, _> = variables.into_iter().collect();
            let message = serde_json::json!({ "set": set, "unset": UNSET });
            Ok(context.shell.json("environment", &message)?)
        }
        Action::Fault(fault) => fault::fault(context, &dir(context)?, fault),
        Action::Gc(gc) => collect(context, gc),
        Action::Serve(serve) if serve.apart => serve_apart(context, serve),
        Action::Serve(serve) => serve_here(context, serve),
    }
}

/// Runs the hidden `twin-pipe`.
pub fn pipe(pipe: &Pipe) -> Result<(), Failure> {
    Ok(l4re_twin::pipe(&pipe.words)?)
}

/// The twin's state folder.
fn dir(context: &Context) -> Result<Utf8PathBuf, Failure> {
    let set = context.settings.find(|layer| layer.twin.dir.clone());
    let default = || context.environment.state_dir().map(|dir| dir.join("twin"));
    set.or_else(default).ok_or(Failure::NoHome)
}

/// What the settings make of a twin.
pub fn config(context: &Context) -> Result<Config, Failure> {
    let program = context.environment.program().to_string();
    let mut config = Config::new(dir(context)?, vec![program, "twin-pipe".to_owned()]);
    let settings = &context.settings;
    if let Some(Span(idle)) = settings.find(|layer| layer.twin.idle) {
        config.idle = Some(idle);
    }
    config.accel = match settings.find(|layer| layer.twin.accel) {
        Some(Accel::Kvm) => l4re_twin::Accel::Kvm,
        Some(Accel::Tcg) => l4re_twin::Accel::Tcg,
        Some(Accel::Auto) | None => l4re_twin::Accel::Auto,
    };
    if settings.find(|layer| layer.twin.net) == Some(true) {
        config.guest_network = GuestNetwork::Open;
    }
    if let Some(access) = settings.find(|layer| layer.twin.serial_console) {
        config.serial_console_access = access;
    }
    if let Some(Size(bytes)) = settings.find(|layer| layer.twin.disk) {
        config.max_disk = bytes;
    }
    set_timing(&mut config.timing, settings);
    let ipxe = |arch| settings.by_arch(arch, |layer| &layer.twin.ipxe).cloned();
    config.ipxe_arm64 = ipxe(Arch::Arm64);
    config.ipxe_x86_64_efi = ipxe(Arch::X86_64);
    let files = &mut config.firmware;
    if let Some(qemu) = settings.by_arch(Arch::X86_64, |layer| &layer.twin.qemu) {
        files.qemu_x86_64.clone_from(qemu);
    }
    if let Some(qemu) = settings.by_arch(Arch::Arm64, |layer| &layer.twin.qemu) {
        files.qemu_aarch64.clone_from(qemu);
    }
    if let Some(pair) = settings.by_arch(Arch::X86_64, |layer| &layer.twin.firmware) {
        (files.ovmf_code, files.ovmf_vars) = (pair.code.clone(), pair.vars.clone());
    }
    if let Some(pair) = settings.by_arch(Arch::Arm64, |layer| &layer.twin.firmware) {
        (files.aavmf_code, files.aavmf_vars) = (pair.code.clone(), pair.vars.clone());
    }
    Ok(config)
}

fn set_timing(timing: &mut l4re_twin::Timing, settings: &Settings) {
    type Choice = fn(&Timing) -> Option<Span>;
    let choices: [(&mut Duration, Choice); 7] = [
        (&mut timing.pending, |set| set.pending),
        (&mut timing.pending_metal, |set| set.pending_metal),
        (&mut timing.stopping, |set| set.stopping),
        (&mut timing.consistency, |set| set.consistency),
        (&mut timing.graceful, |set| set.graceful),
        (&mut timing.snapshot, |set| set.snapshot),
        (&mut timing.console_snapshot, |set| set.console_snapshot),
    ];
    for (place, choice) in choices {
        if let Some(Span(time)) = settings.find(|layer| choice(&layer.twin.timing)) {
            *place = time;
        }
    }
}

/// The running twin, started if there is none.
pub fn ensure(context: &Context) -> Result<Status, Failure> {
    ensure_with(context, Net::default())
}

fn ensure_with(context: &Context, net: Net) -> Result<Status, Failure> {
    let dir = dir(context)?;
    if let Some(status) = l4re_twin::status(&dir)? {
        if status.version != env!("CARGO_PKG_VERSION") {
            context.shell.warn(format_args!(
                "the twin that runs is of version {}; `cargo l4re twin stop` ends it",
                status.version
            ));
        } else {
            warn_of_other_settings(context, &status, &net.apply(config(context)?));
        }
        return Ok(status);
    }
    start(context, &dir, net)
}

impl Net {
    fn apply(self, mut config: Config) -> Config {
        if self.net {
            config.guest_network = GuestNetwork::Open;
        }
        config
    }
}

fn warn_of_other_settings(context: &Context, status: &Status, wanted: &Config) {
    if let Some(others) = other_settings(status, wanted) {
        context.shell.warn(format_args!(
            "the twin that runs was started with other settings ({others}); `cargo l4re twin stop` \
             ends it, and the next one has yours"
        ));
    }
}

impl Serve {
    fn dir(&self, context: &Context) -> Result<Utf8PathBuf, Failure> {
        match &self.dir {
            Some(dir) => Ok(context.environment.folder().join(dir)),
            None => dir(context),
        }
    }
}

/// What a running twin has otherwise than is wanted.
fn other_settings(status: &Status, wanted: &Config) -> Option<String> {
    let wanted = wanted.settings();
    let differ = wanted.iter().filter_map(|(name, value)| {
        let its = status.settings.get(name).filter(|its| *its != value)?;
        Some(format!("`twin.{name}`: it has `{its}`, yours is `{value}`"))
    });
    let list: Vec<String> = differ.collect();
    (!list.is_empty()).then(|| list.join("; "))
}

/// Frees disk, by the twin itself if it runs.
fn collect(context: &Context, gc: &Gc) -> Result<(), Failure> {
    let Span(age) = gc.older_than;
    let freed = l4re_twin::gc(&dir(context)?, age)?;
    let size = bytesize::ByteSize(freed.bytes);
    context.shell.status(
        "Freed",
        format_args!(
            "{size}: {}, {}",
            count(freed.instances, "instance"),
            count(freed.objects, "object")
        ),
    );
    Ok(context.shell.json("freed", &freed)?)
}

/// The twin that runs, if one does.
pub fn running(context: &Context) -> Option<Status> {
    l4re_twin::status(&dir(context).ok()?).ok().flatten()
}

/// Starts a daemon and waits until one is ready.
fn start(context: &Context, dir: &Utf8Path, net: Net) -> Result<Status, Failure> {
    let log = dir.join("daemon.log");
    let failed = |source| MachineFailure::TwinStart { log: log.clone(), source };
    fs_err::create_dir_all(dir).map_err(failed)?;
    let mut output = open_log(&log).map_err(failed)?;
    // What earlier ones said is not this one's.
    let begin = output.seek(SeekFrom::End(0)).map_err(failed)?;
    let argv = serve_argv(context, dir, net);
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

/// What `--apart` does.
fn serve_apart(context: &Context, serve: &Serve) -> Result<(), Failure> {
    let argv = serve_argv(context, &serve.dir(context)?, serve.net);
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
fn serve_argv(context: &Context, dir: &Utf8Path, net: Net) -> Vec<String> {
    let mut argv = vec![context.environment.program().to_string()];
    argv.extend(["twin", "serve", "--dir", dir.as_str()].map(str::to_owned));
    if net.net {
        argv.push("--net".to_owned());
    }
    for word in &context.global.config {
        argv.extend(["--config".to_owned(), word.clone()]);
    }
    argv
}

fn serve_here(context: &Context, serve: &Serve) -> Result<(), Failure> {
    let mut config = serve.net.apply(config(context)?);
    config.dir = serve.dir(context)?;
    // The folder that it was started in may be removed or unmounted while it runs.
    context.environment.leave_folder()?;
    context.with_runtime(|runtime, interrupt| {
        let interrupt = interrupt.clone();
        let shutdown = async move { interrupt.asked().await };
        Ok(runtime.block_on(l4re_twin::serve(config, shutdown))?)
    })
}

fn describe(status: &Status) -> String {
    let but =
        if status.hypervisors_by_tcg { " (tcg for guests that may be hypervisors)" } else { "" };
    format!(
        "twin at {} ({}, {}{but}, process {})",
        status.endpoint, status.region, status.accel, status.pid
    )
}

/// That there is no twin, for programs.
fn report_none(context: &Context) -> Result<(), Failure> {
    Ok(context.shell.json("twin", &serde_json::json!({ "running": false }))?)
}

/// The twin for programs, without its secret.
fn report(context: &Context, status: &Status) -> Result<(), Failure> {
    let value = serde_json::json!({
        "running": true,
        "endpoint": status.endpoint,
        "region": status.region,
        "pid": status.pid,
        "accel": status.accel,
        "hypervisors_by_tcg": status.hypervisors_by_tcg,
        "serial_console": status.serial_console,
        "version": status.version,
    });
    Ok(context.shell.json("twin", &value)?)
}

/// What of the surroundings would lead an AWS client elsewhere.
const UNSET: [&str; 2] = ["AWS_PROFILE", "AWS_SESSION_TOKEN"];

/// The variables that lead AWS clients to the twin.
fn variables(status: &Status) -> [(&'static str, &str); 5] {
    [
        ("AWS_ENDPOINT_URL", &status.endpoint),
        ("AWS_ACCESS_KEY_ID", &status.access_key_id),
        ("AWS_SECRET_ACCESS_KEY", &status.secret_access_key),
        ("AWS_REGION", &status.region),
        ("AWS_DEFAULT_REGION", &status.region),
    ]
}

/// Lines for `eval`, in POSIX shell.
fn env_lines(variables: &[(&str, &str)]) -> String {
    let set = variables.iter().map(|(name, value)| format!("export {name}='{value}'\n"));
    format!("{}unset {}", set.collect::<String>(), UNSET.join(" "))
}
