//! The build without feature `cloud`: that it holds no AWS crate, and still makes images.
//!
//! It stands before the full build, whose binary takes the place of this one's afterwards.

use anyhow::{Result, ensure};

use super::count::Count;
use super::steps::counted;
use crate::build;
use crate::project::Project;
use crate::shell;

/// What the small build does not have.
const LEFT_OUT: [&str; 5] = ["aws-", "russh", "l4re-cloud", "l4re-console", "l4re-twin"];
/// The end-to-end tests that need no machine.
const TESTS: [&str; 6] =
    ["test", "--package=l4re-tests", "--locked", "--test=end_to_end", "--", "images::"];

/// Builds it and runs the tests of images with it.
///
/// # Errors
/// A crate that has crept in, a warning, or a test that fails.
pub(super) fn check(project: &Project, count: &mut Count) -> Result<()> {
    let crates = project.cargo(tree_words()).read()?;
    let crept: Vec<&str> = crates.lines().filter(|name| is_left_out(name)).collect();
    ensure!(crept.is_empty(), "the build without `cloud` has {}", crept.join(", "));
    project.cargo(words("clippy").into_iter().chain(["--", "-D", "warnings"])).run()?;
    project.cargo(words("build")).run()?;
    let binary = project.target.join("small/cargo-l4re");
    fs_err::create_dir_all(project.target.join("small"))?;
    fs_err::copy(project.target.join("debug/cargo-l4re"), &binary)?;
    shell::status("Built", &format!("{binary} with {} crates", crates.lines().count()));
    let tests = project
        .cargo(TESTS)
        .env("L4RE_TEST_BINARY", binary)
        .env("L4RE_TEST_TREE_AMD64", build::demo_tree(project, "amd64")?)
        .env("L4RE_TEST_TREE_ARM64", build::demo_tree(project, "arm64")?);
    counted(&tests, count)
}

fn words(what: &'static str) -> [&'static str; 4] {
    [what, "--package=cargo-l4re", "--no-default-features", "--locked"]
}

fn tree_words() -> impl IntoIterator<Item = &'static str> {
    let shape = ["--edges=normal,build", "--prefix=none", "--format={p}"];
    words("tree").into_iter().chain(shape)
}

fn is_left_out(name: &str) -> bool {
    LEFT_OUT.iter().any(|beginning| name.starts_with(beginning) && !name.starts_with("aws-lc"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tls_library_is_no_aws_crate_of_ours() {
        assert!(is_left_out("aws-sdk-ec2 v1.0.0"));
        assert!(is_left_out("l4re-twin v0.1.0 (/x)"));
        assert!(!is_left_out("aws-lc-rs v1.0.0"));
        assert!(!is_left_out("l4re-image v0.1.0 (/x)"));
    }
}
