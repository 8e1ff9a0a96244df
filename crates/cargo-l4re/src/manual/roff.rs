//! Manual pages, made from the commands themselves.

use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

/// A manual page: its file's name, and its text.
#[derive(Debug)]
pub struct Page {
    /// `cargo-l4re-run.1`.
    pub file: String,
    /// The text, in roff.
    pub text: Vec<u8>,
}

/// The page of a command that is built.
pub fn roff(command: &Command) -> std::io::Result<Page> {
    let man = Man::new(command.clone()).manual("cargo l4re");
    let mut text = Vec::new();
    man.render_title(&mut text)?;
    man.render_name_section(&mut text)?;
    man.render_synopsis_section(&mut text)?;
    man.render_description_section(&mut text)?;
    man.render_options_section(&mut text)?;
    if command.get_subcommands().any(|below| !below.is_hide_set()) {
        man.render_subcommands_section(&mut text)?;
    }
    if command.get_after_help().is_some() {
        man.render_extra_section(&mut text)?;
    }
    further(&mut text)?;
    Ok(Page { file: man.get_filename(), text })
}

/// The pages of a command and of all below it.
pub fn pages(command: &Command) -> std::io::Result<Vec<Page>> {
    let mut pages = vec![roff(command)?];
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        pages.extend(self::pages(below)?);
    }
    Ok(pages)
}

/// What every page ends with.
fn further(text: &mut Vec<u8>) -> std::io::Result<()> {
    let mut roff = Roff::new();
    roff.control("SH", ["FILES"]);
    for (file, meaning) in [
        (
            "l4re.toml",
            "settings that a project shares; also [workspace.metadata.l4re] in Cargo.toml",
        ),
        ("l4re.local.toml", "settings of this machine"),
        ("$XDG_STATE_HOME/cargo-l4re", "logs of consoles, the twin's state"),
    ] {
        roff.control("TP", []);
        roff.text([bold(file)]);
        roff.text([roman(meaning)]);
    }
    roff.control("SH", ["SEE ALSO"]);
    roff.text([
        bold("cargo-l4re"),
        roman("(1); "),
        bold("cargo l4re help"),
        roman(" with settings, environment, exit-codes, boot-chains, troubleshooting and more"),
    ]);
    roff.to_writer(text)
}
