//! `cargo xtask gen`: all that is written from what the program says of itself.
//!
//! `--check` writes nothing and fails when a file is not what would be written.

mod commands;
mod keys;
mod messages;

use anyhow::{Result, bail};
use camino::Utf8Path;

use crate::build::{self, Profile};
use crate::call::Call;
use crate::project::Project;
use crate::shell;

/// Where the manual pages lie.
const MANUAL: &str = "docs/man";
/// What each message holds, which the end-to-end tests check.
const MESSAGES: &str = "docs/src/messages.schema.json";

/// What `cargo xtask gen` takes.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Write nothing; fail when a file has fallen behind
    #[arg(long)]
    check: bool,
}

/// A file that is written, relative to the project's root, and what it has.
struct File {
    path: String,
    text: String,
}

/// `cargo xtask gen`.
///
/// # Errors
/// With `--check`, that a file has fallen behind.
pub(crate) fn run(project: &Project, args: &Args) -> Result<()> {
    if args.check {
        return check(project, Profile::Tested);
    }
    let files = files(project, Profile::Tested)?;
    for path in left_over(project, &files)? {
        fs_err::remove_file(project.root.join(&path))?;
        shell::status("Removed", &path);
    }
    for File { path, text } in &files {
        let whole = project.root.join(path);
        if fs_err::read_to_string(&whole).is_ok_and(|before| before == *text) {
            continue;
        }
        fs_err::create_dir_all(whole.parent().unwrap_or(&project.root))?;
        fs_err::write(whole, text)?;
        shell::status("Wrote", path);
    }
    Ok(())
}

/// Whether each file is what would be written.
///
/// # Errors
/// That one has fallen behind.
pub(crate) fn check(project: &Project, profile: Profile) -> Result<()> {
    let files = files(project, profile)?;
    if let Some(path) = left_over(project, &files)?.first() {
        bail!("{path} is of no command; run `cargo xtask gen`");
    }
    for File { path, text } in &files {
        if fs_err::read_to_string(project.root.join(path)).ok().as_ref() != Some(text) {
            bail!("{path} is not what the commands say; run `cargo xtask gen`");
        }
    }
    shell::status("Checked", &format!("{} files", files.len()));
    Ok(())
}

fn files(project: &Project, profile: Profile) -> Result<Vec<File>> {
    let binary = &build::binary(project, profile)?;
    let schema = l4re(binary, &["settings", "--schema"]).read()?;
    let messages = fs_err::read_to_string(project.root.join(MESSAGES))?;
    let mut files = vec![
        File { path: "docs/src/commands.md".to_owned(), text: commands::page(binary)? },
        File { path: "docs/src/environment.md".to_owned(), text: keys::page(&schema)? },
        File { path: "docs/src/messages.md".to_owned(), text: messages::page(&messages)? },
        File { path: "docs/src/settings.schema.json".to_owned(), text: schema },
    ];
    files.extend(manual_pages(binary)?);
    Ok(files)
}

/// The manual pages of all commands.
fn manual_pages(binary: &Utf8Path) -> Result<Vec<File>> {
    let folder = camino_tempfile::tempdir()?;
    l4re(binary, &["man", "--to", folder.path().as_str()]).read()?;
    let mut pages = Vec::new();
    for entry in folder.path().read_dir_utf8()? {
        let entry = entry?;
        let path = format!("{MANUAL}/{}", entry.file_name());
        pages.push(File { path, text: fs_err::read_to_string(entry.path())? });
    }
    pages.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(pages)
}

/// Manual pages that no command has any more.
fn left_over(project: &Project, files: &[File]) -> Result<Vec<String>> {
    let Ok(there) = project.root.join(MANUAL).read_dir_utf8() else { return Ok(Vec::new()) };
    let mut left = Vec::new();
    for entry in there {
        let path = format!("{MANUAL}/{}", entry?.file_name());
        if !files.iter().any(|file| file.path == path) {
            left.push(path);
        }
    }
    Ok(left)
}

/// A call of the program, with nothing of this machine in what it says.
fn l4re(binary: &Utf8Path, words: &[&str]) -> Call {
    let argv = [binary.as_str(), "l4re"].into_iter().chain(words.iter().copied());
    Call::new(argv).env("COLUMNS", "90").env("NO_COLOR", "1")
}
