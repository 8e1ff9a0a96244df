//! `cargo xtask tidy`: the layout that compilers do not check.
//!
//! Each check is a pure function from a file's text (or cargo's metadata) to findings, so
//! that each rule has its test. A finding is printed as rustc prints an error's place:
//! `file:line: message`.

mod crates;
mod documents;
mod files;
mod messages;
mod source;
mod variables;
mod words;

use std::fmt;

use anyhow::{Result, bail};
use camino::{Utf8Path, Utf8PathBuf};

use crate::project::Project;
use crate::shell;

/// Something that breaks a rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    path: Utf8PathBuf,
    line: usize,
    message: String,
}

impl Finding {
    /// A finding at `line` of `path`, counted from 1.
    fn new(path: &Utf8Path, line: usize, message: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, message: message.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.message)
    }
}

/// `cargo xtask tidy`.
///
/// # Errors
/// That there are findings; they have been printed.
pub(crate) fn run(project: &Project) -> Result<()> {
    let files = files::list(&project.root)?;
    let mut findings = files::check(&files);
    for file in files.iter().filter(|file| file.is_text()) {
        findings.extend(words::check(&file.path, &file.text));
        match file.path.extension() {
            Some("rs") => findings.extend(source::check(&file.path, &file.text)),
            Some("md") => findings.extend(documents::links(file, &files)),
            _ => {}
        }
    }
    findings.extend(documents::book(&files));
    findings.extend(messages::check(&files));
    findings.extend(variables::check(&files));
    findings.extend(crates::check(&project.packages));
    findings.extend(crates::named_in_architecture(&project.packages, &files));
    findings.sort();
    for finding in &findings {
        shell::result(&finding.to_string());
    }
    match findings.len() {
        0 => {
            shell::status("Tidy", &format!("{} files", files.len()));
            Ok(())
        }
        1 => bail!("1 finding"),
        many => bail!("{many} findings"),
    }
}
