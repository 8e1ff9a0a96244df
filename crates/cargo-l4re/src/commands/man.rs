//! `cargo l4re man [COMMAND]`: manual pages, on stdout or as files.

use camino::Utf8PathBuf;
use clap::{Args, CommandFactory};
use clap_complete::engine::ArgValueCompleter;

use crate::arguments::Cli;
use crate::complete;
use crate::environment::Environment;
use crate::failure::Failure;
use crate::manual;
use crate::shell::Shell;

/// Arguments of `man`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// A command (with its subcommand) instead of the whole
    #[arg(value_name = "COMMAND", add = ArgValueCompleter::new(complete::commands))]
    words: Vec<String>,
    /// Write the pages of all commands into this folder
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath, conflicts_with = "words")]
    to: Option<Utf8PathBuf>,
}

/// Runs `man`.
pub fn man(environment: &Environment, shell: &Shell, arguments: &Arguments) -> Result<(), Failure> {
    let mut command = Cli::command();
    command.build();
    if let Some(folder) = &arguments.to {
        let folder = environment.folder().join(folder);
        fs_err::create_dir_all(&folder)?;
        let pages = manual::pages(&command)?;
        for page in &pages {
            fs_err::write(folder.join(&page.file), &page.text)?;
        }
        shell.status("Wrote", format_args!("{} pages to {folder}", pages.len()));
        return Ok(());
    }
    let mut found = &command;
    for word in &arguments.words {
        let unknown =
            || Failure::Usage(format!("no command `{word}`; `cargo l4re help` lists all"));
        found = found.find_subcommand(word).ok_or_else(unknown)?;
    }
    Ok(shell.raw(&manual::roff(found)?.text)?)
}
