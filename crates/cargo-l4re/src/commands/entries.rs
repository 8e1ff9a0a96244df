//! `cargo l4re entries`: what there is to build: entries of the settings and of modules.list.

use clap::Args;

use super::Context;
use crate::build::Workplace;
use crate::failure::Failure;
use crate::target::{Target, Words};

/// Arguments of `entries`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Make variables that choose the list, such as MODULES_LIST=FILE
    #[arg(value_name = "VAR=value")]
    words: Vec<String>,
}

/// Runs `entries`.
pub fn entries(context: &Context, arguments: &Arguments) -> Result<(), Failure> {
    let words = Words::parse(&arguments.words, context.environment.folder())?;
    if words.target != Target::Entry(None) {
        return Err(Failure::Usage("`entries` takes variables only: VAR=value".to_owned()));
    }
    let place = Workplace::find(context)?;
    for entry in &place.entries(context, &words.variables)? {
        context.shell.result(&entry.name)?;
        context.shell.json("entry", entry)?;
    }
    Ok(())
}
