//! `cargo xtask book`: builds the book with mdBook, and follows each link of what came out.
//!
//! `cargo xtask tidy` has looked at the sources; what readers get is looked at here: pages that
//! were not rendered, pictures that were not copied, anchors that mdBook spells otherwise.

mod links;

use anyhow::{Context, Result, bail};
use camino::{Utf8Path, Utf8PathBuf};

use crate::call::Call;
use crate::failure::Failure;
use crate::project::Project;
use crate::setup::{self, Purpose};
use crate::shell;

/// What `cargo xtask book` takes.
#[derive(clap::Args, Default)]
pub(crate) struct Args {
    /// Folder for the result [default: book in the target directory]
    #[arg(long, value_name = "DIR")]
    out: Option<Utf8PathBuf>,
}

/// `cargo xtask book`.
///
/// # Errors
/// No mdBook, one that failed, or links that lead nowhere.
pub(crate) fn run(project: &Project, args: &Args) -> Result<()> {
    setup::ensure(project, Purpose::Book)?;
    let out = args.out.clone().unwrap_or_else(|| project.target.join("book"));
    let out = std::path::absolute(&out).map(Utf8PathBuf::try_from)??;
    build_call(&mdbook(project)?, &project.root.join("docs"), &out).read()?;
    let pages = links::pages(&out).with_context(|| format!("what mdBook wrote to {out}"))?;
    let findings = links::check(&pages, |path| out.join(path).exists());
    for finding in &findings {
        shell::result(finding);
    }
    match findings.len() {
        0 => shell::status("Built", &format!("{out}: {} pages", pages.len())),
        many => bail!("{many} links of the book lead nowhere"),
    }
    Ok(())
}

fn build_call(mdbook: &Utf8Path, book: &Utf8Path, out: &Utf8Path) -> Call {
    Call::new([mdbook.as_str(), "build", "--dest-dir", out.as_str(), book.as_str()])
}

/// The mdBook of the virtual environment, or else one that is installed. PyPI has it for
/// x86_64 only.
fn mdbook(project: &Project) -> Result<Utf8PathBuf> {
    let ours = project.venv().join("bin/mdbook");
    if ours.exists() {
        return Ok(ours);
    }
    let installed = Utf8PathBuf::from("mdbook");
    if Call::new([installed.as_str(), "--version"]).succeeds() {
        return Ok(installed);
    }
    Err(Failure::not_set_up("there is no mdbook; run `cargo install --locked mdbook`").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_book_is_built_where_it_is_wanted() {
        assert_eq!(
            build_call("mdbook".into(), "/p/docs".into(), "/t/book".into()).line(),
            "mdbook build --dest-dir /t/book /p/docs"
        );
    }
}
