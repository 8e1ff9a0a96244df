//! All output of the command: people on stderr, results or JSON lines on stdout.
//!
//! This is the only file that writes to either. Status lines have cargo's shape (a verb,
//! right-aligned to twelve columns, then what it is about). A closed stdout is
//! [`std::io::ErrorKind::BrokenPipe`], which `main` ends on quietly.

mod diagnostic;
mod harmless;
mod machine;
mod progress;
#[cfg(feature = "cloud")]
mod prompt;
mod table;
mod words;
mod wrap;

use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anstream::{AutoStream, ColorChoice};
use anstyle::Style;
use clap_cargo::style;
use serde::Serialize;

pub use self::diagnostic::{Diagnostic, Place};
use self::harmless::{harmless, harmless_but_styles, harmless_json};
use self::machine::Machine;
pub use self::progress::Progress;
pub use self::table::Table;
pub use self::words::{count, words};
pub use self::wrap::wrapped;

/// Version of the JSON lines; it rises when a reader of the old ones would misread them.
const FORMAT_VERSION: u32 = 1;

/// How results are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum MessageFormat {
    // No text of help, so that `--help` is as short as `-h`: text for people.
    #[default]
    Human,
    // One JSON object a line; the first carries `format_version`.
    Json,
}

/// How much is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    /// Errors only.
    Quiet,
    /// Status lines.
    Normal,
    /// Also what is run and why.
    Verbose,
}

/// What the flags and the environment say about output.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// How much is said.
    pub verbosity: Verbosity,
    /// How results are written.
    pub format: MessageFormat,
    /// Colour, if a flag or `CARGO_TERM_COLOR` decides it.
    pub color: ColorChoice,
    /// Whether bars may be drawn at all (`CARGO_TERM_PROGRESS_WHEN`, CI).
    pub progress: bool,
    /// Columns for bars, if not the terminal's (`CARGO_TERM_PROGRESS_WIDTH`).
    pub progress_width: Option<u16>,
}

/// The writer. Its clones write to the same places.
#[derive(Debug, Clone)]
pub struct Shell {
    options: Options,
    streams: Arc<Streams>,
    progress: Progress,
    /// For one of several machines: which one.
    machine: Option<Arc<Machine>>,
}

#[derive(Debug)]
struct Streams {
    stderr: Mutex<AutoStream<std::io::Stderr>>,
    stdout: Mutex<AutoStream<std::io::Stdout>>,
    json_started: AtomicBool,
    /// The console stopped in the middle of a line.
    midline: AtomicBool,
    /// The console may have changed colours, or hidden the cursor.
    tinted: AtomicBool,
    /// stdout and stderr are one file: a pipe, or the log of a CI job.
    joined: bool,
}

impl Shell {
    /// A shell on this process's stdout and stderr.
    pub fn new(options: Options) -> Self {
        let draws = options.progress
            && options.verbosity > Verbosity::Quiet
            && options.format == MessageFormat::Human
            && std::io::stderr().is_terminal();
        Self {
            options,
            streams: Arc::new(Streams {
                stderr: Mutex::new(AutoStream::new(std::io::stderr(), options.color)),
                stdout: Mutex::new(AutoStream::new(std::io::stdout(), options.color)),
                json_started: AtomicBool::new(false),
                midline: AtomicBool::new(false),
                tinted: AtomicBool::new(false),
                joined: is_same_file(rustix::stdio::stdout(), rustix::stdio::stderr()),
            }),
            progress: Progress::new(
                draws,
                options.progress_width.or_else(|| columns(rustix::stdio::stderr())),
            ),
            machine: None,
        }
    }

    /// A shell for one of several machines: what it does is on a live line of its own, what it
    /// has to say carries its name. Its console is put out, by lines, or only on the live line.
    pub fn of_machine(&self, name: &str, width: usize, shows_console: bool) -> Self {
        let machine = Machine::new(name, width, shows_console, &self.progress);
        Self { machine: Some(Arc::new(machine)), ..self.clone() }
    }

    /// A shell for one of several consoles, each line of which carries its name.
    pub fn of_console(&self, name: &str, width: usize) -> Self {
        let machine = Machine::new(name, width, true, &Progress::hidden());
        Self { machine: Some(Arc::new(machine)), ..self.clone() }
    }

    /// Whether results are JSON lines.
    pub fn is_json(&self) -> bool {
        self.options.format == MessageFormat::Json
    }

    /// Whether `-v` was given.
    pub fn is_verbose(&self) -> bool {
        self.options.verbosity == Verbosity::Verbose
    }

    /// Whether stdout is a terminal.
    pub fn stdout_is_terminal(&self) -> bool {
        std::io::stdout().is_terminal()
    }

    /// Width for text: the terminal's, also behind a pager, at most what reads well.
    pub fn width(&self) -> u16 {
        const READABLE: u16 = 100;
        let columns = self.columns().or_else(|| columns(rustix::stdio::stderr()));
        columns.map_or(READABLE, |columns| columns.clamp(40, READABLE))
    }

    /// Columns of the terminal that results go to, if it is one.
    pub fn columns(&self) -> Option<u16> {
        columns(rustix::stdio::stdout())
    }

    /// A result with a head in front; on a terminal its text goes on below itself.
    pub fn paragraph(&self, head: &str, text: &str) -> std::io::Result<()> {
        let indent = head.chars().count();
        match self.columns() {
            Some(columns) => {
                let width = usize::from(columns).saturating_sub(indent);
                let lines = wrapped(text, 0, width).replace('\n', &format!("\n{:indent$}", ""));
                self.result(format_args!("{head}{lines}"))
            }
            None => self.result(format_args!("{head}{text}")),
        }
    }

    /// A table on stdout; a narrow terminal gets it without the columns in `least`, as many of
    /// them as it has no room for, the first ones first.
    pub fn table(&self, mut table: Table, least: &[&str]) -> std::io::Result<()> {
        if let Some(columns) = self.columns() {
            table.narrow_to(columns, least);
        }
        self.result(table)
    }

    /// Whether colours are to be shown on stdout.
    pub fn shows_colours(&self) -> bool {
        let stdout = self.streams.stdout.lock().unwrap_or_else(PoisonError::into_inner);
        stdout.current_choice() != ColorChoice::Never
    }

    /// Whether a person sits at both ends: keys come from a terminal and the console goes
    /// to one.
    pub fn is_interactive(&self) -> bool {
        let terminals = std::io::stdin().is_terminal() && self.stdout_is_terminal();
        terminals && !self.is_json() && self.machine.is_none()
    }

    /// Whether this speaks for one of several machines, none of which takes keys.
    pub fn is_one_of_several(&self) -> bool {
        self.machine.is_some()
    }

    /// The bars.
    pub fn progress(&self) -> &Progress {
        self.machine.as_ref().map_or(&self.progress, |machine| &machine.no_bars)
    }

    /// A boot has come to a phase.
    pub fn phase(&self, phase: &'static str) {
        if let Some(machine) = &self.machine {
            machine.phase(phase);
            self.detail("Booting", phase);
        }
    }

    /// A status line, such as `   Uploading hello (1.5 MiB)`.
    pub fn status(&self, verb: &str, text: impl std::fmt::Display) {
        if let Some(machine) = &self.machine {
            machine.doing(format_args!("{verb} {text}"));
            return self.detail(verb, text);
        }
        if self.options.verbosity > Verbosity::Quiet {
            self.tell(verb, style::HEADER, text);
        }
    }

    /// A status line that only `-v` shows.
    pub fn detail(&self, verb: &str, text: impl std::fmt::Display) {
        if self.is_verbose() {
            self.tell(verb, style::NOTE, text);
        }
    }

    /// A warning; `-q` hides it, as cargo does.
    pub fn warn(&self, text: impl std::fmt::Display) {
        self.label("warning", style::WARN, text);
    }

    /// A remark that goes with what was said before.
    pub fn note(&self, text: impl std::fmt::Display) {
        self.label("note", style::NOTE, text);
    }

    /// What to type next.
    pub fn help(&self, text: impl std::fmt::Display) {
        self.label("help", style::TRANSIENT, text);
    }

    /// An error, shaped as rustc's.
    pub fn error(&self, diagnostic: &Diagnostic) {
        let text = diagnostic.render();
        self.on_stderr(|stderr| writeln!(stderr, "{}", text.trim_end()));
        if self.is_json() {
            // The error's own end is reported by the exit code; a closed pipe adds nothing.
            let _ = self.json("error", diagnostic);
        }
    }

    /// Bytes of a tool's own output, unaltered, so that `file:line:col` stays clickable.
    pub fn passthrough(&self, bytes: &[u8]) {
        if self.options.verbosity > Verbosity::Quiet {
            self.on_stderr(|stderr| stderr.write_all(bytes));
        }
    }

    /// A result for people: a line on stdout, unless results are JSON.
    pub fn result(&self, text: impl std::fmt::Display) -> std::io::Result<()> {
        if self.is_json() {
            return Ok(());
        }
        let text = text.to_string();
        self.on_stdout(|stdout| writeln!(stdout, "{}", harmless_but_styles(&text)))
    }

    /// A result for programs: a JSON line on stdout, if results are JSON.
    pub fn json(&self, reason: &str, value: &impl Serialize) -> std::io::Result<()> {
        self.start()?;
        if !self.is_json() {
            return Ok(());
        }
        let mut object = serde_json::Map::from_iter([("reason".to_owned(), reason.into())]);
        if let Some(machine) = &self.machine {
            object.insert("run".to_owned(), machine.name.as_str().into());
        }
        match serde_json::to_value(value)? {
            serde_json::Value::Object(fields) => object.extend(fields),
            other => drop(object.insert("value".to_owned(), other)),
        }
        let line = harmless_json(format!("{}\n", serde_json::Value::Object(object)));
        self.on_stdout(|stdout| stdout.write_all(line.as_bytes()))
    }

    /// Says that results begin: the first line, if they are JSON.
    pub fn start(&self) -> std::io::Result<()> {
        if !self.is_json() || self.streams.json_started.swap(true, Ordering::Relaxed) {
            return Ok(());
        }
        let first = serde_json::json!({
            "reason": "start",
            "format_version": FORMAT_VERSION,
            "version": env!("CARGO_PKG_VERSION"),
        });
        let line = format!("{first}\n");
        self.on_stdout(|stdout| stdout.write_all(line.as_bytes()))
    }

    /// Bytes of an instance's console, as they are to be shown.
    pub fn console(&self, bytes: &[u8]) -> std::io::Result<()> {
        if let Some(machine) = &self.machine {
            let lines = machine.console(bytes);
            if !machine.shows_console {
                return Ok(());
            }
            if !self.is_json() {
                return self.on_stdout(|stdout| stdout.write_all(&lines));
            }
        }
        if self.is_json() {
            let text = String::from_utf8_lossy(bytes);
            return self.json("console", &serde_json::json!({ "text": text }));
        }
        self.progress.pause();
        if let Some(last) = bytes.last() {
            self.streams.midline.store(*last != b'\n', Ordering::Relaxed);
        }
        // Without colours no sequence comes so far: nothing is to be looked for.
        let tinted = &self.streams.tinted;
        if !tinted.load(Ordering::Relaxed) && self.shows_colours() && bytes.contains(&b'\x1b') {
            tinted.store(true, Ordering::Relaxed);
        }
        // In one piece, past the stream that would look at each byte for colours.
        self.on_stdout(|stdout| stdout.as_inner().write_all(bytes))
    }

    /// Nothing more will be said of the machine: its live line goes.
    pub fn end_of_machine(&self) {
        if let Some(machine) = &self.machine {
            machine.end();
        }
    }

    /// A console is at its end.
    pub fn console_over(&self) -> std::io::Result<()> {
        match &self.machine {
            Some(machine) if !self.is_json() => {
                let line = machine.last_line();
                self.on_stdout(|stdout| stdout.write_all(&line))
            }
            Some(_) => Ok(()),
            None => {
                self.progress.resume();
                match self.streams.tinted.swap(false, Ordering::Relaxed) {
                    true => self.on_stdout(|stdout| stdout.as_inner().write_all(UNTINTED)),
                    false => Ok(()),
                }
            }
        }
    }

    /// Takes back what a console did to the terminal, before others use it. Waits for nobody:
    /// what stdout is busy with may never end.
    pub fn untint(&self) {
        if self.streams.tinted.load(Ordering::Relaxed)
            && self.stdout_is_terminal()
            && let Ok(stdout) = self.streams.stdout.try_lock()
        {
            let mut stdout = stdout.as_inner();
            // A terminal that is gone has nothing to be taken back.
            let _ = stdout.write_all(UNTINTED).and_then(|()| stdout.flush());
        }
    }

    /// Raw text on stdout whatever the format: scripts, completions, manuals.
    pub fn raw(&self, bytes: &[u8]) -> std::io::Result<()> {
        self.on_stdout(|stdout| stdout.write_all(bytes))
    }

    fn tell(&self, verb: &str, style: Style, text: impl std::fmt::Display) {
        let of = self.machine.as_ref().map(|machine| format!("{}: ", machine.name));
        let text = format!("{}{text}", of.unwrap_or_default());
        let text = harmless(&text);
        self.on_stderr(|stderr| writeln!(stderr, "{style}{verb:>12}{style:#} {text}"));
    }

    fn label(&self, label: &str, style: Style, text: impl std::fmt::Display) {
        if self.options.verbosity > Verbosity::Quiet {
            let bold = anstyle::Style::new().bold();
            let of = self.machine.as_ref().map(|machine| format!("{}: ", machine.name));
            let text = format!("{}{text}", of.unwrap_or_default());
            let text = harmless(&text);
            self.on_stderr(|stderr| {
                writeln!(stderr, "{style}{label}{style:#}{bold}:{bold:#} {text}")
            });
        }
    }

    /// Writes to stderr with the bars out of the way. Errors have nowhere to be told.
    fn on_stderr(
        &self,
        write: impl FnOnce(&mut AutoStream<std::io::Stderr>) -> std::io::Result<()>,
    ) {
        self.end_console_line();
        self.progress.suspend(|| {
            let mut stderr = self.streams.stderr.lock().unwrap_or_else(PoisonError::into_inner);
            let _ = write(&mut stderr);
        });
    }

    fn on_stdout(
        &self,
        write: impl FnOnce(&mut AutoStream<std::io::Stdout>) -> std::io::Result<()>,
    ) -> std::io::Result<()> {
        self.progress.suspend(|| {
            let mut stdout = self.streams.stdout.lock().unwrap_or_else(PoisonError::into_inner);
            let written = write(&mut stdout).and_then(|()| stdout.flush());
            written.map_err(|error| std::io::Error::new(error.kind(), format!("stdout: {error}")))
        })
    }

    /// A console that stopped in the middle of a line must not swallow the next status line.
    fn end_console_line(&self) {
        if !self.streams.midline.swap(false, Ordering::Relaxed) {
            return;
        }
        let end = match self.stdout_is_terminal() {
            true => "\r\n",
            false if self.streams.joined => "\n",
            false => return,
        };
        let _ = self.on_stdout(|stdout| stdout.write_all(end.as_bytes()));
    }
}

/// Colours off, the cursor shown.
const UNTINTED: &[u8] = b"\x1b[0m\x1b[?25h";

/// Whether what is written to the two lands in the same place.
fn is_same_file(one: impl std::os::fd::AsFd, other: impl std::os::fd::AsFd) -> bool {
    let place = |stream| rustix::fs::fstat(stream).map(|file| (file.st_dev, file.st_ino));
    matches!((place(one.as_fd()), place(other.as_fd())), (Ok(one), Ok(other)) if one == other)
}

/// Columns of a stream, if it is a terminal.
fn columns(stream: impl std::os::fd::AsFd) -> Option<u16> {
    let size = rustix::termios::tcgetwinsize(stream);
    size.ok().map(|size| size.ws_col).filter(|columns| *columns > 0)
}

/// Shows what the libraries trace, on stderr, as a filter such as `debug` says.
pub fn trace(filter: Option<&str>) {
    if let Some(filter) = filter {
        let filter = tracing_subscriber::EnvFilter::new(filter);
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    }
}
