//! The links of rendered pages: each leads to a file that is there, and to an anchor in it.
//!
//! What mdBook writes is regular enough to be read by its attributes. Addresses elsewhere are
//! not followed: the network is not part of a test.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

/// Pages that mdBook makes of all others, or for itself: their links are those of the others.
const MADE_OF_OTHERS: [&str; 3] = ["print.html", "404.html", "toc.html"];

/// A rendered page.
#[derive(Debug, Default)]
pub(super) struct Page {
    anchors: BTreeSet<String>,
    targets: BTreeSet<String>,
}

/// The pages in a folder, by their names; the book has no folders below it.
pub(super) fn pages(out: &Utf8Path) -> Result<BTreeMap<String, Page>> {
    let mut pages = BTreeMap::new();
    for entry in out.read_dir_utf8()? {
        let entry = entry?;
        if Utf8PathBuf::from(entry.file_name()).extension() == Some("html") {
            let text = fs_err::read_to_string(entry.path())?;
            pages.insert(entry.file_name().to_owned(), page(&text));
        }
    }
    Ok(pages)
}

fn page(html: &str) -> Page {
    Page {
        anchors: values(html, " id=\"").collect(),
        targets: values(html, " href=\"").chain(values(html, " src=\"")).collect(),
    }
}

/// The values of an attribute.
fn values<'a>(html: &'a str, attribute: &'a str) -> impl Iterator<Item = String> + 'a {
    let parts = html.split(attribute).skip(1);
    parts.filter_map(|rest| rest.split('"').next()).map(|value| value.replace("&amp;", "&"))
}

/// Links that lead nowhere, as lines; `exists` tells which files there are.
pub(super) fn check(pages: &BTreeMap<String, Page>, exists: impl Fn(&str) -> bool) -> Vec<String> {
    let mut findings = Vec::new();
    for (name, page) in pages.iter().filter(|(name, _)| !MADE_OF_OTHERS.contains(&name.as_str())) {
        let elsewhere = |target: &&String| target.contains(':') || target.starts_with("//");
        for target in page.targets.iter().filter(|target| !elsewhere(target)) {
            let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
            let path = if path.is_empty() { name } else { path };
            if !exists(path) {
                findings.push(format!("{name}: no such file: {target}"));
                continue;
            }
            let Some(led_to) = pages.get(path).filter(|_| !anchor.is_empty()) else { continue };
            if !led_to.anchors.contains(anchor) {
                findings.push(format!("{name}: no such anchor: {target}"));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_to_nowhere_is_found() {
        let pages = BTreeMap::from([
            (
                "a.html".to_owned(),
                page(
                    "<h1 id=\"top\"><a href=\"#top\"><a href=\"b.html#two\"><a href=\"b.html#no\">\
                     <img src=\"gone.svg\"><a href=\"https://example.org/#x\"><a href=\"#not\">",
                ),
            ),
            ("b.html".to_owned(), page("<h2 class=\"x\" id=\"two\">")),
            ("print.html".to_owned(), page("<a href=\"#whatever\">")),
        ]);
        let found = check(&pages, |path| pages.contains_key(path));
        assert_eq!(
            found,
            [
                "a.html: no such anchor: #not",
                "a.html: no such anchor: b.html#no",
                "a.html: no such file: gone.svg"
            ]
        );
    }
}
