//! `cargo l4re twin`: the EC2 on the desk.
//!
//! `run` and `--local` start it when it does not run, and it ends itself when it has had
//! nothing to do for a while; these commands are for the rest. `serve` is the daemon itself,
//! in the foreground.

use std::collections::BTreeMap;
use std::time::Duration;

use camino::Utf8PathBuf;
use clap::{Args, Subcommand};
use l4re_twin::Status;

use super::fault;
use crate::commands::Context;
use crate::failure::Failure;
use crate::settings::Span;
use crate::shell::count;
use crate::twin;

/// Time within which it must have ended.
const STOP_LIMIT: Duration = Duration::from_secs(60);

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
            let running = l4re_twin::status(&twin::dir(context)?)?.is_some();
            let status = twin::ensure_with(context, net.net)?;
            let verb = if running { "Running" } else { "Started" };
            context.shell.status(verb, describe(&status));
            report(context, &status)
        }
        Action::Stop => {
            let stopped = l4re_twin::stop(&twin::dir(context)?, STOP_LIMIT)?;
            context.shell.status(
                "Stopped",
                if stopped { "the twin and its instances" } else { "nothing: no twin was running" },
            );
            report_none(context)
        }
        Action::Status => match l4re_twin::status(&twin::dir(context)?)? {
            Some(status) => {
                context.shell.result(describe(&status))?;
                twin::warn_of_other_settings(context, &status, &twin::config(context)?);
                report(context, &status)
            }
            None => {
                context.shell.result("no twin is running")?;
                report_none(context)
            }
        },
        Action::Env => {
            let status = twin::ensure(context)?;
            let variables = variables(&status);
            context.shell.result(env_lines(&variables))?;
            let set: BTreeMap<_, _> = variables.into_iter().collect();
            let message = serde_json::json!({ "set": set, "unset": UNSET });
            Ok(context.shell.json("environment", &message)?)
        }
        Action::Fault(fault) => fault::fault(context, &twin::dir(context)?, fault),
        Action::Gc(gc) => collect(context, gc),
        Action::Serve(serve) if serve.apart => {
            twin::start_apart(context, &serve.dir(context)?, serve.net.net)
        }
        Action::Serve(serve) => serve_here(context, serve),
    }
}

/// Runs the hidden `twin-pipe`.
pub fn pipe(pipe: &Pipe) -> Result<(), Failure> {
    Ok(l4re_twin::pipe(&pipe.words)?)
}

impl Serve {
    fn dir(&self, context: &Context) -> Result<Utf8PathBuf, Failure> {
        match &self.dir {
            Some(dir) => Ok(context.environment.folder().join(dir)),
            None => twin::dir(context),
        }
    }
}

/// Frees disk, by the twin itself if it runs.
fn collect(context: &Context, gc: &Gc) -> Result<(), Failure> {
    let Span(age) = gc.older_than;
    let freed = l4re_twin::gc(&twin::dir(context)?, age)?;
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

fn serve_here(context: &Context, serve: &Serve) -> Result<(), Failure> {
    let mut config = twin::config_with(context, serve.net.net)?;
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
