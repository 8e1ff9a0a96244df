//! What names the image that a command works on.

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap_complete::engine::ArgValueCompleter;
use l4re_image::Kind;

use super::Context;
use crate::build::Way;
use crate::complete;
use crate::failure::Failure;
use crate::interrupt::Interrupt;
use crate::source::Source;
use crate::target::Words;

/// What to run.
#[derive(Debug, Clone, Default, Args)]
pub struct ImageFlags {
    /// Entry, image file or URL, and variables that go through to make
    #[arg(value_name = "ENTRY|IMAGE|URL|VAR=value", add = ArgValueCompleter::new(complete::targets))]
    pub words: Vec<String>,
    /// Platform, passed to make as PT (arm_sbsa, …)
    #[arg(long, value_name = "NAME")]
    pub platform: Option<String>,
    /// Build this kind of image instead of the one that fits the machine
    #[arg(long, value_name = "KIND", value_parser = kinds())]
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

/// Kinds by the suffix of their files.
pub fn kinds() -> impl TypedValueParser<Value = Kind> {
    let kinds = [Kind::Efi, Kind::Elf];
    let named = move |name: String| kinds.into_iter().find(|kind| kind.suffix() == name);
    let parser = PossibleValuesParser::new(kinds.map(Kind::suffix));
    parser.try_map(move |name| named(name).ok_or("no such kind"))
}
