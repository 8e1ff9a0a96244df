//! What names the image that a command works on.

use clap::Args;
use l4re_image::Kind;

use super::Context;
use crate::build::Way;
use crate::failure::Failure;
use crate::interrupt::Interrupt;
use crate::source::Source;
use crate::target::Words;

/// What to run.
#[derive(Debug, Default, Args)]
pub struct ImageFlags {
    /// Entry, image file or URL, and variables that go through to make
    #[arg(value_name = "ENTRY|IMAGE|URL|VAR=value")]
    pub words: Vec<String>,
    /// Platform, passed to make as PT (arm_sbsa, …)
    #[arg(long, value_name = "NAME")]
    pub platform: Option<String>,
    /// Build this kind of image instead of the one that fits the machine
    #[arg(long, value_name = "KIND", value_parser = kind)]
    pub kind: Option<Kind>,
    /// Who builds it
    #[command(flatten)]
    pub way: Way,
}

impl ImageFlags {
    /// What is to be run, settled as far as can be.
    pub fn source(&self, context: &Context, interrupt: &Interrupt) -> Result<Source, Failure> {
        let words = Words::parse(&self.words, context.environment.folder())?;
        Source::settle(context, words, self, interrupt)
    }
}

fn kind(text: &str) -> Result<Kind, String> {
    match text {
        "efi" => Ok(Kind::Efi),
        "elf" => Ok(Kind::Elf),
        other => Err(format!("`{other}` is neither efi nor elf")),
    }
}
