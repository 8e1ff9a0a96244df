//! The console of an instance on the user's terminal, to a verdict.

use std::io::{ErrorKind, Read};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use camino::Utf8PathBuf;
use indicatif::ProgressBar;
use l4re_cloud::{Instance, InstanceState};
use l4re_console::escape::{Leaving, help};
use l4re_console::expect::Expectations;
use l4re_console::follow::{self, ControlHandle, Event, FollowOptions, Observer, Report};
use l4re_console::log::RawLog;
use l4re_console::phase::{ImageInfo, Phase, Start};
use l4re_console::sanitise::{Sanitiser, Sequences};
use l4re_console::transport::{BoxFuture, Notice, Since, Transport};
use l4re_console::verdict::Verdict;
use serde_json::json;
use tokio::time::timeout;

use super::connect::Connection;
use super::end_watch::EndWatch;
use super::log_file;
use super::proof;
use super::serial::transport;
use super::show::{Show, Shown};
use super::summary::is_metal;
use crate::commands::Context;
use crate::failure::{Failure, MachineFailure};
use crate::interrupt::Interrupt;
use crate::shell::{Shell, count};
use crate::target::default_name;
use crate::terminal::Attached;

/// Limit for an instance to run, as EC2 means it: its firmware may start much later.
const RUNNING_LIMIT: Duration = Duration::from_secs(20 * 60);

/// How long after a terminal that takes nothing any more SIGHUP may come.
const HANG_UP: Duration = Duration::from_millis(500);

/// What to watch a console for.
#[derive(Debug, Default)]
pub struct Attachment {
    /// What must come, in order.
    pub expect: Vec<String>,
    /// What must not.
    pub fail_on: Vec<String>,
    /// Whether it prints TAP, whose end is the run's.
    pub tap: bool,
    /// Limit for the whole run.
    pub timeout: Option<Duration>,
    /// Limit for silence.
    pub idle_timeout: Option<Duration>,
    /// The same before a machine that is being started has printed anything.
    pub first_output: Duration,
    /// Reboots that the system makes by itself.
    pub reboots: u32,
    /// Where in the machine's life this starts.
    pub start: Start,
    /// Whether a panic or a reboot loop ends it.
    pub end_on_fault: bool,
    /// What the console shows where it begins to count: what came before is another boot's.
    pub since: Option<String>,
    /// Where the raw log goes, if not to the usual folder.
    pub log: Option<Utf8PathBuf>,
    /// How it is shown and recorded.
    pub show: Show,
    /// What becomes of the machine when the user leaves.
    pub leaving: Leaving,
    /// What the image says of itself, if it is known: the console must say the same.
    pub image: Option<ImageInfo>,
    /// Whether stdin is the machine's even where it is no terminal.
    pub all_input: bool,
    /// Becomes true when the bootstrapper has come.
    pub booted: Arc<AtomicBool>,
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

/// A console that can be watched.
pub(super) struct Console {
    /// Its bytes.
    pub(super) transport: Box<dyn Transport>,
    /// What recordings call it.
    pub(super) title: String,
    /// The raw log, if one is to be written.
    pub(super) log: Option<RawLog>,
    /// Where the whole console is found afterwards.
    pub(super) log_path: Utf8PathBuf,
    /// Whether anything can be typed.
    pub(super) takes_keys: bool,
    /// How long such a machine usually prints nothing, if that is known.
    pub(super) usual_wait: Option<Duration>,
    /// Resolves when the machine itself has ended, and says how.
    pub(super) end: BoxFuture<'static, String>,
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
    tokio::select! {
        running = until_running(connection, instance) => running?,
        () = interrupt.asked() => return Err(Failure::Interrupted),
    }
    attachment.show.tell_debugger(context, &instance.id)?;
    let name = default_name(instance.name.as_deref().unwrap_or_default());
    let log = log_file::open(context, &format!("{name}-{}", instance.id), &attachment)?;
    let since = attachment.since.as_deref().unwrap_or_default();
    let console = Console {
        transport: Box::new(Since::new(transport(context, connection, instance)?, since)),
        title: instance.name.clone().unwrap_or_else(|| instance.id.clone()),
        log_path: log.path().to_owned(),
        log: Some(log),
        takes_keys: true,
        // On the desk firmware prints at once.
        usual_wait: (!connection.local && attachment.start == Start::Boot)
            .then(|| l4re_cloud::usual_wait(is_metal(&instance.instance_type))),
        end: Box::pin(EndWatch::new(connection, instance).ended()),
    };
    watch(context, console, attachment, interrupt).await
}

/// Shows a console and types into it, until a verdict stands, the user leaves or it ends.
pub(super) async fn watch(
    context: &Context,
    mut console: Console,
    attachment: Attachment,
    interrupt: &Interrupt,
) -> Result<Ending, Failure> {
    let shell = &context.shell;
    let typing = shell.is_interactive() && console.takes_keys;
    if typing {
        let ends = if attachment.leaving == Leaving::Ends { "ends it" } else { "leaves" };
        shell.status("Attached", format_args!("Ctrl-C {ends}, `~?` after a newline lists keys"));
    }
    let built = attachment.image.clone();
    let mut screen = Screen::new(context, &console, &attachment)?;
    let (handle, control) = follow::control();
    if console.takes_keys {
        forward_keys(handle.clone(), shell, attachment.all_input);
    }
    let options = options(attachment, shell)?;
    let guard = typing.then(Attached::new).flatten();
    let (interrupted, end) = (interrupt.clone(), console.end);
    let cancel = tokio::spawn(async move {
        let ended = tokio::select! {
            () = interrupted.asked() => None,
            reason = end => Some(reason),
        };
        handle.cancel();
        ended
    });
    let (transport, log) = (&mut *console.transport, console.log.as_mut());
    let mut report = follow::follow(transport, options, log, &mut screen, control).await;
    drop(guard);
    screen.waiting.finish_and_clear();
    screen.kept(shell.console_over()).ok();
    let missing = report.missing.clone();
    let mut over = false;
    match screen.broken {
        // Who reads no further has not seen that what was expected came.
        Some(error) if missing.is_some() && error.kind() == ErrorKind::BrokenPipe => {
            cancel.abort();
            report.verdict = Verdict::Closed { reason: "stdout was closed".to_owned(), missing };
        }
        Some(error) => {
            cancel.abort();
            report.verdict = hung_up(error, interrupt).await?;
        }
        None if report.verdict == Verdict::Interrupted && !interrupt.is_asked() => {
            let reason = cancel.await.ok().flatten().unwrap_or_default();
            report.verdict = Verdict::Closed { reason, missing };
            over = true;
        }
        None => cancel.abort(),
    }
    let image = built.map(|built| proof::tell(shell, &report, &built));
    let end = json!({ "report": report, "log": console.log_path, "image": image });
    let told = shell.json("console-end", &end);
    // A reader that is gone gets no end, and that is no failure of the run.
    if !matches!(report.verdict, Verdict::Closed { .. }) {
        told?;
    }
    Ok(Ending { report, log: console.log_path, over })
}

/// What it comes to that nothing can be written: of a terminal that is gone SIGHUP tells as
/// well, now or in a moment.
async fn hung_up(error: std::io::Error, interrupt: &Interrupt) -> Result<Verdict, Failure> {
    let closed = error.kind() == ErrorKind::BrokenPipe;
    match !closed && timeout(HANG_UP, interrupt.asked()).await.is_ok() {
        true => Ok(Verdict::Interrupted),
        false => Err(Failure::Io(error)),
    }
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
        Verdict::Closed { missing: None, reason } => {
            context.shell.note(reason);
            Ok(())
        }
        verdict if verdict.is_good() => Ok(()),
        Verdict::Interrupted => Err(Failure::Interrupted),
        verdict => {
            let verdict = Box::new(verdict);
            let whole = ending.report.log_error.is_none();
            Err(MachineFailure::Verdict { verdict, log: ending.log, whole }.into())
        }
    }
}

fn options(attachment: Attachment, shell: &Shell) -> Result<FollowOptions, Failure> {
    let mut options = FollowOptions::default();
    options.expectations = Expectations::new(&attachment.expect, &attachment.fail_on)?;
    options.tap = attachment.tap;
    options.timeout = attachment.timeout;
    options.idle_timeout = attachment.idle_timeout;
    // Who looks at a machine that has long booted is only told.
    options.image = attachment.image.filter(|_| attachment.start == Start::Boot);
    if attachment.start == Start::Boot {
        options.first_output = attachment.first_output;
    }
    options.reboots = attachment.reboots;
    options.start = attachment.start;
    options.end_on_fault = attachment.end_on_fault;
    options.escapes = shell.is_interactive();
    options.undouble = true;
    if attachment.show.record.is_none() {
        options.sequences = shown_sequences(shell);
    }
    Ok(options)
}

/// Shows output that EC2 kept, with what could harm a terminal taken out.
pub fn show_kept(context: &Context, bytes: &[u8]) -> std::io::Result<()> {
    let shell = &context.shell;
    let mut safe = Vec::new();
    Sanitiser::new(shown_sequences(shell)).push(bytes, &mut safe);
    shell.console(&safe)?;
    shell.console_over()
}

/// The control sequences that what reads stdout is to get.
fn shown_sequences(shell: &Shell) -> Sequences {
    match (shell.is_json(), shell.shows_colours()) {
        (false, false) => Sequences::None,
        // What moves the cursor would take a line from behind its name, and others' with it.
        (false, true) if shell.is_one_of_several() => Sequences::Colours,
        _ => Sequences::Harmless,
    }
}

/// Who gets what is typed: the console that was attached last.
static TYPED_TO: Mutex<Option<ControlHandle>> = Mutex::new(None);

/// Hands typed bytes to the console, from a terminal if it is ours now, from anything else
/// only on request: it belongs to who called, a loop's list for instance. The thread waits in
/// a read that nothing can end, so there is one for all consoles, and it ends with the process.
fn forward_keys(handle: ControlHandle, shell: &Shell, all_input: bool) {
    let wanted = match crate::terminal::is_terminal() {
        true => crate::terminal::may_read() && !shell.is_one_of_several(),
        false => all_input,
    };
    if !wanted {
        return;
    }
    let typed_to = || TYPED_TO.lock().unwrap_or_else(PoisonError::into_inner);
    if typed_to().replace(handle).is_some() {
        return;
    }
    std::thread::spawn(move || {
        let mut buffer = [0; 1024];
        while let Ok(count) = std::io::stdin().read(&mut buffer) {
            if count == 0 {
                return;
            }
            if let Some(handle) = &*typed_to() {
                handle.typed(buffer[..count].to_vec());
            }
        }
    });
}

/// Where the console and what is said about it go.
struct Screen {
    shell: Arc<Shell>,
    /// The line that stands until the first output comes.
    waiting: ProgressBar,
    show: Shown,
    leaving: Leaving,
    /// It was told that there is no live console.
    polled: bool,
    booted: Arc<AtomicBool>,
    broken: Option<std::io::Error>,
    /// For stdout, where a recording gets more sequences than it.
    stdout: Option<Sanitiser>,
}

impl Screen {
    fn new(context: &Context, console: &Console, attachment: &Attachment) -> Result<Self, Failure> {
        let shell = context.shell.clone();
        let usual = console.usual_wait.map(|usual| {
            let minutes = usual.as_secs().div_ceil(60);
            format!(", which usually takes {minutes} min")
        });
        let text =
            format!("for the first output of {}{}", console.title, usual.unwrap_or_default());
        let sequences = shown_sequences(&shell);
        let gets_fewer = attachment.show.record.is_some() && sequences != Sequences::Harmless;
        let stdout = gets_fewer.then(|| Sanitiser::new(sequences));
        Ok(Self {
            waiting: shell.progress().waiting("Waiting", text),
            shell,
            show: attachment.show.begin(context, &console.title)?,
            leaving: attachment.leaving,
            polled: false,
            booted: attachment.booted.clone(),
            broken: None,
            stdout,
        })
    }

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
        if !self.waiting.is_finished() {
            self.waiting.finish_and_clear();
        }
        let mut stamped = Vec::new();
        let (safe, failed) = self.show.output(safe, &mut stamped);
        if let Some(error) = failed {
            shell.warn(error);
        }
        let shown = match &mut self.stdout {
            Some(sanitiser) => {
                let mut shown = Vec::new();
                sanitiser.push(safe, &mut shown);
                shell.console(&shown)
            }
            None => shell.console(safe),
        };
        self.kept(shown)
    }

    fn event(&mut self, event: Event) {
        let shell = self.shell.clone();
        match event {
            Event::PhaseReached { phase, at } => {
                if let Some(error) = self.show.phase(phase) {
                    shell.warn(error);
                }
                shell.phase(phase.name());
                self.booted.fetch_or(phase >= Phase::Bootstrap, Ordering::Relaxed);
                let result =
                    shell.json("phase", &json!({ "phase": phase, "at_s": at.as_secs_f64() }));
                let _ = self.kept(result);
            }
            Event::Expected { pattern, .. } => {
                let _ = self.kept(shell.json("expected", &json!({ "pattern": pattern })));
            }
            Event::Hint { phase, waited, text } => {
                let phase = phase.map_or("start", |phase| phase.name());
                shell.note(format_args!("stuck in {phase} for {} s: {text}", waited.as_secs()));
            }
            Event::Gap(gap) => {
                shell.note(gap);
                let _ = self.kept(shell.json("gap", &gap));
            }
            Event::Notice(Notice::GapSized { bytes }) => {
                let missing = match usize::try_from(bytes).unwrap_or(usize::MAX) {
                    0 => "nothing".to_owned(),
                    bytes => count(bytes, "byte"),
                };
                shell.note(format_args!("missing at the gap above: {missing}"));
                let _ = self.kept(shell.json("gap-sized", &json!({ "bytes": bytes })));
            }
            Event::Notice(Notice::Connected) if self.polled => {
                self.polled = false;
                shell.note("the console is live now");
            }
            Event::Notice(Notice::Connected) => shell.detail("Attached", "live console"),
            Event::Notice(Notice::Reconnecting { reason }) => {
                shell.detail("Attaching", format_args!("again: {reason}"));
            }
            Event::Notice(Notice::PolledOnly { reason }) => {
                self.polled = true;
                shell.note(format_args!("the console is polled, not live: {reason}"));
            }
            Event::Fault(fault) if !fault.kind.is_final() => shell.warn(fault.explanation),
            Event::LogFailed(error) => shell.warn(error),
            Event::InputLost { reason } | Event::Notice(Notice::InputLost { reason }) => {
                shell.warn(format_args!("typed in vain: {reason}"));
            }
            Event::HelpWanted => {
                let _ = self.kept(shell.console(help(self.leaving).as_bytes()));
            }
            _ => {}
        }
    }
}
