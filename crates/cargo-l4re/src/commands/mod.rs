//! One file per command: its arguments and the function that carries it out.
//!
//! Here: what they share ([`Context`]), and the way from the command line to an exit code.

pub mod build;
pub mod completions;
pub mod disk;
pub mod entries;
pub mod flags;
pub mod help;
pub mod init;
pub mod inspect;
#[cfg(feature = "cloud")]
pub mod machine;
pub mod man;
pub mod report;
pub mod settings;

use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use anstream::ColorChoice;
use tokio::runtime::{Builder, Runtime};

use crate::arguments::{Cli, Command, Global};
use crate::complete;
use crate::environment::Environment;
use crate::failure::Failure;
use crate::interrupt::Interrupt;
use crate::settings::{Settings, SettingsError, Sources};
use crate::shell::{Diagnostic, Options, Shell, Verbosity};

/// What every command works with.
#[derive(Debug, Clone)]
pub struct Context {
    /// The process's surroundings.
    pub environment: Environment,
    /// All settings.
    pub settings: Settings,
    /// Output.
    pub shell: Arc<Shell>,
    /// The flags of every command.
    pub global: Global,
    /// What leads another command to the end that this one talks to; known once it connects.
    pub end: Arc<Mutex<String>>,
    /// What is cleaned up behind what was left early.
    #[cfg(feature = "cloud")]
    pub unfinished: l4re_cloud::Unfinished,
}

impl Context {
    /// Runs `work` with a runtime entered and Ctrl-C watched. What then still waits on a
    /// thread (a read of stdin) is left to the end of the process.
    pub fn with_runtime<T>(
        &self,
        work: impl FnOnce(&Runtime, &Interrupt) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let result = {
            let _entered = runtime.enter();
            let interrupt = Interrupt::watch(self.shell.clone())?;
            let result = work(&runtime, &interrupt);
            #[cfg(feature = "cloud")]
            runtime.block_on(self.unfinished.finish());
            result
        };
        runtime.shutdown_background();
        result
    }

    /// The same with its settings read again.
    pub fn again(&self) -> Result<Arc<Self>, Failure> {
        let settings = read_settings(&self.environment, &self.global)?;
        Ok(Arc::new(Self { settings, ..self.clone() }))
    }

    /// The same with other output.
    pub fn with_shell(&self, shell: Shell) -> Arc<Self> {
        Arc::new(Self { shell: Arc::new(shell), ..self.clone() })
    }

    /// What leads another command to the end that this one talks to: ` --local`, or nothing.
    pub fn end(&self) -> String {
        self.end.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes the words that do.
    pub fn lead_to(&self, words: &[String]) {
        let flags = match words.is_empty() {
            true => String::new(),
            false => format!(" {}", crate::shell::words(words)),
        };
        *self.end.lock().unwrap_or_else(PoisonError::into_inner) = flags;
    }

    /// The folder for downloads.
    pub fn cache(&self) -> Result<camino::Utf8PathBuf, Failure> {
        self.environment.cache_dir().ok_or(Failure::NoHome)
    }
}

/// The whole program: reads the command line, carries it out, tells what went wrong.
pub fn main() -> ExitCode {
    if complete::answered() {
        return ExitCode::SUCCESS;
    }
    let environment = match Environment::read() {
        Ok(environment) => environment,
        Err(error) => return tell(&Shell::new(plain_options()), &Failure::Io(error), ""),
    };
    let cli = Cli::read(match color(None, &environment) {
        ColorChoice::Always | ColorChoice::AlwaysAnsi => clap::ColorChoice::Always,
        ColorChoice::Never => clap::ColorChoice::Never,
        ColorChoice::Auto => clap::ColorChoice::Auto,
    });
    let shell = Arc::new(Shell::new(options(&cli.global, &environment)));
    crate::shell::trace(environment.get("CARGO_L4RE_LOG"));
    let end = Arc::new(Mutex::new(String::new()));
    match carry_out(cli, environment, &shell, &end) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => tell(&shell, &failure, &end.lock().unwrap_or_else(PoisonError::into_inner)),
    }
}

fn carry_out(
    cli: Cli,
    environment: Environment,
    shell: &Arc<Shell>,
    end: &Arc<Mutex<String>>,
) -> Result<(), Failure> {
    let Cli { global, command } = cli;
    #[cfg(feature = "cloud")]
    if let Command::Machine(command) = &command
        && let Some(result) = command.at_once()
    {
        return result;
    }
    if let Some(done) = without_settings(&command, &environment, shell) {
        return done;
    }
    shell.start()?;
    let (mut settings, problem) = match read_settings(&environment, &global) {
        Ok(settings) => (settings, None),
        // What is wrong with them is then just what is to be reported.
        Err(error) if matches!(command, Command::Report(_)) => (Settings::default(), Some(error)),
        // What `init` has added may be what is wrong with them.
        Err(_) if matches!(&command, Command::Init(init) if init.undo) => {
            (Settings::default(), None)
        }
        Err(error) => return Err(error.into()),
    };
    #[cfg(feature = "cloud")]
    if let Command::Machine(command) = &command {
        command.declare(&mut settings, &environment);
    }
    let (shell, end) = (shell.clone(), end.clone());
    let context = Arc::new(Context {
        environment,
        settings,
        shell,
        global,
        end,
        #[cfg(feature = "cloud")]
        unfinished: l4re_cloud::Unfinished::default(),
    });
    match &command {
        Command::Efiimage(arguments) => build::build(&context, arguments, l4re_image::Kind::Efi),
        Command::Elfimage(arguments) => build::build(&context, arguments, l4re_image::Kind::Elf),
        Command::Entries(arguments) => entries::entries(&context, arguments),
        Command::Inspect(arguments) => inspect::inspect(&context, arguments),
        Command::Disk(arguments) => disk::disk(&context, arguments),
        #[cfg(feature = "cloud")]
        Command::Machine(command) => command.carry_out(&context),
        Command::Init(arguments) => init::init(&context, arguments),
        Command::Report(arguments) => report::report(&context, arguments, problem.as_ref()),
        Command::Settings(arguments) => settings::settings(&context, arguments),
        // These are carried out already.
        Command::Completions(_) | Command::Man(_) | Command::Help(_) => Ok(()),
    }
}

fn read_settings(environment: &Environment, global: &Global) -> Result<Settings, SettingsError> {
    let sources = Sources {
        config: &global.config,
        manifest: global.manifest_path.as_deref(),
        package: global.package.as_deref(),
        arch: global.arch,
    };
    Settings::read(environment, &sources)
}

/// Carries out what must work also where settings are wrong.
fn without_settings(
    command: &Command,
    environment: &Environment,
    shell: &Shell,
) -> Option<Result<(), Failure>> {
    match command {
        Command::Completions(arguments) => Some(completions::completions(shell, arguments)),
        Command::Man(arguments) => Some(man::man(environment, shell, arguments)),
        Command::Help(arguments) => Some(help::help(shell, arguments)),
        Command::Settings(arguments) if arguments.schema => Some(settings::schema(shell)),
        _ => None,
    }
}

/// Shows a failure and turns it into the process's exit code.
fn tell(shell: &Shell, failure: &Failure, end: &str) -> ExitCode {
    if failure.is_closed_pipe() {
        return ExitCode::SUCCESS;
    }
    let diagnostic: Diagnostic = failure.diagnostic(end);
    if !failure.is_told() {
        shell.error(&diagnostic);
    }
    ExitCode::from(diagnostic.code)
}

/// Output as the flags and Cargo's own variables want it.
fn options(global: &Global, environment: &Environment) -> Options {
    let variable = |name: &str| environment.get(name);
    let verbosity = match (global.quiet, global.verbose) {
        (true, _) => Verbosity::Quiet,
        (_, true) => Verbosity::Verbose,
        _ if variable("CARGO_TERM_QUIET") == Some("true") => Verbosity::Quiet,
        _ if variable("CARGO_TERM_VERBOSE") == Some("true") => Verbosity::Verbose,
        _ => Verbosity::Normal,
    };
    let progress = match variable("CARGO_TERM_PROGRESS_WHEN") {
        Some("never") => false,
        Some("always") => true,
        _ => !environment.is_ci() && variable("TERM") != Some("dumb"),
    };
    let progress_width = variable("CARGO_TERM_PROGRESS_WIDTH").and_then(|width| width.parse().ok());
    let color = color(global.color, environment);
    Options { verbosity, format: global.message_format, color, progress, progress_width }
}

/// Colour as the flag, else Cargo's variable, else everybody's wants it.
fn color(flag: Option<clap::ColorChoice>, environment: &Environment) -> ColorChoice {
    let named = flag.map(|choice| match choice {
        clap::ColorChoice::Auto => "auto",
        clap::ColorChoice::Always => "always",
        clap::ColorChoice::Never => "never",
    });
    match named.or(environment.get("CARGO_TERM_COLOR")) {
        Some("always") => ColorChoice::Always,
        Some("never") => ColorChoice::Never,
        _ if environment.get("NO_COLOR").is_some() => ColorChoice::Never,
        // `CLICOLOR`, `CLICOLOR_FORCE` and terminals are looked at by the streams themselves.
        _ => ColorChoice::Auto,
    }
}

/// Output before anything is known.
fn plain_options() -> Options {
    Options {
        verbosity: Verbosity::Normal,
        format: crate::shell::MessageFormat::Human,
        color: ColorChoice::Auto,
        progress: false,
        progress_width: None,
    }
}
