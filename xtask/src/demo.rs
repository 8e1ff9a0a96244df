//! `cargo xtask demo`: from nothing to a system that was seen to run and surely stopped.
//!
//! It goes the way that a user goes, by the built binary: image, upload, launch on the
//! twin, UEFI, iPXE, console, stop. The twin is one of its own under the target directory.

use anyhow::{Context, Result};
use camino::Utf8Path;

use crate::build::{self, Profile};
use crate::call::Call;
use crate::project::Project;
use crate::setup::{self, Purpose};
use crate::shell;

/// What `cargo xtask demo` takes.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// More for `cargo l4re run`
    #[arg(last = true, value_name = "ARGUMENT")]
    more: Vec<String>,
}

/// `cargo xtask demo`.
///
/// # Errors
/// The exit code of `cargo l4re run`, if that is not 0.
pub(crate) fn run(project: &Project, args: &Args) -> Result<()> {
    setup::ensure(project, Purpose::Demo)?;
    shell::status("Building", "cargo-l4re; the first time takes some ten minutes on two cores");
    let binary = build::binary(project, Profile::Dev)?;
    let tree = build::demo_tree(project, "amd64")?;
    let state = project.target.join("demo/state");
    let stop = isolated(Call::new([binary.as_str(), "l4re", "twin", "stop"]), &state);
    if state.exists() {
        // A demo that was killed may have left a twin, and a machine of the same name.
        stop.read().context("stopping the twin of an earlier demo")?;
        fs_err::remove_dir_all(&state)?;
    }
    fs_err::create_dir_all(&state)?;
    let call = isolated(Call::new(run_argv(&binary, &tree, &args.more)), &state);
    shell::status("Running", &call.line());
    let ran = call.run();
    let stopped = stop.run();
    ran.and(stopped)?;
    say_what_next(&binary, &tree);
    Ok(())
}

fn run_argv(binary: &Utf8Path, tree: &Utf8Path, more: &[String]) -> Vec<String> {
    let run = [binary.as_str(), "l4re", "run", "hello", "--tree", tree.as_str()];
    let until = ["--expect", "Hello World!", "--timeout", "5m"];
    let argv = run.into_iter().chain(until).map(str::to_owned);
    argv.chain(more.iter().cloned()).collect()
}

/// The call with a twin of its own.
fn isolated(call: Call, state: &Utf8Path) -> Call {
    call.env("XDG_STATE_HOME", state.as_str())
}

fn say_what_next(binary: &Utf8Path, tree: &Utf8Path) {
    let directory = binary.parent().unwrap_or(binary);
    for line in [
        "",
        "That was a demo system. Next, with an L4Re build tree of yours:",
        "",
        &format!("  export PATH={directory}:$PATH"),
        "  cargo l4re entries --tree ../build/l4re-amd64",
        "  cargo l4re run hello --tree ../build/l4re-amd64 --expect 'Hello World!'",
        "  cargo l4re deploy hello --tree ../build/l4re-arm64 --metal     # on EC2",
        "",
        &format!("or stay with the demo: cargo l4re entries --tree {tree}"),
    ] {
        shell::say(line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_demo_is_what_a_user_would_type() {
        let argv = run_argv(Utf8Path::new("/t/cargo-l4re"), Utf8Path::new("/t/demo"), &[]);
        assert_eq!(
            Call::new(argv).line(),
            "/t/cargo-l4re l4re run hello --tree /t/demo --expect 'Hello World!' --timeout 5m"
        );
    }
}
