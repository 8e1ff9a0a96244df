//! What other tasks start from: the built `cargo-l4re`, and the demo tree made.
//!
//! Cargo and make decide what must be done again; asking them costs a second at most.

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};
use serde_json::Value;

use crate::call::Call;
use crate::project::Project;
use crate::shell;

/// How to optimise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Profile {
    /// As people build it.
    Dev,
    /// As the tests build it, with the whole workspace: other features of shared crates, so
    /// that asking for it alone would compile the AWS crates once more.
    Tested,
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
///
/// As with L4Re, the first call of make lays a build tree out and a second one, in it,
/// builds. One that was not laid out to the end, or for another checkout, is made anew.
pub(crate) fn demo_tree(project: &Project, arch: &str) -> Result<Utf8PathBuf> {
    let source = project.demo_source();
    let tree = project.target.join("demo").join(arch);
    if !belongs_to(&tree, &source) {
        if tree.exists() {
            fs_err::remove_dir_all(&tree)?;
        }
        fs_err::create_dir_all(project.target.join("demo"))?;
        Call::new(lay_out_argv(&source, &tree, arch)).read()?;
    }
    shell::status("Making", &format!("the demo tree for {arch} in {tree}"));
    let make = Call::new(["make", "--silent", "--no-print-directory", "-C", tree.as_str()]);
    make.read().with_context(|| format!("making the demo tree for {arch}"))?;
    Ok(tree)
}

fn lay_out_argv(source: &Utf8Path, tree: &Utf8Path, arch: &str) -> Vec<String> {
    let words = ["make", "--silent", "--no-print-directory", "-C", source.as_str()];
    let argv = words.into_iter().map(str::to_owned);
    argv.chain([format!("B={tree}"), format!("T={arch}")]).collect()
}

/// Whether `tree` was laid out for `source`; the link to it is what is made last.
fn belongs_to(tree: &Utf8Path, source: &Utf8Path) -> bool {
    let link = tree.join("source").canonicalize_utf8();
    matches!((link, source.canonicalize_utf8()), (Ok(link), Ok(source)) if link == source)
}

fn build_arguments(profile: Profile) -> Vec<&'static str> {
    let what: &[&str] = match profile {
        Profile::Dev => &["--package=cargo-l4re", "--bin=cargo-l4re"],
        Profile::Tested => &["--workspace", "--all-targets", "--locked"],
        Profile::Release => &["--package=cargo-l4re", "--bin=cargo-l4re", "--release"],
    };
    let head = ["build", "--message-format=json-render-diagnostics"];
    head.iter().chain(what).copied().collect()
}

fn executable(line: &str) -> Option<Utf8PathBuf> {
    let message: Value = serde_json::from_str(line).ok()?;
    let target = &message["target"];
    let ours = target["name"] == "cargo-l4re" && target["kind"][0] == "bin";
    // The same program built as a test has the same name, and is not what is meant.
    let program = ours && message["profile"]["test"] != true;
    program.then(|| message["executable"].as_str()).flatten().map(Utf8PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_executable_is_found_among_other_messages() {
        let ours = r#"{"target":{"name":"cargo-l4re","kind":["bin"]},"profile":{"test":false},
            "executable":"/t/debug/cargo-l4re"}"#;
        assert_eq!(executable(ours), Some("/t/debug/cargo-l4re".into()));
        let test = r#"{"target":{"name":"cargo-l4re","kind":["bin"]},"profile":{"test":true},
            "executable":"/t/debug/deps/cargo_l4re-1"}"#;
        assert_eq!(executable(test), None);
        let library = r#"{"target":{"name":"l4re-image"},"executable":null}"#;
        assert_eq!(executable(library), None);
        assert_eq!(executable("not JSON"), None);
    }

    #[test]
    fn a_tree_that_is_not_there_or_not_ours_is_made_anew() {
        let folder = camino_tempfile::tempdir().unwrap();
        let (source, tree) = (folder.path().join("s"), folder.path().join("t"));
        fs_err::create_dir_all(&source).unwrap();
        assert!(!belongs_to(&tree, &source));
        fs_err::create_dir_all(&tree).unwrap();
        assert!(!belongs_to(&tree, &source));
        std::os::unix::fs::symlink(&source, tree.join("source")).unwrap();
        assert!(belongs_to(&tree, &source));
        assert!(!belongs_to(&tree, folder.path()));
    }

    #[test]
    fn a_tree_is_laid_out_as_with_l4re() {
        let argv = lay_out_argv(Utf8Path::new("/s"), Utf8Path::new("/t"), "arm64");
        assert_eq!(argv.join(" "), "make --silent --no-print-directory -C /s B=/t T=arm64");
    }
}
