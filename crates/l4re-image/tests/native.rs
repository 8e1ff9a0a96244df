//! Images made natively against images made by make: equal byte for byte, once date, host,
//! user and sequence are, for every entry that is accepted. On the trees that the environment
//! names, as in `real_tree.rs`; without one there is nothing to compare.

use std::error::Error;
use std::ffi::OsString;

use camino::Utf8PathBuf;
use l4re_image::{
    Arch, AssembleError, AssembleOptions, BuildTree, Cancel, KernelTree, Kind, ListOptions,
    MakeRequest, Stamp, assemble, diff, inspect, keep_base, make,
};

#[expect(clippy::disallowed_methods, reason = "a test is told by its environment what to test")]
fn named(kind: &str, arch: &str) -> Option<Utf8PathBuf> {
    std::env::var(format!("L4RE_{kind}_{arch}")).ok().map(Utf8PathBuf::from)
}

/// Entries that only L4Re's tools can build, by their names in the trees of the tests.
const LEFT_TO_MAKE: [&str; 3] = ["hello-perl", "hello-shell", "hello-gz-compressed"];

#[test]
fn native_images_equal_those_of_make() {
    for arch in ["AMD64", "ARM64"] {
        let Some(dir) = named("TREE", arch) else { continue };
        let tree = BuildTree::open(&dir).unwrap();
        let kernel = named("KERNEL", arch).map(|dir| KernelTree::open(&dir).unwrap());
        let mut compared = 0;
        for kind in [Kind::Efi, Kind::Elf] {
            for entry in tree.entries(&ListOptions::default()).unwrap() {
                let mut request = MakeRequest::new(tree.clone(), kind, &entry.name);
                request.kernel = kernel.clone();
                compared += usize::from(compare(&request).unwrap());
            }
        }
        println!("{dir}: {compared} images compared");
        assert!(compared > 0);
    }
}

#[expect(clippy::disallowed_methods, reason = "what make sees is this test's environment")]
fn environment() -> Vec<(OsString, OsString)> {
    std::env::vars_os().collect()
}

/// Whether there was anything to compare: what make cannot build is left to make.
fn compare(request: &MakeRequest) -> Result<bool, Box<dyn Error>> {
    let name = format!("{} {}", request.entry, request.kind.goal());
    let Ok(made) = make(request, &Cancel::default(), &mut |_| {}) else {
        let refused = assemble(request, &AssembleOptions::default());
        assert!(matches!(refused, Err(AssembleError::Unfit(_))), "{name}: {refused:?}");
        return Ok(false);
    };
    let theirs = fs_err::read(&made.image.path)?;
    let seen = inspect(&made.image.path)?;
    let attribute = |key| seen.attribute(key).unwrap_or_default().to_owned();
    let stamp = Stamp {
        date: attribute("l4i:modification-date"),
        host: attribute("l4i:modification-host"),
        user: attribute("l4i:modification-user"),
        name: attribute("l4i:modification-name"),
    };
    let number: u64 = attribute("l4i:sequence").parse()?;
    // Whatever the base image says of itself, it is what make has just used.
    let kept = keep_base(
        request,
        &AssembleOptions { environment: Some(environment()), ..AssembleOptions::default() },
    );
    assert!(kept.is_ok(), "{name}: {kept:?}");
    // With nothing remembered, perhaps; then with modules, then with make's answers, too.
    for round in 0..3 {
        let environment = (round > 0).then(environment);
        let options = AssembleOptions { stamp: stamp.clone(), environment };
        fs_err::write(request.tree.root().join(".image_nr"), format!("{}\n", number - 1))?;
        match assemble(request, &options) {
            Ok(native) => {
                assert_eq!(native.image.path, made.image.path, "{name}");
                assert_eq!(native.standard, made.standard, "{name}");
                let differences = diff(&seen, &inspect(&native.image.path)?);
                assert!(differences.is_empty(), "{name}: {differences:?}");
                let ours = fs_err::read(&native.image.path)?;
                assert!(ours == theirs, "{name}: the bytes differ");
            }
            Err(AssembleError::Unfit(reason)) => {
                fs_err::write(request.tree.root().join(".image_nr"), format!("{number}\n"))?;
                let expected = LEFT_TO_MAKE.contains(&request.entry.as_str());
                // For a platform that always boots by UEFI make rebuilds this each time.
                let odd = request.tree.arch() == Arch::Arm64 && reason.starts_with("base image");
                if odd && round == 0 {
                    continue;
                }
                assert!(expected, "{name} is left to make: {reason}");
                return Ok(false);
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(true)
}
