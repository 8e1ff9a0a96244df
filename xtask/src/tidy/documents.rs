//! Links of Markdown files lead somewhere, and the book's SUMMARY.md names each page once.
//!
//! Only links within the project are followed, with their `#heading`; the network is not.

use camino::{Utf8Path, Utf8PathBuf};

use super::Finding;
use super::files::File;

const SUMMARY: &str = "docs/src/SUMMARY.md";
const PAGES: &str = "docs/src";

/// Links of `file` that lead nowhere among `files`.
pub(super) fn links(file: &File, files: &[File]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (line, target) in targets(&file.text) {
        if target.contains("://") || target.starts_with("mailto:") {
            continue;
        }
        if let Some(reason) = broken(&file.path, target, files) {
            findings.push(Finding::new(&file.path, line, format!("{reason}: `{target}`")));
        }
    }
    findings
}

/// Pages that SUMMARY.md does not name, or names twice.
pub(super) fn book(files: &[File]) -> Vec<Finding> {
    let Some(summary) = files.iter().find(|file| file.path == SUMMARY) else {
        return Vec::new();
    };
    let named: Vec<Utf8PathBuf> = targets(&summary.text)
        .into_iter()
        .map(|(_, target)| resolved(&summary.path, without_heading(target).0))
        .collect();
    let pages = files.iter().filter(|file| {
        file.path.starts_with(PAGES) && file.path.extension() == Some("md") && file.path != SUMMARY
    });
    let findings =
        pages.filter_map(|page| match named.iter().filter(|name| **name == page.path).count() {
            0 => Some(Finding::new(&page.path, 1, "SUMMARY.md does not name this page")),
            1 => None,
            _ => Some(Finding::new(&page.path, 1, "SUMMARY.md names this page twice")),
        });
    findings.collect()
}

fn broken(from: &Utf8Path, target: &str, files: &[File]) -> Option<&'static str> {
    let (path, heading) = without_heading(target);
    let path = if path.is_empty() { from.to_owned() } else { resolved(from, path) };
    let is_folder = || files.iter().any(|file| file.path.starts_with(&path));
    let Some(file) = files.iter().find(|file| file.path == path) else {
        return if is_folder() { None } else { Some("no such file") };
    };
    let heading = heading?;
    let found = headings(&file.text).iter().any(|have| have == heading);
    (!found).then_some("no such heading")
}

fn without_heading(target: &str) -> (&str, Option<&str>) {
    target.split_once('#').map_or((target, None), |(path, heading)| (path, Some(heading)))
}

/// `target` as seen from the file `from`, relative to the root.
fn resolved(from: &Utf8Path, target: &str) -> Utf8PathBuf {
    let mut path = from.parent().unwrap_or(Utf8Path::new("")).to_owned();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(path.pop()),
            name => path.push(name),
        }
    }
    path
}

/// The targets of `[text](target)` outside code, with their lines.
fn targets(text: &str) -> Vec<(usize, &str)> {
    let mut targets = Vec::new();
    for (number, line) in prose(text) {
        for (start, _) in line.match_indices("](") {
            let outside_code = line[..start].matches('`').count() % 2 == 0;
            let rest = &line[start + 2..];
            if let (true, Some(end)) = (outside_code, rest.find(')')) {
                targets.push((number, rest[..end].trim()));
            }
        }
    }
    targets
}

/// The headings of a page as they are spelt in a link.
fn headings(text: &str) -> Vec<String> {
    let titles = prose(text).filter(|(_, line)| line.starts_with('#'));
    titles.map(|(_, line)| slug(line.trim_start_matches('#').trim())).collect()
}

fn slug(title: &str) -> String {
    let kept = title.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

/// The lines outside fenced code, with their numbers.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fenced = false;
    text.lines().enumerate().filter_map(move |(index, line)| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        (!fenced && !fence).then_some((index + 1, line))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_followed_from_where_they_stand() {
        let files = [
            File::of(
                "docs/src/a.md",
                "# One\n[b](b.md#two-words) [top](../../README.md) [dir](../)\n",
            ),
            File::of(
                "docs/src/b.md",
                "## Two words\n[out](https://example.org/x) `[no](gone.md)`\n",
            ),
            File::of("README.md", "```\n[no](gone.md)\n```\n[self](#x)\n# x\n"),
        ];
        for page in &files {
            assert_eq!(links(page, &files), [], "{}", page.path);
        }
    }

    #[test]
    fn a_link_to_nowhere_is_found_with_its_line() {
        let page = File::of("README.md", "# A\n\n[gone](docs/gone.md)\n[a](#b)\n");
        let found: Vec<String> =
            links(&page, std::slice::from_ref(&page)).iter().map(ToString::to_string).collect();
        assert_eq!(
            found,
            ["README.md:3: no such file: `docs/gone.md`", "README.md:4: no such heading: `#b`"]
        );
    }

    #[test]
    fn the_summary_names_each_page_once() {
        let files = [
            File::of("docs/src/SUMMARY.md", "- [A](a.md)\n- [A](./a.md)\n- [C](c.md)\n"),
            File::of("docs/src/a.md", "# A\n"),
            File::of("docs/src/b.md", "# B\n"),
            File::of("docs/src/c.md", "# C\n"),
        ];
        let found: Vec<String> = book(&files).iter().map(ToString::to_string).collect();
        assert_eq!(
            found,
            [
                "docs/src/a.md:1: SUMMARY.md names this page twice",
                "docs/src/b.md:1: SUMMARY.md does not name this page"
            ]
        );
    }

    #[test]
    fn headings_are_spelt_as_the_book_spells_them() {
        assert_eq!(slug("Exit codes: 0 to 9"), "exit-codes-0-to-9");
        assert_eq!(slug("`run` and `deploy`"), "run-and-deploy");
    }
}
