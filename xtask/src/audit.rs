//! `cargo xtask audit`: what is true of the dependencies, beyond what every test run checks.
//!
//! Apart from `cargo xtask test` because it compiles for minutes and may need the network:
//! the advisories are a git repository that is fetched.

use anyhow::{Context, Result, ensure};
use camino::{Utf8Path, Utf8PathBuf};
use clap::ValueEnum;
use serde_json::Value;

use crate::call::Call;
use crate::project::Project;
use crate::shell;

/// The version of cargo-deny that deny.toml is written for.
const CARGO_DENY: &str = "0.20.2";

/// What `cargo xtask audit` takes.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only these; all if none is named
    #[arg(value_name = "CHECK")]
    checks: Vec<Check>,
    /// Fetch nothing: the advisories are not looked at
    #[arg(long)]
    offline: bool,
}

/// A check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Check {
    /// No dependency needs a newer Rust than `rust-version` promises
    Msrv,
    /// cargo-deny: licences, sources, doubles, advisories
    Deny,
    /// The oldest versions that our requirements allow compile, too
    MinimalVersions,
}

/// `cargo xtask audit`.
///
/// # Errors
/// What does not hold.
pub(crate) fn run(project: &Project, args: &Args) -> Result<()> {
    for &check in Check::value_variants() {
        if args.checks.is_empty() || args.checks.contains(&check) {
            match check {
                Check::Msrv => msrv(project)?,
                Check::Deny => deny(project, args.offline)?,
                Check::MinimalVersions => minimal_versions(project)?,
            }
        }
    }
    Ok(())
}

/// The toolchain of every build here is the one that `rust-version` promises, so that a test
/// run proves our own code; what is left are the promises of the dependencies.
///
/// # Errors
/// Which dependency needs a newer one.
pub(crate) fn msrv(project: &Project) -> Result<()> {
    let metadata = project.cargo(["metadata", "--format-version=1", "--locked", "--quiet"]);
    let metadata: Value = serde_json::from_str(&metadata.read()?)?;
    let packages = metadata["packages"].as_array().context("cargo metadata names no packages")?;
    let ours = packages.iter().find(|package| package["name"] == "cargo-l4re");
    let promised = ours.and_then(|package| package["rust_version"].as_str());
    let promised = promised.context("cargo-l4re promises no rust-version")?;
    let toolchain = fs_err::read_to_string(project.root.join("rust-toolchain.toml"))?;
    ensure!(
        toolchain.contains(&format!("\"{promised}\"")),
        "rust-toolchain.toml does not name {promised}, which rust-version promises"
    );
    let newer: Vec<String> = packages
        .iter()
        .filter(|package| needs(package).is_some_and(|needed| needed > numbers(promised)))
        .map(|package| format!("{} {}", package["name"], package["rust_version"]))
        .collect();
    ensure!(newer.is_empty(), "need a newer Rust than {promised}: {}", newer.join(", "));
    shell::status("Checked", &format!("{} packages need at most Rust {promised}", packages.len()));
    Ok(())
}

fn needs(package: &Value) -> Option<[u32; 3]> {
    package["rust_version"].as_str().map(numbers)
}

fn numbers(version: &str) -> [u32; 3] {
    let mut numbers = [0; 3];
    for (number, text) in numbers.iter_mut().zip(version.split('.')) {
        *number = text.parse().unwrap_or(0);
    }
    numbers
}

fn deny(project: &Project, offline: bool) -> Result<()> {
    let tools = project.target.join("tools");
    let program = tools.join("bin/cargo-deny");
    if !program.exists() {
        shell::status("Installing", &format!("cargo-deny {CARGO_DENY} into {tools}"));
        install_call(project, &tools).run()?;
    }
    deny_call(project, &program, &["--offline"], &["bans", "licenses", "sources"]).run()?;
    if offline {
        shell::status(
            "Skipped",
            "advisories: they were NOT looked at, as --offline fetches nothing",
        );
        return Ok(());
    }
    // On its own: what can be told without the network has been told by now.
    deny_call(project, &program, &[], &["advisories"]).run().context(
        "advisories: what cargo-deny says above, or that their database could not be fetched; \
         --offline leaves them out, and says so",
    )
}

fn install_call(project: &Project, root: &Utf8PathBuf) -> Call {
    let version = format!("--version={CARGO_DENY}");
    let root = format!("--root={root}");
    let words = ["install", "--locked", "--no-default-features", &version, &root, "cargo-deny"];
    project.cargo(words)
}

fn deny_call(project: &Project, program: &Utf8Path, flags: &[&str], checks: &[&str]) -> Call {
    let argv = [&[program.as_str()], flags, &["check"], checks].concat();
    Call::new(argv).dir(&project.root)
}

/// Checks a copy of the workspace whose lock file has the oldest direct dependencies.
fn minimal_versions(project: &Project) -> Result<()> {
    let copy = project.target.join("minimal-versions");
    if copy.exists() {
        fs_err::remove_dir_all(&copy)?;
    }
    let path = copy.as_str();
    Call::new(["git", "clone", "--quiet", "--local", project.root.as_str(), path]).read()?;
    let cargo = |words: &[&str]| project.cargo(words.iter().copied()).dir(&copy);
    // Choosing them is unstable in cargo; compiling what was chosen is not.
    cargo(&["update", "--quiet", "-Z", "direct-minimal-versions"])
        .env("RUSTC_BOOTSTRAP", "1")
        .run()?;
    let target = project.target.join("minimal");
    cargo(&["check", "--workspace", "--all-targets"]).env("CARGO_TARGET_DIR", target).run()?;
    fs_err::remove_dir_all(&copy)?;
    shell::status("Checked", "the oldest versions that are allowed compile");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_rust_are_compared_as_numbers() {
        assert!(numbers("1.100") > numbers("1.95.0"));
        assert_eq!(numbers("1.95"), numbers("1.95.0"));
    }

    #[test]
    fn nothing_is_fetched_for_what_needs_no_network() {
        let project = Project::find().unwrap();
        let line = |flags: &[&str], checks: &[&str]| {
            deny_call(&project, "/t/cargo-deny".into(), flags, checks).line()
        };
        assert_eq!(line(&["--offline"], &["bans"]), "/t/cargo-deny --offline check bans");
        assert_eq!(line(&[], &["advisories"]), "/t/cargo-deny check advisories");
    }
}
