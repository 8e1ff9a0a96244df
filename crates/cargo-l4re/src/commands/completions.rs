//! `cargo l4re completions SHELL`: a completion script on stdout.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::Context;
use crate::arguments::Cli;
use crate::failure::Failure;

/// Arguments of `completions`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The shell
    shell: Shell,
}

/// Runs `completions`.
pub fn completions(context: &Context, arguments: &Arguments) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), "cargo-l4re", &mut script);
    Ok(context.shell.raw(&script)?)
}
