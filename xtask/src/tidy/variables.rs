//! Each variable that the command reads is in the book, and the book names no other.
//!
//! A variable is read by `get("NAME")` of the environment, or by what commands call that. The
//! rows of `AWS_*` and the like stand for what others read.

use std::collections::BTreeMap;

use camino::Utf8PathBuf;

use super::Finding;
use super::files::File;

const PAGE: &str = "docs/src/environment.md";
const CODE: &str = "crates/cargo-l4re/src";
/// How code names the variable that it reads.
const READS: [&str; 2] = ["get(\"", "variable(\""];

/// Variables that only one of code and page names.
pub(super) fn check(files: &[File]) -> Vec<Finding> {
    let Some(page) = files.iter().find(|file| file.path == PAGE) else { return Vec::new() };
    let code: Vec<&File> = files
        .iter()
        .filter(|file| file.path.starts_with(CODE) && file.path.extension() == Some("rs"))
        .collect();
    let named = named(&page.text);
    let read: BTreeMap<&str, (Utf8PathBuf, usize)> =
        code.iter().flat_map(|file| read(file)).collect();
    let missing = read.iter().filter(|(name, _)| !named.contains_key(**name));
    let missing = missing.map(|(name, (path, line))| {
        Finding::new(path, *line, format!("{PAGE} does not name the variable {name}"))
    });
    let is_known = |name: &str| code.iter().any(|file| file.text.contains(name));
    let stale = named.iter().filter(|(name, _)| !name.ends_with('*') && !is_known(name));
    let stale = stale.map(|(name, line)| {
        Finding::new(&page.path, *line, format!("nothing in {CODE} knows the variable {name}"))
    });
    missing.chain(stale).collect()
}

/// The variables in the first column of the page's last table, with their lines.
fn named(page: &str) -> BTreeMap<&str, usize> {
    let lines = page.lines().enumerate().skip_while(|(_, line)| !line.contains("not settings"));
    let rows = lines.filter(|(_, line)| line.starts_with("| `"));
    let cells = rows.filter_map(|(index, line)| Some((index, line.split('|').nth(1)?)));
    cells
        .flat_map(|(index, cell)| {
            cell.split('`').skip(1).step_by(2).map(move |name| (name, index + 1))
        })
        .collect()
}

/// The variables that a file reads, tests left out.
fn read(file: &File) -> Vec<(&str, (Utf8PathBuf, usize))> {
    let lines = file.text.lines().take_while(|line| line.trim() != "#[cfg(test)]").enumerate();
    let mut found = Vec::new();
    for (index, line) in lines {
        for (start, begin) in READS.iter().flat_map(|begin| line.match_indices(begin)) {
            let name = line[start + begin.len()..].split('"').next().unwrap_or_default();
            let is_variable = name.len() > 1
                && name.starts_with(|c: char| c.is_ascii_uppercase())
                && name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
            if is_variable {
                found.push((name, (file.path.clone(), index + 1)));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_and_code_name_the_same_variables() {
        let page = "| `TTL` |\n## Variables that are not settings\n| `A_B`, `AWS_*` | x `NO` |\n| `GONE` | y |\n";
        let code = "let a = environment.get(\"A_B\");\nlet c = variable(\"NEW\");\nmap.get(\"key\");\n\
                    #[cfg(test)]\nget(\"TEST\")\n";
        let files = [File::of(PAGE, page), File::of("crates/cargo-l4re/src/a.rs", code)];
        let found: Vec<String> = check(&files).iter().map(ToString::to_string).collect();
        assert_eq!(
            found,
            [
                "crates/cargo-l4re/src/a.rs:2: docs/src/environment.md does not name the variable NEW",
                "docs/src/environment.md:4: nothing in crates/cargo-l4re/src knows the variable GONE",
            ]
        );
    }
}
