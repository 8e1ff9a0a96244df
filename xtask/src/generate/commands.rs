//! The book's command reference, from what the commands say themselves.

use anyhow::{Context, Result};
use camino::Utf8Path;

const INTRODUCTION: &str = "# Commands

This page is what the commands say of themselves; `cargo xtask gen` writes it. The common
options hold for every command and stand only here.
";

/// The page.
pub(super) fn page(binary: &Utf8Path) -> Result<String> {
    let top = help(binary, &[])?;
    let mut page = format!("{INTRODUCTION}\n{}", section("cargo l4re", &top));
    for command in commands(&top) {
        let own = help(binary, &[&command]).with_context(|| format!("help of {command}"))?;
        page += &format!("\n{}", section(&format!("cargo l4re {command}"), own_part(&own)));
        for below in commands(&own) {
            let own = help(binary, &[&command, &below])?;
            let name = format!("cargo l4re {command} {below}");
            page += &format!("\n{}", section(&name, own_part(&own)));
        }
    }
    Ok(page)
}

fn help(binary: &Utf8Path, words: &[&str]) -> Result<String> {
    super::l4re(binary, &[words, &["-h"]].concat()).read()
}

fn section(name: &str, help: &str) -> String {
    let lines: Vec<&str> = help.trim().lines().map(str::trim_end).collect();
    format!("## {name}\n\n```text\n{}\n```\n", lines.join("\n"))
}

/// A help text without the options that all commands have.
fn own_part(help: &str) -> &str {
    help.split("\nCommon options:").next().unwrap_or(help)
}

/// The commands that a help text lists, in its order.
fn commands(help: &str) -> Vec<String> {
    let list = help.lines().skip_while(|line| line.trim() != "Commands:").skip(1);
    let list = list.take_while(|line| !line.trim().is_empty());
    let ours = list.filter(|line| !line.contains("Print this message"));
    let names = ours.filter_map(|line| {
        let name = line.strip_prefix("  ")?;
        (!name.starts_with(' ')).then(|| name.split_whitespace().next().map(str::to_owned))?
    });
    names.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_read_from_the_help_text() {
        let help = "Do it\n\nUsage: x [OPTIONS]\n\nCommands:\n  efiimage  Build an image\n  \
                    run       Deploy on\n            the desk\n  help      Print this message or\n\n\
                    Options:\n  -q  Quiet\n";
        assert_eq!(commands(help), ["efiimage", "run"]);
        assert!(commands("Options:\n  -q\n").is_empty());
    }

    #[test]
    fn common_options_stand_only_once() {
        let help = "List\n\nOptions:\n  -a\n\nCommon options:\n  -q\n";
        assert_eq!(own_part(help), "List\n\nOptions:\n  -a\n");
        assert_eq!(own_part("List\n"), "List\n");
    }

    #[test]
    fn a_section_has_no_trailing_blanks() {
        assert_eq!(
            section("cargo l4re ps", "List  \n\n"),
            "## cargo l4re ps\n\n```text\nList\n```\n"
        );
    }
}
