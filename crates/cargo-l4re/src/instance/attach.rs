//! The console of an instance on the user's terminal, to a verdict.

use std::io::{ErrorKind, Read};
use std::sync::Arc;
use std::time::Duration;

use camino::Utf8PathBuf;
use l4re_cloud::{Cloud, CloudError, Instance, InstanceState, SerialError};
use l4re_console::escape::HELP;
use l4re_console::expect::Expectations;
use l4re_console::follow::{self, ControlHandle, Event, FollowOptions, Observer, Report};
use l4re_console::log::RawLog;
use l4re_console::phase::Start;
use l4re_console::sanitise::Sanitiser;
use l4re_console::transport::{
    BoxFuture, Connector, Fingerprint, HostKeyPolicy, JoinOptions, Joined, Key, Notice, PollError,
    SerialOptions, SerialSsh, SerialTarget, Snapshots, Transport, TransportError,
};
use l4re_console::verdict::Verdict;
use serde_json::json;

use super::connect::Connection;
use super::end_watch::EndWatch;
use crate::commands::Context;
use crate::failure::{Failure, MachineFailure};
use crate::interrupt::Interrupt;
use crate::shell::Shell;
use crate::target::default_name;
use crate::terminal::Attached;

/// Limit for an instance to run, as EC2 means it: its firmware may start much later.
const RUNNING_LIMIT: Duration = Duration::from_secs(20 * 60);
/// How often the kept output is polled, and a session tried again, on the desk.
const DESK_PACE: Duration = Duration::from_millis(100);
/// Logs kept of earlier runs.
const LOGS_KEPT: usize = 50;

/// What to watch a console for.
#[derive(Debug)]
pub struct Attachment {
    /// What must come, in order.
    pub expect: Vec<String>,
    /// What must not.
    pub fail_on: Vec<String>,
    /// Limit for the whole run.
    pub timeout: Option<Duration>,
    /// Limit for silence.
    pub idle_timeout: Option<Duration>,
    /// Where in the machine's life this starts.
    pub start: Start,
    /// Whether a panic or a reboot loop ends it.
    pub end_on_fault: bool,
    /// Where the raw log goes, if not to the usual folder.
    pub log: Option<Utf8PathBuf>,
}

/// How it ended.
#[derive(Debug)]
pub struct Ending {
    /// Phases, verdict and more.
    pub report: Report,
    /// The raw log.
    pub log: Utf8PathBuf,
    /// Whether the instance itself has ended.
    pub over: bool,
}

/// Shows the console of `instance` and types into it, until a verdict stands, the user leaves
/// or the instance ends.
pub async fn attach(
    context: &Context,
    connection: &Connection,
    instance: &Instance,
    attachment: Attachment,
    interrupt: &Interrupt,
) -> Result<Ending, Failure> {
    let shell = &context.shell;
    tokio::select! {
        running = until_running(connection, instance) => running?,
        () = interrupt.asked() => return Err(Failure::Interrupted),
    }
    let mut log = open_log(context, instance, attachment.log.clone())?;
    if shell.is_interactive() {
        shell.status("Attached", "Ctrl-C ends, `~?` after a newline lists keys");
    }
    let patterns = attachment.expect.clone();
    let options = options(attachment, shell)?;
    let mut transport = transport(context, connection, instance)?;
    let (handle, control) = follow::control();
    let guard = shell.is_interactive().then(Attached::new).flatten();
    forward_keys(handle.clone());
    let (interrupted, watch) = (interrupt.clone(), EndWatch::new(connection, instance));
    let cancel = tokio::spawn(async move {
        let ended = tokio::select! {
            () = interrupted.asked() => None,
            reason = watch.ended() => Some(reason),
        };
        handle.cancel();
        ended
    });
    let mut screen = Screen { shell: shell.clone(), seen: 0, broken: None };
    let mut report =
        follow::follow(&mut transport, options, Some(&mut log), &mut screen, control).await;
    drop(guard);
    let missing = patterns.get(screen.seen).cloned();
    let mut over = false;
    match screen.broken {
        // Who reads no further has not seen that what was expected came.
        Some(error) if missing.is_some() && error.kind() == ErrorKind::BrokenPipe => {
            cancel.abort();
            report.verdict = Verdict::Closed { reason: "stdout was closed".to_owned(), missing };
        }
        Some(error) => {
            cancel.abort();
            return Err(Failure::Io(error));
        }
        None if report.verdict == Verdict::Interrupted && !interrupt.is_asked() => {
            let reason = cancel.await.ok().flatten().unwrap_or_default();
            report.verdict = Verdict::Closed { reason, missing };
            over = true;
        }
        None => cancel.abort(),
    }
    let log = log.path().to_owned();
    let end = json!({ "report": report, "log": log });
    let told = shell.json("console-end", &end);
    // A reader that is gone gets no end, and that is no failure of the run.
    if !matches!(report.verdict, Verdict::Closed { .. }) {
        told?;
    }
    Ok(Ending { report, log, over })
}

/// Waits until EC2 says that the instance runs: before that it has no serial console.
async fn until_running(connection: &Connection, instance: &Instance) -> Result<(), Failure> {
    if instance.state == InstanceState::Pending {
        let wait = connection.cloud.wait_for(&instance.id, InstanceState::Running, RUNNING_LIMIT);
        wait.await?;
    }
    Ok(())
}

/// The verdict as success or failure.
pub fn judged(context: &Context, ending: Ending) -> Result<(), Failure> {
    match ending.report.verdict {
        Verdict::Expected | Verdict::ApplicationReached | Verdict::Left => Ok(()),
        Verdict::Closed { missing: None, reason } => {
            context.shell.note(reason);
            Ok(())
        }
        Verdict::Interrupted => Err(Failure::Interrupted),
        verdict => {
            let verdict = Box::new(verdict);
            Err(MachineFailure::Verdict { verdict, log: ending.log }.into())
        }
    }
}

fn options(attachment: Attachment, shell: &Shell) -> Result<FollowOptions, Failure> {
    let mut options = FollowOptions::default();
    options.expectations = Expectations::new(&attachment.expect, &attachment.fail_on)?;
    options.timeout = attachment.timeout;
    options.idle_timeout = attachment.idle_timeout;
    options.start = attachment.start;
    options.end_on_fault = attachment.end_on_fault;
    options.escapes = shell.is_interactive();
    options.undouble = true;
    Ok(options)
}

/// The raw log: where the user wants it, or a file of its own in the state folder, of which
/// the newest are kept.
fn open_log(
    context: &Context,
    instance: &Instance,
    path: Option<Utf8PathBuf>,
) -> Result<RawLog, Failure> {
    let path = match path {
        Some(path) => context.environment.folder().join(path),
        None => {
            let dir = context.environment.state_dir().ok_or(Failure::NoHome)?.join("logs");
            fs_err::create_dir_all(&dir)?;
            prune(&dir)?;
            let now = jiff::Zoned::now().strftime("%Y%m%d-%H%M%S").to_string();
            let name = default_name(instance.name.as_deref().unwrap_or_default());
            dir.join(format!("{now}-{name}-{}.log", instance.id))
        }
    };
    Ok(RawLog::create(&path)?)
}

/// Removes all but the newest logs; their names begin with the time.
fn prune(dir: &camino::Utf8Path) -> Result<(), Failure> {
    let mut logs: Vec<_> = dir
        .read_dir_utf8()?
        .filter_map(Result::ok)
        .map(|entry| entry.into_path())
        .filter(|path| path.extension() == Some("log"))
        .collect();
    logs.sort_unstable();
    for old in logs.iter().rev().skip(LOGS_KEPT - 1) {
        // Another run may have removed it at the same moment.
        let _ = fs_err::remove_file(old);
    }
    Ok(())
}

/// The console of an instance: live by SSH, with the kept output filling what that missed.
fn transport(
    context: &Context,
    connection: &Connection,
    instance: &Instance,
) -> Result<Joined, Failure> {
    let known_hosts = context.environment.state_dir().ok_or(Failure::NoHome)?.join("known_hosts");
    let (cloud, id) = (connection.cloud.clone(), instance.id.clone());
    let serial = Serial { cloud: cloud.clone(), id: id.clone(), known_hosts };
    let mut options = JoinOptions::default();
    if connection.local {
        options.poll = DESK_PACE;
        options.retry = DESK_PACE;
    }
    Ok(Joined::new(Some(Box::new(serial)), Some(Box::new(Kept { cloud, id })), options))
}

/// Opens serial sessions: a new key each time, pushed right before it is used.
struct Serial {
    cloud: Cloud,
    id: String,
    known_hosts: Utf8PathBuf,
}

impl Connector for Serial {
    fn connect(&self) -> BoxFuture<'static, Result<Box<dyn Transport>, TransportError>> {
        let (cloud, id, known_hosts) =
            (self.cloud.clone(), self.id.clone(), self.known_hosts.clone());
        Box::pin(async move {
            let address = || format!("serial console of {id}");
            let key = Key::generate().map_err(|error| TransportError::Ssh {
                address: address(),
                detail: error.to_string(),
            })?;
            let pushed = cloud.push_serial_key(&id, &key.public_openssh()).await;
            pushed.map_err(|error| not_pushed(address(), error))?;
            let mut last = None;
            for endpoint in cloud.serial_endpoints() {
                let host_key = if endpoint.fingerprints.is_empty() {
                    HostKeyPolicy::TrustOnFirstUse(known_hosts.clone())
                } else {
                    let prints = endpoint.fingerprints.iter();
                    HostKeyPolicy::Pinned(prints.map(|print| Fingerprint::new(print)).collect())
                };
                let user = format!("{id}.port0");
                let target =
                    SerialTarget { host: endpoint.host, port: endpoint.port, user, host_key };
                match SerialSsh::connect(&target, &key, &SerialOptions::default()).await {
                    Ok(session) => return Ok(Box::new(session) as Box<dyn Transport>),
                    Err(error) => last = Some(error),
                }
            }
            Err(last.unwrap_or_else(|| TransportError::Refused { address: address() }))
        })
    }
}

/// What a key that could not be pushed means for the session.
fn not_pushed(address: String, error: CloudError) -> TransportError {
    let detail = error.to_string();
    match error {
        CloudError::Serial(SerialError::InUse { .. }) => {
            TransportError::SessionLimit { address, detail }
        }
        CloudError::Serial(serial) if serial.is_passing() => {
            TransportError::Dropped { address, detail }
        }
        CloudError::Throttled { .. }
        | CloudError::TimedOut { .. }
        | CloudError::NetworkUnreachable { .. }
        | CloudError::NotFound { .. } => TransportError::Dropped { address, detail },
        _ => TransportError::Unavailable { address, detail },
    }
}

/// The output that EC2 keeps.
struct Kept {
    cloud: Cloud,
    id: String,
}

impl Snapshots for Kept {
    fn fetch(&self, latest: bool) -> BoxFuture<'static, Result<Vec<u8>, PollError>> {
        let (cloud, id) = (self.cloud.clone(), self.id.clone());
        Box::pin(async move {
            cloud.console_output(&id, latest).await.map_err(|error| match error {
                CloudError::AccessDenied(_)
                | CloudError::NoCredentials
                | CloudError::BadCredentials { .. }
                | CloudError::Expired { .. } => PollError::Permanent(error.to_string()),
                CloudError::Unsupported { .. } if latest => PollError::LatestUnsupported,
                other => PollError::Transient(other.to_string()),
            })
        })
    }
}

/// Shows output that EC2 kept, with what could harm a terminal taken out.
pub fn show_kept(context: &Context, bytes: &[u8]) -> std::io::Result<()> {
    let mut safe = Vec::new();
    Sanitiser::default().push(bytes, &mut safe);
    context.shell.json("console", &json!({ "text": String::from_utf8_lossy(&safe) }))?;
    if context.shell.is_json() { Ok(()) } else { context.shell.console(&safe) }
}

/// Hands typed bytes to the console. The thread waits in a read that nothing can end, so it
/// ends with the process.
fn forward_keys(handle: ControlHandle) {
    if !crate::terminal::may_read() {
        return;
    }
    std::thread::spawn(move || {
        let mut buffer = [0; 1024];
        while let Ok(count) = std::io::stdin().read(&mut buffer) {
            if count == 0 {
                return;
            }
            handle.typed(buffer[..count].to_vec());
        }
    });
}

/// Where the console and what is said about it go.
struct Screen {
    shell: Arc<Shell>,
    seen: usize,
    broken: Option<std::io::Error>,
}

impl Screen {
    fn kept(&mut self, result: std::io::Result<()>) -> std::io::Result<()> {
        result.map_err(|error| {
            let kind = error.kind();
            self.broken.get_or_insert(error);
            kind.into()
        })
    }
}

impl Observer for Screen {
    fn output(&mut self, safe: &[u8]) -> std::io::Result<()> {
        let shell = self.shell.clone();
        let result = if shell.is_json() {
            shell.json("console", &json!({ "text": String::from_utf8_lossy(safe) }))
        } else {
            shell.console(safe)
        };
        self.kept(result)
    }

    fn event(&mut self, event: Event) {
        let shell = self.shell.clone();
        match event {
            Event::PhaseReached { phase, at } => {
                let result =
                    shell.json("phase", &json!({ "phase": phase, "at_s": at.as_secs_f64() }));
                let _ = self.kept(result);
            }
            Event::Expected { index, pattern } => {
                self.seen = index + 1;
                let _ = self.kept(shell.json("expected", &json!({ "pattern": pattern })));
            }
            Event::Hint { phase, waited, text } => {
                let phase = phase.map_or("start", |phase| phase.name());
                shell.note(format_args!("stuck in {phase} for {} s: {text}", waited.as_secs()));
            }
            Event::Gap(gap) => match gap.bytes {
                Some(bytes) => {
                    shell.note(format_args!("{bytes} bytes of the console are missing here"))
                }
                None => shell.note("part of the console is missing here"),
            },
            Event::Notice(Notice::Connected) => shell.detail("Attached", "live console"),
            Event::Notice(Notice::Reconnecting { reason }) => {
                shell.detail("Attaching", format_args!("again: {reason}"));
            }
            Event::Notice(Notice::PolledOnly { reason }) => {
                shell.note(format_args!("no live console, so it is polled: {reason}"));
            }
            Event::Fault(fault) if !fault.kind.is_final() => shell.warn(fault.explanation),
            Event::LogFailed(error) => shell.warn(error),
            Event::InputLost { reason } => shell.warn(format_args!("typed in vain: {reason}")),
            Event::HelpWanted => {
                let _ = self.kept(shell.console(HELP.as_bytes()));
            }
            _ => {}
        }
    }
}
