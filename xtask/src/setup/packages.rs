//! Debian's packages: which are wanted, which are missing, how they are installed.
//!
//! No recommended packages are taken, so each one that is needed is named. What the demo
//! tree compiles with is said by the demo tree itself, in its `packages.txt`.

use anyhow::Result;

use super::{Power, Purpose};
use crate::call::Call;
use crate::failure::Failure;
use crate::project::Project;
use crate::shell;

/// To boot x86_64 instances: the machine, both firmwares' parts, iPXE for each of them.
const X86_64: [&str; 5] = ["qemu-system-x86", "seabios", "ovmf", "ipxe", "ipxe-qemu"];
/// To boot arm64 instances.
const ARM64: [&str; 2] = ["qemu-system-arm", "qemu-efi-aarch64"];
/// To make the virtual environment of the tests.
const PYTHON: [&str; 2] = ["python3", "python3-venv"];
/// Shells whose completions are tested, beside the one that is always there.
const SHELLS: [&str; 2] = ["fish", "zsh"];

/// To compile a release: C for both of its targets.
const DIST: [&str; 3] = ["musl-tools", "gcc-aarch64-linux-gnu", "libc6-dev-arm64-cross"];

/// The packages that `purpose` needs, in a stable order.
pub(super) fn wanted(project: &Project, purpose: Purpose) -> Result<Vec<String>> {
    match purpose {
        Purpose::Dist => return Ok(DIST.map(str::to_owned).to_vec()),
        Purpose::Book => return Ok(PYTHON.map(str::to_owned).to_vec()),
        Purpose::Demo | Purpose::Test | Purpose::Bench => {}
    }
    let mut wanted: Vec<String> = X86_64.iter().chain(&ARM64).map(|&name| name.into()).collect();
    if purpose != Purpose::Demo {
        wanted.extend(PYTHON.iter().chain(&SHELLS).map(|&name| name.to_owned()));
    }
    let list = fs_err::read_to_string(project.demo_source().join("packages.txt"))?;
    for name in listed(&list) {
        if !wanted.contains(&name) {
            wanted.push(name);
        }
    }
    Ok(wanted)
}

/// Those of `wanted` that are not installed.
pub(super) fn missing(wanted: &[String]) -> Result<Vec<String>> {
    let query = Call::new(query_argv(wanted));
    let Ok(output) = query.expression().stdout_capture().stderr_null().unchecked().run() else {
        return Err(not_debian(wanted).into());
    };
    let installed = installed(&String::from_utf8_lossy(&output.stdout));
    Ok(wanted.iter().filter(|name| !installed.contains(name)).cloned().collect())
}

/// Installs `packages`; the package lists are renewed only when they do not serve.
pub(super) fn install(packages: &[String], power: Power) -> Result<()> {
    let install = Call::new(apt_argv(power, &[&["install", "--no-install-recommends"]], packages));
    let simulate = Call::new(apt_argv(power, &[&["install", "--simulate"]], packages));
    if simulate.succeeds() && install.run().is_ok() {
        return Ok(());
    }
    shell::status("Updating", "the package lists");
    Call::new(apt_argv(power, &[&["update"]], &[])).run()?;
    install.run()
}

/// The line that a person can paste to install `packages`.
pub(super) fn line_to_run(packages: &[String]) -> String {
    format!(
        "sudo sh -c 'apt-get update && apt-get install --yes --no-install-recommends {}'",
        packages.join(" ")
    )
}

fn query_argv(packages: &[String]) -> Vec<String> {
    let query = ["dpkg-query", "--show", "--showformat=${Package} ${db:Status-Status}\\n"];
    query.into_iter().map(str::to_owned).chain(packages.iter().cloned()).collect()
}

fn apt_argv(power: Power, parts: &[&[&str]], packages: &[String]) -> Vec<String> {
    let mut argv: Vec<&str> = match power {
        Power::Sudo => vec!["sudo", "-n"],
        Power::Root | Power::None => Vec::new(),
    };
    argv.extend(["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "--yes", "--quiet=2"]);
    argv.extend(["-o", "DPkg::Lock::Timeout=300", "-o", "Dpkg::Use-Pty=0"]);
    argv.extend(parts.iter().copied().flatten());
    argv.into_iter().map(str::to_owned).chain(packages.iter().cloned()).collect()
}

fn installed(answer: &str) -> Vec<String> {
    let lines = answer.lines().filter_map(|line| line.split_once(' '));
    lines.filter(|(_, status)| *status == "installed").map(|(name, _)| name.to_owned()).collect()
}

fn listed(text: &str) -> Vec<String> {
    let code = text.lines().map(|line| line.split('#').next().unwrap_or(""));
    code.flat_map(str::split_whitespace).map(str::to_owned).collect()
}

fn not_debian(wanted: &[String]) -> Failure {
    Failure::not_set_up(format!(
        "this machine has no dpkg-query, so what is installed cannot be told; \
         needed are what Debian 12 calls: {}",
        wanted.join(" ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_wholly_installed_counts() {
        let answer = "ovmf installed\nipxe config-files\nclang half-installed\nlld installed\n";
        assert_eq!(installed(answer), ["ovmf", "lld"]);
        assert!(installed("").is_empty());
    }

    #[test]
    fn a_list_may_have_comments() {
        assert_eq!(listed("# compilers\nclang lld # both\n\nmake\n"), ["clang", "lld", "make"]);
    }

    #[test]
    fn apt_never_asks() {
        let argv = apt_argv(Power::Sudo, &[&["install"]], &["ovmf".to_owned()]).join(" ");
        assert!(argv.starts_with("sudo -n env DEBIAN_FRONTEND=noninteractive apt-get --yes"));
        assert!(argv.ends_with(" install ovmf"));
    }

    #[test]
    fn a_package_that_nobody_has_is_missing() {
        let wanted = ["dpkg".to_owned(), "no-such-package".to_owned()];
        assert_eq!(missing(&wanted).unwrap(), ["no-such-package"]);
    }
}
