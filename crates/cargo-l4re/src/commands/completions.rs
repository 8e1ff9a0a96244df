//! `cargo l4re completions SHELL`: what makes a shell ask us for completions.

use clap::Args;

use crate::complete::{self, Language};
use crate::failure::Failure;
use crate::shell::Shell;

/// Arguments of `completions`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The shell
    shell: Language,
}

/// Runs `completions`.
pub fn completions(shell: &Shell, arguments: &Arguments) -> Result<(), Failure> {
    Ok(shell.raw(&complete::registration(arguments.shell)?)?)
}
