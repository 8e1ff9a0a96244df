//! The crate against L4Re build trees, where `L4RE_TREE_AMD64` or `L4RE_TREE_ARM64` names one
//! that is built (and `L4RE_KERNEL_AMD64`, `L4RE_KERNEL_ARM64` its kernel, where the tree does
//! not know it). `cargo xtask test` runs them where one is named.

use std::sync::Mutex;

use camino::Utf8PathBuf;
use l4re_image::{
    Arch, BuildTree, Cancel, Cause, KernelTree, Kind, ListOptions, MakeError, MakeRequest,
    TreeError, Verdict, extract, inspect, make,
};

#[expect(clippy::disallowed_methods, reason = "a test is told by its environment what to test")]
fn named(kind: &str, arch: &str) -> Option<Utf8PathBuf> {
    std::env::var(format!("L4RE_{kind}_{arch}")).ok().map(Utf8PathBuf::from)
}

type Named = (BuildTree, Option<KernelTree>);

/// Two makes in one tree, with different settings, would rebuild under each other's feet.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// The trees that there are, with their kernels.
fn trees() -> Result<Vec<Named>, TreeError> {
    let open = |arch| {
        let tree = BuildTree::open(&named("TREE", arch)?);
        let kernel = named("KERNEL", arch).map(|dir| KernelTree::open(&dir)).transpose();
        Some(tree.and_then(|tree| Ok((tree, kernel?))))
    };
    let trees: Vec<Named> =
        ["AMD64", "ARM64"].into_iter().filter_map(open).collect::<Result<_, _>>()?;
    assert!(!trees.is_empty(), "neither L4RE_TREE_AMD64 nor L4RE_TREE_ARM64 names a build tree");
    Ok(trees)
}

#[test]
#[ignore = "needs real build trees: L4RE_TREE_AMD64, L4RE_TREE_ARM64"]
fn hello_is_built_and_sound() {
    let _alone = ONE_AT_A_TIME.lock();
    for (tree, kernel) in trees().unwrap() {
        let entries = tree.entries(&ListOptions::default()).unwrap();
        assert!(entries.iter().any(|entry| entry.name == "hello"));
        for kind in [Kind::Elf, Kind::Efi] {
            let mut request = MakeRequest::new(tree.clone(), kind, "hello");
            request.kernel = kernel.clone();
            let made = match make(&request, &Cancel::default(), &mut |_| {}) {
                Err(MakeError::Failed(failure))
                    if matches!(failure.cause, Cause::GoalArch { .. }) =>
                {
                    continue;
                }
                made => made.unwrap(),
            };
            assert_eq!((made.image.arch, made.image.kind), (tree.arch(), kind));
            assert_eq!(made.standard.is_some(), kind == Kind::Efi);
            let seen = inspect(&made.image.path).unwrap();
            assert!(seen.checks.iter().all(|c| matches!(c.verdict, Verdict::Pass | Verdict::Skip)));
            assert_eq!(seen.platform.as_deref(), tree.platform());
            assert_eq!(seen.wants_el2.is_some(), tree.arch() == Arch::Arm64);
            if let (Some(kernel), Some(el2)) = (&kernel, seen.wants_el2) {
                assert_eq!(kernel.wants_el2(), Some(el2));
            }
        }
    }
}

#[test]
#[ignore = "needs real build trees: L4RE_TREE_AMD64, L4RE_TREE_ARM64"]
fn modules_are_unpacked_as_l4image_does() {
    let _alone = ONE_AT_A_TIME.lock();
    for (tree, _) in trees().unwrap() {
        for image in ["bootstrap_hello.efi", "bootstrap_hello.elf"] {
            let image = tree.images().join(image);
            let tool = tree.source().join("tool/bin/l4image");
            if !image.exists() || !tool.exists() {
                continue;
            }
            let dir = camino_tempfile::tempdir().unwrap();
            let (ours, theirs) = (dir.path().join("ours"), dir.path().join("theirs"));
            let written = extract(&image, &ours).unwrap();
            let args = ["-i", image.as_str(), "--outputdir", theirs.as_str(), "extract"];
            duct::cmd(tool.as_str(), args).stdout_null().run().unwrap();
            assert_eq!(written.len(), fs_err::read_dir(&theirs).unwrap().count());
            for file in written {
                let same = theirs.join(file.file_name().unwrap());
                assert_eq!(fs_err::read(&file).unwrap(), fs_err::read(same).unwrap(), "{file}");
            }
        }
    }
}

#[test]
#[ignore = "needs real build trees: L4RE_TREE_AMD64, L4RE_TREE_ARM64"]
fn what_goes_wrong_is_understood() {
    let _alone = ONE_AT_A_TIME.lock();
    for (tree, kernel) in trees().unwrap() {
        let mut request = MakeRequest::new(tree, Kind::Efi, "helo");
        request.kernel = kernel;
        let cause = |request: &MakeRequest| match make(request, &Cancel::default(), &mut |_| {}) {
            Err(MakeError::Failed(failure)) => failure.cause,
            other => panic!("{other:?}"),
        };
        let Cause::UnknownEntry { name, known } = cause(&request) else { panic!("entry") };
        assert_eq!(name, "helo");
        assert!(known.contains(&"hello".to_owned()));
        request.platform = Some("no_such_platform".to_owned());
        let Cause::UnknownPlatform { name, available } = cause(&request) else { panic!("PT") };
        assert_eq!(name, "no_such_platform");
        assert!(available.iter().any(|name| Some(name.as_str()) == request.tree.platform()));
    }
}
