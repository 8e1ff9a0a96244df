//! What each task needs from the machine: Debian's packages and, for tests, PyPI's.
//!
//! Presence is checked first and costs milliseconds; only what is missing is installed.
//! As root or with CI=true it is installed after saying what; anybody else gets the one
//! line to run, and exit code 3.

mod packages;
mod venv;

use anyhow::Result;
use clap::ValueEnum;

use crate::call::Call;
use crate::environment;
use crate::failure::Failure;
use crate::project::Project;
use crate::shell;

/// What `cargo xtask setup` takes.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The task to make the machine ready for
    #[arg(long = "for", value_name = "TASK", default_value = "test")]
    purpose: Purpose,
}

/// The tasks that need something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Purpose {
    /// The demo: QEMU, firmware, iPXE, a compiler for the demo tree
    Demo,
    /// The tests: as the demo, for arm64 too, with moto, the aws command line and boto3
    Test,
    /// The bench: as the tests
    Bench,
    /// The book: mdBook
    Book,
    /// A release: C compilers for its targets
    Dist,
}

/// How packages may be installed here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Power {
    /// We are root.
    Root,
    /// We are not, but a CI system runs us, and `sudo -n` works.
    Sudo,
    /// A person's account, or one that cannot: only say what to type.
    None,
}

/// `cargo xtask setup`.
pub(crate) fn run(project: &Project, args: &Args) -> Result<()> {
    ensure(project, args.purpose)?;
    shell::status("Ready", &format!("all that {} needs is there", args.purpose.name()));
    Ok(())
}

/// Sees to it that all that `purpose` needs is there.
///
/// # Errors
/// Exit code 3 with the line to run, when something is missing and may not be installed.
pub(crate) fn ensure(project: &Project, purpose: Purpose) -> Result<()> {
    let wanted = packages::wanted(project, purpose)?;
    let missing = packages::missing(&wanted)?;
    if !missing.is_empty() {
        install(&missing)?;
    }
    match purpose {
        Purpose::Demo | Purpose::Dist => Ok(()),
        Purpose::Test | Purpose::Bench | Purpose::Book => venv::ensure(project),
    }
}

fn install(missing: &[String]) -> Result<()> {
    let power = power();
    if power == Power::None {
        return Err(not_installed(missing).into());
    }
    shell::status("Installing", &missing.join(" "));
    packages::install(missing, power)
}

fn not_installed(missing: &[String]) -> Failure {
    Failure::not_set_up(format!(
        "{} missing; run this and try again:\n  {}",
        if missing.len() == 1 { "a package is" } else { "packages are" },
        packages::line_to_run(missing),
    ))
}

fn power() -> Power {
    use std::os::unix::fs::MetadataExt;

    let root = fs_err::metadata("/proc/self").is_ok_and(|process| process.uid() == 0);
    if root {
        Power::Root
    } else if environment::ci() && Call::new(["sudo", "-n", "true"]).succeeds() {
        Power::Sudo
    } else {
        Power::None
    }
}

impl Purpose {
    fn name(self) -> &'static str {
        match self {
            Self::Demo => "demo",
            Self::Test => "test",
            Self::Bench => "bench",
            Self::Book => "book",
            Self::Dist => "dist",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_gets_one_line_to_run_and_code_three() {
        let failure = not_installed(&["ovmf".to_owned(), "ipxe".to_owned()]);
        assert_eq!(failure.code, 3);
        assert_eq!(
            failure.message,
            "packages are missing; run this and try again:\n  \
             sudo sh -c 'apt-get update && apt-get install --yes --no-install-recommends \
             ovmf ipxe'"
        );
    }
}
