//! `cargo l4re entries`: what the build tree's modules.list has to build.

use clap::Args;
use l4re_image::ListOptions;

use super::Context;
use crate::build::Workplace;
use crate::failure::Failure;
use crate::target::Words;

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
    let place = Workplace::find(context)?;
    let options: ListOptions = place.list_options(&words.variables);
    let entries = place.tree.entries(&options)?;
    for entry in &entries {
        context.shell.result(&entry.name)?;
        context.shell.json("entry", entry)?;
    }
    Ok(())
}
