//! Which files there are, and the rules about files as such: names, sizes, what must exist.
//!
//! The tree is walked by ourselves and not by git, so that a checkout which git distrusts
//! (another owner, no `.git`) is checked all the same. What `.gitignore` names is left out.

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

use super::Finding;

/// Nothing under tests/fixtures may be larger, in bytes.
const LARGEST_FIXTURE: u64 = 1 << 20;
/// A name that says nothing about what is inside.
const EMPTY_NAMES: [&str; 5] = ["utils", "util", "helpers", "common", "manager"];
/// The program of the end-to-end tests, whose modules are the files beside it.
const END_TO_END: &str = "tests/tests/main.rs";
/// What a checkout must have.
const NEEDED: [&str; 9] = [
    "Cargo.lock",
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "LICENSE-MIT",
    "LICENSE-APACHE",
    "docs/book.toml",
    "docs/src/SUMMARY.md",
];

/// A file of the checkout.
pub(super) struct File {
    /// Relative to the root.
    pub(super) path: Utf8PathBuf,
    /// In bytes.
    pub(super) size: u64,
    /// Its text; empty when it is not UTF-8.
    pub(super) text: String,
}

impl File {
    /// One that tests make up.
    #[cfg(test)]
    pub(super) fn of(path: &str, text: &str) -> Self {
        Self { path: path.into(), size: text.len() as u64, text: text.to_owned() }
    }

    /// Whether rules about words apply: written by people, in this project.
    pub(super) fn is_text(&self) -> bool {
        !self.text.is_empty() && self.path.file_name() != Some("Cargo.lock")
    }
}

/// All files below `root` that git would not ignore, in order of their paths.
pub(super) fn list(root: &Utf8Path) -> Result<Vec<File>> {
    let ignored = fs_err::read_to_string(root.join(".gitignore")).unwrap_or_default();
    let mut files = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in folder.read_dir_utf8()? {
            let entry = entry?;
            let path = entry.path().strip_prefix(root)?.to_owned();
            let kind = entry.file_type()?;
            if path == ".git" || is_ignored(&path, &ignored) {
                continue;
            }
            if kind.is_dir() {
                folders.push(entry.path().to_owned());
            } else if kind.is_file() {
                let bytes = fs_err::read(entry.path())?;
                let size = bytes.len() as u64;
                files.push(File { path, size, text: String::from_utf8(bytes).unwrap_or_default() });
            }
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

/// The rules about files as such.
pub(super) fn check(files: &[File]) -> Vec<Finding> {
    let mut findings: Vec<Finding> = files.iter().filter_map(too_large).collect();
    findings.extend(files.iter().filter_map(empty_name));
    findings.extend(left_out(files));
    for needed in NEEDED {
        if !files.iter().any(|file| file.path == needed) {
            findings.push(Finding::new(Utf8Path::new(needed), 1, "this file is missing"));
        }
    }
    findings
}

/// Git's rules as far as this project's `.gitignore` uses them: `/path` and `*.ending`.
fn is_ignored(path: &Utf8Path, rules: &str) -> bool {
    rules.lines().any(|rule| match rule.trim().strip_prefix('/') {
        Some(below) => path.starts_with(below.trim_end_matches('/')),
        None => rule.trim().strip_prefix('*').is_some_and(|ending| path.as_str().ends_with(ending)),
    })
}

fn too_large(file: &File) -> Option<Finding> {
    let large = file.path.starts_with("tests/fixtures") && file.size > LARGEST_FIXTURE;
    large.then(|| {
        let message = format!("a fixture of {} bytes; at most {LARGEST_FIXTURE}", file.size);
        Finding::new(&file.path, 1, message)
    })
}

fn empty_name(file: &File) -> Option<Finding> {
    if file.path.extension() != Some("rs") {
        return None;
    }
    let mut parts = file.path.components().map(|part| part.as_str().trim_end_matches(".rs"));
    let name = parts.find(|part| EMPTY_NAMES.contains(part))?;
    Some(Finding::new(&file.path, 1, format!("`{name}` says nothing about what is inside")))
}

/// Files of end-to-end tests that nobody would run.
fn left_out(files: &[File]) -> Vec<Finding> {
    let program = files.iter().find(|file| file.path == END_TO_END);
    let modules = program.map_or("", |file| &file.text);
    let folder = Utf8Path::new(END_TO_END).parent();
    let beside = files.iter().filter(|file| {
        file.path.parent() == folder
            && file.path != END_TO_END
            && file.path.extension() == Some("rs")
    });
    let unnamed = beside.filter(|file| {
        let module = format!("mod {};", file.path.file_stem().unwrap_or_default());
        !modules.lines().any(|line| line == module)
    });
    let message = format!("nobody runs these tests: no module of {END_TO_END}");
    unnamed.map(|file| Finding::new(&file.path, 1, message.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn end_to_end_tests_that_nobody_runs_are_found() {
        let program = File::of(END_TO_END, "//! All.\n\nmod desk;\n");
        let desk = File::of("tests/tests/desk.rs", "");
        assert_eq!(left_out(&[program, desk]), []);
        let program = File::of(END_TO_END, "//! All.\n\nmod desks;\n");
        let files = [program, File::of("tests/tests/desk.rs", ""), File::of("tests/src/a.rs", "")];
        let found = left_out(&files);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].path, "tests/tests/desk.rs");
    }

    fn file(path: &str, size: u64) -> File {
        File { path: path.into(), size, text: String::new() }
    }

    #[test]
    fn a_large_fixture_is_found_and_a_large_other_file_is_not() {
        assert!(too_large(&file("tests/fixtures/a.bin", LARGEST_FIXTURE + 1)).is_some());
        assert!(too_large(&file("tests/fixtures/a.bin", LARGEST_FIXTURE)).is_none());
        assert!(too_large(&file("docs/a.png", LARGEST_FIXTURE + 1)).is_none());
    }

    #[test]
    fn names_that_say_nothing_are_found_in_files_and_folders() {
        assert!(empty_name(&file("crates/x/src/utils.rs", 1)).is_some());
        assert!(empty_name(&file("crates/x/src/common/a.rs", 1)).is_some());
        assert!(empty_name(&file("crates/x/src/commons.rs", 1)).is_none());
        assert!(empty_name(&file("docs/common.md", 1)).is_none());
    }

    #[test]
    fn what_git_ignores_is_left_out() {
        let rules = "/target\n/tests/fixtures/mini-l4re/build\n*.profraw\n";
        assert!(is_ignored(Utf8Path::new("target/debug"), rules));
        assert!(is_ignored(Utf8Path::new("a/b.profraw"), rules));
        assert!(!is_ignored(Utf8Path::new("crates/target.rs"), rules));
    }

    #[test]
    fn a_checkout_is_walked_without_git() {
        let root = camino_tempfile::tempdir().unwrap();
        for path in [".git/HEAD", "target/x", "src/b.rs", "src/a.bin"] {
            let path = root.path().join(path);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, [0xff]).unwrap();
        }
        fs_err::write(root.path().join("src/b.rs"), "//! B.\n").unwrap();
        fs_err::write(root.path().join(".gitignore"), "/target\n").unwrap();
        let files = list(root.path()).unwrap();
        let texts: Vec<_> = files.iter().map(|file| (file.path.as_str(), file.is_text())).collect();
        assert_eq!(texts, [(".gitignore", true), ("src/a.bin", false), ("src/b.rs", true)]);
    }

    #[test]
    fn what_must_exist_is_missed() {
        let findings = check(&[file("Cargo.lock", 1)]);
        assert_eq!(findings.len(), NEEDED.len() - 1);
    }
}
