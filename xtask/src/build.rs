//! What other tasks start from: the built `cargo-l4re`, and the demo tree made.
//!
//! Cargo and make decide what must be done again; asking them costs a second at most.

use anyhow::{Context, Result};
use camino::Utf8PathBuf;
use serde_json::Value;

use crate::call::Call;
use crate::project::Project;
use crate::shell;

/// How to optimise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Profile {
    /// As people and tests build it.
    Dev,
    /// As it is measured and released.
    Release,
}

/// Builds `cargo-l4re` and gives its path.
pub(crate) fn binary(project: &Project, profile: Profile) -> Result<Utf8PathBuf> {
    let build = project.cargo(build_arguments(profile));
    let mut path = None;
    build.each_line(|line| path = executable(line).or_else(|| path.take()))?;
    path.context("cargo named no executable for cargo-l4re")
}

/// Makes the demo tree for `arch`, as L4Re spells it, and gives its path.
pub(crate) fn demo_tree(project: &Project, arch: &str) -> Result<Utf8PathBuf> {
    let tree = project.target.join("demo").join(arch);
    fs_err::create_dir_all(&tree)?;
    shell::status("Making", &format!("the demo tree for {arch} in {tree}"));
    let make = Call::new([
        "make",
        "--silent",
        "--no-print-directory",
        "-C",
        project.demo_source().as_str(),
        &format!("B={tree}"),
        &format!("T={arch}"),
    ]);
    make.run().with_context(|| format!("making the demo tree for {arch}"))?;
    Ok(tree)
}

fn build_arguments(profile: Profile) -> Vec<&'static str> {
    let mut arguments = vec!["build", "--package=cargo-l4re", "--bin=cargo-l4re"];
    arguments.push("--message-format=json-render-diagnostics");
    if profile == Profile::Release {
        arguments.push("--release");
    }
    arguments
}

fn executable(line: &str) -> Option<Utf8PathBuf> {
    let message: Value = serde_json::from_str(line).ok()?;
    let path = (message["target"]["name"] == "cargo-l4re").then(|| message["executable"].as_str());
    path.flatten().map(Utf8PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_executable_is_found_among_other_messages() {
        let ours = r#"{"reason":"compiler-artifact","target":{"name":"cargo-l4re"},
            "executable":"/t/debug/cargo-l4re"}"#;
        assert_eq!(executable(ours), Some("/t/debug/cargo-l4re".into()));
        let library = r#"{"target":{"name":"l4re-image"},"executable":null}"#;
        assert_eq!(executable(library), None);
        assert_eq!(executable("not JSON"), None);
    }
}
