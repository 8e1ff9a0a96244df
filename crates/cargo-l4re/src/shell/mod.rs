//! All output of the command: people on stderr, results or JSON lines on stdout.
//!
//! This is the only file that writes to either. Status lines have cargo's shape (a verb,
//! right-aligned to twelve columns, then what it is about). A closed stdout is
//! [`std::io::ErrorKind::BrokenPipe`], which `main` ends on quietly.

mod diagnostic;
mod progress;
#[cfg(feature = "cloud")]
mod prompt;
mod table;
mod words;

use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use anstream::{AutoStream, ColorChoice};
use anstyle::Style;
use clap_cargo::style;
use serde::Serialize;

pub use self::diagnostic::{Diagnostic, Place};
pub use self::progress::Progress;
pub use self::table::Table;
pub use self::words::words;

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
}

/// The writer.
#[derive(Debug)]
pub struct Shell {
    options: Options,
    stderr: Mutex<AutoStream<std::io::Stderr>>,
    stdout: Mutex<AutoStream<std::io::Stdout>>,
    progress: Progress,
    json_started: AtomicBool,
    midline: AtomicBool,
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
            stderr: Mutex::new(AutoStream::new(std::io::stderr(), options.color)),
            stdout: Mutex::new(AutoStream::new(std::io::stdout(), options.color)),
            progress: Progress::new(draws),
            json_started: AtomicBool::new(false),
            midline: AtomicBool::new(false),
        }
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

    /// Width for text: the terminal's, at most what reads well.
    pub fn width(&self) -> u16 {
        const READABLE: u16 = 100;
        let size = rustix::termios::tcgetwinsize(rustix::stdio::stdout());
        size.map_or(READABLE, |size| size.ws_col.clamp(40, READABLE))
    }

    /// Whether colours are to be shown on stdout.
    pub fn shows_colours(&self) -> bool {
        let stdout = self.stdout.lock().unwrap_or_else(PoisonError::into_inner);
        stdout.current_choice() != ColorChoice::Never
    }

    /// Whether a person sits at both ends: keys come from a terminal and the console goes
    /// to one.
    pub fn is_interactive(&self) -> bool {
        std::io::stdin().is_terminal() && self.stdout_is_terminal() && !self.is_json()
    }

    /// The bars.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// A status line, such as `   Uploading hello (1.5 MiB)`.
    pub fn status(&self, verb: &str, text: impl std::fmt::Display) {
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
        self.on_stdout(|stdout| writeln!(stdout, "{text}"))
    }

    /// A result for programs: a JSON line on stdout, if results are JSON.
    pub fn json(&self, reason: &str, value: &impl Serialize) -> std::io::Result<()> {
        if !self.is_json() {
            return Ok(());
        }
        let mut lines = String::new();
        if !self.json_started.swap(true, Ordering::Relaxed) {
            let first = serde_json::json!({
                "reason": "start",
                "format_version": FORMAT_VERSION,
                "version": env!("CARGO_PKG_VERSION"),
            });
            lines.push_str(&format!("{first}\n"));
        }
        let mut object = serde_json::Map::from_iter([("reason".to_owned(), reason.into())]);
        match serde_json::to_value(value)? {
            serde_json::Value::Object(fields) => object.extend(fields),
            other => drop(object.insert("value".to_owned(), other)),
        }
        lines.push_str(&format!("{}\n", serde_json::Value::Object(object)));
        self.on_stdout(|stdout| stdout.write_all(lines.as_bytes()))
    }

    /// Bytes of an instance's console, as they are to be shown.
    pub fn console(&self, bytes: &[u8]) -> std::io::Result<()> {
        if let Some(last) = bytes.last() {
            self.midline.store(*last != b'\n', Ordering::Relaxed);
        }
        self.progress.suspend(|| {
            let stdout = self.stdout.lock().unwrap_or_else(PoisonError::into_inner);
            // In one piece, past the stream that would look at each byte for colours.
            let mut stdout = stdout.as_inner();
            stdout.write_all(bytes)?;
            stdout.flush()
        })
    }

    /// Raw text on stdout whatever the format: scripts, completions, manuals.
    pub fn raw(&self, bytes: &[u8]) -> std::io::Result<()> {
        self.on_stdout(|stdout| stdout.write_all(bytes))
    }

    fn tell(&self, verb: &str, style: Style, text: impl std::fmt::Display) {
        self.on_stderr(|stderr| writeln!(stderr, "{style}{verb:>12}{style:#} {text}"));
    }

    fn label(&self, label: &str, style: Style, text: impl std::fmt::Display) {
        if self.options.verbosity > Verbosity::Quiet {
            let bold = anstyle::Style::new().bold();
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
            let mut stderr = self.stderr.lock().unwrap_or_else(PoisonError::into_inner);
            let _ = write(&mut stderr);
        });
    }

    fn on_stdout(
        &self,
        write: impl FnOnce(&mut AutoStream<std::io::Stdout>) -> std::io::Result<()>,
    ) -> std::io::Result<()> {
        self.progress.suspend(|| {
            let mut stdout = self.stdout.lock().unwrap_or_else(PoisonError::into_inner);
            write(&mut stdout)?;
            stdout.flush()
        })
    }

    /// A console that stopped in the middle of a line must not swallow the next status line.
    fn end_console_line(&self) {
        if self.midline.swap(false, Ordering::Relaxed) && self.stdout_is_terminal() {
            let _ = self.on_stdout(|stdout| stdout.write_all(b"\r\n"));
        }
    }
}

/// Shows what the libraries trace, on stderr, as a filter such as `debug` says.
pub fn trace(filter: Option<&str>) {
    if let Some(filter) = filter {
        let filter = tracing_subscriber::EnvFilter::new(filter);
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    }
}
