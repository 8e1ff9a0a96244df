//! Make, started where a package is built: what a developer types after a change of sources.

use camino::Utf8Path;

use super::process::{self, Cancel};
use super::watch::Watch;
use super::{MakeError, MakeFailure};
use crate::tree::Package;

/// Builds a package and nothing else. `on_output` gets make's output as [`make`](super::make)
/// gives it.
pub fn make_package(
    package: &Package,
    cancel: &Cancel,
    on_output: &mut dyn FnMut(&[u8]),
) -> Result<(), MakeError> {
    let mut watch = Watch::default();
    let status = process::run(&argv(&package.objects), cancel, &mut |bytes| {
        watch.feed(bytes);
        on_output(bytes);
    })?;
    if status.success() {
        return Ok(());
    }
    let (cause, lines) = watch.finish();
    let (code, status) = (status.code(), status.to_string());
    Err(MakeError::Failed(Box::new(MakeFailure { status, code, cause, lines })))
}

fn argv(objects: &Utf8Path) -> Vec<String> {
    ["make", "--no-print-directory", "-C", objects.as_str()].map(str::to_owned).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::sample::SampleTree;

    #[test]
    fn a_package_is_found_by_what_it_makes_and_built_alone() {
        let sample = SampleTree::new("", "");
        sample.write("src/pkg/hello/Control", "");
        sample.write("src/pkg/hello/server/src/main.c", "");
        sample.write("build/pkg/hello/server/src/Makefile", "all:\n\t@echo built hello\n");
        sample.write("build/pkg/hello/server/src/OBJ-amd64_gen-std-l4f/hello", "");
        sample.write("build/pkg/other/src/OBJ-amd64_gen-std-l4f/other", "");
        let tree = sample.tree();
        let packages = tree.packages(&["hello", "moe"]);
        let expected = Package {
            sources: sample.path("src/pkg/hello"),
            objects: sample.path("build/pkg/hello/server/src"),
        };
        assert_eq!(packages, [expected]);
        let mut said = Vec::new();
        make_package(&packages[0], &Cancel::default(), &mut |bytes| said.extend(bytes)).unwrap();
        assert_eq!(String::from_utf8(said).unwrap(), "built hello\n");
    }

    #[test]
    fn a_failure_is_makes_own() {
        let sample = SampleTree::new("", "");
        sample.write("build/pkg/x/Makefile", "all:\n\t@echo a.c:1:2: error: no; exit 3\n");
        let package = Package { sources: sample.path("src"), objects: sample.path("build/pkg/x") };
        let error = make_package(&package, &Cancel::default(), &mut |_| {}).unwrap_err();
        assert!(matches!(error, MakeError::Failed(failure) if failure.code == Some(2)));
    }
}
