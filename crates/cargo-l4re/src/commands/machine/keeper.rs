//! `cargo l4re keeper`: what `test` and `test-starter` start beside themselves.
//!
//! Not for people: it ends the machines of a process that was killed.

use clap::Args;

use crate::commands::Context;
use crate::failure::Failure;
use crate::instance::{self, Where};

/// Arguments of `keeper`.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    end: Where,
    /// Be the one that stays
    #[arg(long)]
    stays: bool,
}

/// Runs `keeper`.
pub fn keeper(context: &Context, arguments: &Arguments) -> Result<(), Failure> {
    match arguments.stays {
        true => instance::keep(context, &arguments.end),
        false => instance::detach(context, &arguments.end),
    }
}
