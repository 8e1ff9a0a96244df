//! What is and what is not a build tree, and the advice that each gets.

use super::sample::SampleTree;
use super::{BuildTree, KernelTree, TreeError};
use crate::arch::Arch;

fn sample() -> SampleTree {
    SampleTree::new("entry hello\n", "all:\n")
}

fn message(sample: &SampleTree, dir: &str) -> String {
    let root = sample.path("");
    let error = BuildTree::open(&sample.path(dir)).unwrap_err().to_string();
    error.replace(root.as_str(), "/")
}

#[test]
fn a_finished_tree() {
    let sample = sample();
    let tree = sample.tree();
    assert_eq!(tree.root(), sample.path("build"));
    assert_eq!(tree.source(), sample.path("src"));
    assert_eq!((tree.arch(), tree.platform(), tree.cpu()), (Arch::X86_64, Some("pc"), "gen"));
    assert_eq!(tree.module_dirs()[1], sample.path("build/bin/amd64_gen/l4f"));
    assert_eq!(tree.images(), sample.path("build/images"));
    assert!(tree.platforms().is_empty());
    let list = "[arm]   arm_virt -- Arm\n[amd64]      pc -- PC\n[arm64] arm_sbsa -- SBSA\n";
    sample.write("build/Kconfig.generated.platforms.list", list);
    assert_eq!(tree.platforms(), [("pc".to_owned(), "PC".to_owned())]);
}

#[test]
fn trees_are_found_upwards() {
    let sample = sample();
    let deep = sample.path("build/bin/amd64_gen");
    let tree = BuildTree::find_upwards(&deep).unwrap().unwrap();
    assert_eq!(tree.root(), sample.path("build"));
    assert!(BuildTree::find_upwards(&sample.path("src")).unwrap().is_none());
    sample.remove("build/bin");
    let include = sample.path("build/include");
    assert!(matches!(BuildTree::find_upwards(&include), Err(TreeError::NotBuilt { .. })));
}

#[test]
fn folders_of_other_sorts() {
    let sample = sample();
    assert_eq!(message(&sample, "none"), "no such folder: /none");
    assert_eq!(message(&sample, "build/Makefile"), "no such folder: /build/Makefile");
    assert!(message(&sample, "src").contains("an L4Re source tree, not a build tree"));
    assert!(message(&sample, "kernel").contains("a kernel build tree"));
    assert_eq!(
        message(&sample, "build/include"),
        "/build/include is not an L4Re build tree: no .kconfig in it"
    );
    let error = KernelTree::open(&sample.path("build")).unwrap_err();
    assert!(matches!(error, TreeError::IsBuildTree { .. }));
}

#[test]
fn trees_that_are_not_finished() {
    let sample = sample();
    sample.remove("build/bin/amd64_gen/plain");
    assert_eq!(
        message(&sample, "build"),
        "/build is not built: /build/bin/amd64_gen is missing; run `make -C /build`"
    );
    sample.write("build/.kconfig", "CONFIG_BUILD_ARCH=\"amd64\"\nCONFIG_BITS=64\n");
    assert!(message(&sample, "build").contains("CONFIG_CPU in .kconfig is missing"));
    sample.write("build/.kconfig", "CONFIG_BUILD_ARCH=\"sparc\"\nCONFIG_BITS=32\n");
    assert!(message(&sample, "build").ends_with("for an unknown architecture, sparc"));
    sample.remove("build/include");
    assert!(message(&sample, "build").contains("not configured: include/generated"));
}

#[test]
fn trees_whose_sources_are_gone() {
    let sample = sample();
    sample.remove("src");
    assert!(message(&sample, "build").contains("the sources of /build are gone: /src"));
    sample.remove("build/source");
    assert!(message(&sample, "build").contains("not configured: source is missing"));
}
