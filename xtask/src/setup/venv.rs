//! The virtual environment under the target directory: PyPI's moto, aws command line, boto3
//! and mdBook, each version pinned in `requirements.txt`.
//!
//! A copy of the requirements, written last, marks an environment that is whole; any other
//! is made anew. Debian's own Python makes it, since that is what python3-venv belongs to.

use anyhow::{Context, Result};
use camino::Utf8Path;

use crate::call::Call;
use crate::project::Project;
use crate::shell;

const REQUIREMENTS: &str = include_str!("../../requirements.txt");
const PYTHON: &str = "/usr/bin/python3";

/// Makes the environment, unless it is there and whole.
pub(super) fn ensure(project: &Project) -> Result<()> {
    let venv = project.venv();
    let mark = venv.join("installed.txt");
    if fs_err::read_to_string(&mark).is_ok_and(|installed| installed == REQUIREMENTS) {
        return Ok(());
    }
    shell::status("Installing", &format!("moto, awscli, boto3 and mdbook into {venv}"));
    fs_err::create_dir_all(&project.target)?;
    Call::new(make_argv(&venv)).run().context("making the virtual environment")?;
    let wanted = venv.join("requirements.txt");
    fs_err::write(&wanted, REQUIREMENTS)?;
    Call::new(install_argv(&venv, &wanted)).run().context("installing from PyPI")?;
    fs_err::write(&mark, REQUIREMENTS)?;
    Ok(())
}

fn make_argv(venv: &Utf8Path) -> [&str; 5] {
    [PYTHON, "-m", "venv", "--clear", venv.as_str()]
}

fn install_argv(venv: &Utf8Path, wanted: &Utf8Path) -> Vec<String> {
    let python = venv.join("bin/python");
    let install = ["-m", "pip", "--disable-pip-version-check", "--no-input", "install"];
    let what = ["--quiet", "--root-user-action=ignore", "--requirement", wanted.as_str()];
    let argv = std::iter::once(python.as_str()).chain(install).chain(what);
    argv.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_requirement_is_pinned() {
        let lines: Vec<&str> = REQUIREMENTS.lines().filter(|line| !line.starts_with('#')).collect();
        assert!(lines.iter().all(|line| line.contains("==")), "{lines:?}");
        for name in ["moto[ec2,s3,server,sts]==5.2.5", "awscli==", "boto3=="] {
            assert!(lines.iter().any(|line| line.starts_with(name)), "{name}");
        }
    }

    #[test]
    fn pip_never_asks() {
        let argv = install_argv(Utf8Path::new("/t/venv"), Utf8Path::new("/t/r.txt"));
        assert!(argv.contains(&"--no-input".to_owned()));
        assert_eq!(argv.first().map(String::as_str), Some("/t/venv/bin/python"));
    }
}
