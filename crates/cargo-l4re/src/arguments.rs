//! The command line: flags that hold for every command, and the list of commands.
//!
//! Each command's own arguments stand beside its function in `commands/`. Flags before the
//! name never arrive from Cargo, so the ones that Cargo has are here again.

use camino::Utf8PathBuf;
use clap::{Args, ColorChoice, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use clap_complete::engine::ArgValueCompleter;
use l4re_image::Arch;

use crate::commands;
use crate::complete;
use crate::shell::MessageFormat;

/// From an L4Re build tree to a running, watched and surely stopped system
#[derive(Debug, Parser)]
#[command(
    name = "cargo-l4re",
    bin_name = "cargo l4re",
    version,
    disable_help_subcommand = true,
    styles = clap_cargo::style::CLAP_STYLING,
    max_term_width = 100,
    after_help = "Exit codes: 0 ok, 1 unexpected, 2 usage, 3 settings, 4 build, 5 image, 6 cloud, \
                  7 expectation failed, 8 time-out, 9 guest crashed or loops, 101 cargo failed, \
                  130 interrupted."
)]
#[cfg_attr(
    not(feature = "cloud"),
    command(before_help = "Built without feature `cloud`: no command that needs a machine.")
)]
pub struct Cli {
    /// Flags of every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Flags of every command.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Common options")]
pub struct Global {
    /// L4Re build tree for this call
    #[arg(long, global = true, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    pub tree: Option<Utf8PathBuf>,
    /// Kernel build tree for this call
    #[arg(long, global = true, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    pub kernel: Option<Utf8PathBuf>,
    /// Architecture, where several build trees are set: amd64, arm64, …
    #[arg(long, global = true, value_name = "ARCH",
        add = ArgValueCompleter::new(complete::arches))]
    pub arch: Option<Arch>,
    /// A setting for this call, or a file of settings
    #[arg(long, global = true, value_name = "KEY=VALUE|FILE")]
    pub config: Vec<String>,
    /// Package whose settings hold
    #[arg(short, long, global = true, value_name = "NAME")]
    pub package: Option<String>,
    /// Path to Cargo.toml
    #[arg(long, global = true, value_name = "PATH", value_hint = clap::ValueHint::FilePath)]
    pub manifest_path: Option<Utf8PathBuf>,
    /// Say only what went wrong
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Say also what is run, and why
    #[arg(short, long, global = true)]
    pub verbose: bool,
    /// Colour
    #[arg(long, global = true, value_name = "WHEN")]
    pub color: Option<ColorChoice>,
    /// How results are written
    #[arg(long, global = true, value_name = "FORMAT", default_value = "human")]
    pub message_format: MessageFormat,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Build an EFI image
    Efiimage(commands::build::Arguments),
    /// Build an ELF image (multiboot on x86)
    Elfimage(commands::build::Arguments),
    /// List the entries that can be built
    Entries(commands::entries::Arguments),
    /// Say what an image is made of, and check it
    Inspect(commands::inspect::Arguments),
    /// Write a disk that UEFI boots
    Disk(commands::disk::Arguments),
    #[cfg(feature = "cloud")]
    #[command(flatten)]
    Machine(Box<commands::machine::Command>),
    /// Write settings and editor tasks for the build trees nearby
    Init(commands::init::Arguments),
    /// Print every setting that holds, and where it comes from
    Settings(commands::settings::Arguments),
    /// Write what a bug report needs: versions, settings, logs, the plan; no secrets
    Report(commands::report::Arguments),
    /// Print what makes a shell complete this command
    Completions(commands::completions::Arguments),
    /// Print the manual page of a command
    Man(commands::man::Arguments),
    /// Help on a command or a topic: settings, environment, exit-codes, boot-chains, …
    Help(commands::help::Arguments),
}

impl Cli {
    /// Reads the command line. Cargo passes the subcommand's own name first; it is dropped.
    ///
    /// What is wrong with it is told in the colour that it asks for, else in `color`.
    pub fn read(color: ColorChoice) -> Self {
        let words: Vec<_> = std::env::args_os().collect();
        let color = asked_color(&words).unwrap_or(color);
        let words = words.into_iter().enumerate();
        let words = words.filter(|(at, word)| *at != 1 || word != "l4re").map(|(_, word)| word);
        let matches = Self::command().color(color).get_matches_from(words);
        Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
    }
}

/// What `--color` says, before anything else is read.
fn asked_color(words: &[std::ffi::OsString]) -> Option<ColorChoice> {
    let mut words = words.iter().filter_map(|word| word.to_str()).take_while(|word| *word != "--");
    let mut value = None;
    while let Some(word) = words.next() {
        match word.strip_prefix("--color") {
            Some("") => value = words.next(),
            Some(rest) if rest.starts_with('=') => value = Some(&rest[1..]),
            _ => {}
        }
    }
    ColorChoice::from_str(value?, true).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn colour_is_found_in_a_line_that_is_wrong() {
        let asked = |line: &str| {
            asked_color(&line.split(' ').map(Into::into).collect::<Vec<std::ffi::OsString>>())
        };
        assert_eq!(asked("cargo-l4re --nope --color always"), Some(ColorChoice::Always));
        assert_eq!(asked("cargo-l4re --color=never --nope"), Some(ColorChoice::Never));
        assert_eq!(asked("cargo-l4re runner a -- --color always"), None);
        assert_eq!(asked("cargo-l4re --color"), None);
    }
}
