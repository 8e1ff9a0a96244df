//! The steps of the test run, in the order in which they run.
//!
//! The AWS crates cost most by far. They are compiled twice and no more: once as metadata,
//! which clippy and rustdoc share, and once as code, which the build, the unit tests and
//! the end-to-end tests share. That holds because every step names the whole workspace or
//! needs no AWS crate, so that cargo chooses the same features for them each time.

use anyhow::Result;
use clap::ValueEnum;

use crate::audit;
use crate::book;
use crate::build::{self, Profile};
use crate::call::Call;
use crate::environment;
use crate::generate;
use crate::project::Project;
use crate::setup::{self, Purpose};
use crate::shell;
use crate::test::count::Count;
use crate::test::small;
use crate::tidy;

/// A step of the test run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Step {
    /// Formatting
    Fmt,
    /// The layout check
    Tidy,
    /// What the tests need from the machine
    Setup,
    /// The book, built, with its links followed
    Book,
    /// Lints, warnings being errors
    Clippy,
    /// The API's documentation, warnings being errors
    Doc,
    /// The build without machines: no AWS crate, and images are still made
    Small,
    /// Everything compiled
    Build,
    /// What is written from the commands themselves
    Reference,
    /// Unit and snapshot tests
    Unit,
    /// End-to-end tests through the built binary
    EndToEnd,
}

impl Step {
    /// The word for `--only`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Fmt => "fmt",
            Self::Tidy => "tidy",
            Self::Setup => "setup",
            Self::Book => "book",
            Self::Clippy => "clippy",
            Self::Doc => "doc",
            Self::Small => "small",
            Self::Build => "build",
            Self::Reference => "reference",
            Self::Unit => "unit",
            Self::EndToEnd => "end-to-end",
        }
    }

    /// What the step does, as its heading.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Fmt => "fmt: formatting",
            Self::Tidy => "tidy: layout, words, crates, documents",
            Self::Setup => "setup: packages and the virtual environment",
            Self::Book => "book: built by mdBook, links followed",
            Self::Clippy => "clippy: lints, warnings are errors",
            Self::Doc => "doc: the API's documentation, warnings are errors",
            Self::Small => "small: without feature `cloud` no AWS crate, but images",
            Self::Build => "build: all crates and tests",
            Self::Reference => {
                "reference: the book, the schema and the man pages say what the commands say"
            }
            Self::Unit => "unit: unit and snapshot tests of all crates",
            Self::EndToEnd => "end-to-end: the built binary, QEMU, other people's clients",
        }
    }

    /// Runs the step; tests that were executed are added to `count`.
    pub(super) fn run(self, project: &Project, count: &mut Count) -> Result<()> {
        match self {
            Self::Fmt => project.cargo(["fmt", "--all", "--check"]).run(),
            Self::Tidy => {
                tidy::run(project)?;
                audit::msrv(project)
            }
            Self::Setup => setup::ensure(project, Purpose::Test),
            Self::Book => book::run(project, &book::Args::default()),
            Self::Clippy => project.cargo(CLIPPY).run(),
            Self::Doc => project.cargo(DOC).env("RUSTDOCFLAGS", "-D warnings").run(),
            Self::Small => small::check(project, count),
            Self::Build => project.cargo(BUILD).run(),
            Self::Reference => generate::check(project, Profile::Tested),
            Self::Unit => unit(project, count),
            Self::EndToEnd => end_to_end(project, count),
        }
    }
}

const CLIPPY: [&str; 7] =
    ["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"];
const DOC: [&str; 5] = ["doc", "--workspace", "--no-deps", "--locked", "--quiet"];
const BUILD: [&str; 4] = ["build", "--workspace", "--all-targets", "--locked"];
const UNIT: [&str; 5] = ["test", "--workspace", "--exclude=l4re-tests", "--locked", "--quiet"];
/// The tests of images that need build trees.
const TREES: [&str; 5] =
    ["test", "--workspace", "--exclude=l4re-tests", "--locked", "--test=native"];
const END_TO_END: [&str; 3] = ["test", "--package=l4re-tests", "--locked"];

/// With the same cases of property tests each time: what fails here fails for whoever looks
/// into it, too. `cargo test` takes others.
fn unit(project: &Project, count: &mut Count) -> Result<()> {
    setup::ensure(project, Purpose::Test)?;
    counted(&with_venv(project, project.cargo(UNIT)).env("PROPTEST_RNG_SEED", "0"), count)
}

fn end_to_end(project: &Project, count: &mut Count) -> Result<()> {
    setup::ensure(project, Purpose::Test)?;
    let binary = build::binary(project, Profile::Tested)?;
    let tests = with_venv(project, project.cargo(END_TO_END))
        .env("L4RE_TEST_BINARY", binary)
        .env("L4RE_TEST_TREE_AMD64", build::demo_tree(project, "amd64")?)
        .env("L4RE_TEST_TREE_ARM64", build::demo_tree(project, "arm64")?);
    counted(&tests, count)?;
    counted(&trees(project)?, count)
}

/// Native images against those of make, on the developer's trees or else the demo's; with the
/// former also what only they can tell.
fn trees(project: &Project) -> Result<Call> {
    let demo = environment::tree_amd64().is_none() && environment::tree_arm64().is_none();
    let mut words = TREES.to_vec();
    words.extend((!demo).then_some("--test=real_tree"));
    words.extend(environment::images().then_some("--test=disk"));
    words.extend(["--", "--ignored"]);
    let call = project.cargo(words);
    if !demo {
        return Ok(call);
    }
    Ok(call
        .env("L4RE_TREE_AMD64", build::demo_tree(project, "amd64")?)
        .env("L4RE_TREE_ARM64", build::demo_tree(project, "arm64")?))
}

fn with_venv(project: &Project, call: Call) -> Call {
    call.env("L4RE_TEST_VENV", project.venv())
}

/// Runs test programs, showing their lines as they come and counting their tests.
pub(super) fn counted(tests: &Call, count: &mut Count) -> Result<()> {
    tests.each_line(|line| {
        count.take(line);
        shell::result(line);
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_command_line() {
        for step in Step::value_variants() {
            let word = step.to_possible_value().unwrap();
            assert_eq!(word.get_name(), step.name());
            assert!(step.title().starts_with(&format!("{}: ", step.name())));
        }
    }
}
