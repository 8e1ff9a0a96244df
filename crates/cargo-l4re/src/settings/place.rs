//! Where in a text each of its values stands.
//!
//! Serde gives values, the TOML reader gives places; keys join the two.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use camino::Utf8PathBuf;
use toml::de::{DeTable, DeValue};

use super::schema::canonical;

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A file; line and column count from one.
    File {
        /// Its path.
        path: Utf8PathBuf,
        /// The line.
        line: usize,
        /// The column, in characters.
        column: usize,
    },
    /// A variable.
    Variable(String),
    /// A flag, with its value.
    Flag(String),
    /// The default.
    Default,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File { path, line, column } => write!(f, "{path}:{line}:{column}"),
            Self::Variable(name) | Self::Flag(name) => f.write_str(name),
            Self::Default => f.write_str("default"),
        }
    }
}

/// Places by key.
pub type Places = BTreeMap<String, Place>;

/// The places of a file's values, below the table that `root` names.
///
/// A text that is no TOML has none; whoever reads its values says so.
pub fn of_file(path: &camino::Utf8Path, text: &str, root: &[&str]) -> Places {
    let at = |span: Range<usize>| {
        let (line, column) = line_and_column(text, span.start);
        Place::File { path: path.to_owned(), line, column }
    };
    spans(text, root).into_iter().map(|(key, span)| (key, at(span))).collect()
}

/// The places of the values of one `--config` word.
pub fn of_word(word: &str) -> Places {
    let place = Place::Flag(format!("--config {word}"));
    spans(word, &[]).into_keys().map(|key| (key, place.clone())).collect()
}

/// What is wrong with an entry in a text as a whole, below the table that `root` names: one that
/// stands there a second time, and keys that nothing would come of, would be lost without a word.
pub fn unsound(text: &str, root: &[&str]) -> Option<(String, Range<usize>)> {
    let table = DeTable::parse(text).ok()?;
    let entries = below(table.get_ref(), root)?.get("entry")?.get_ref().as_array()?;
    let mut known = BTreeSet::new();
    entries.iter().filter_map(|entry| entry.get_ref().as_table()).find_map(|entry| {
        let name = entry.get("name")?;
        let text = name.get_ref().as_str()?;
        if !known.insert(text.to_owned()) {
            return Some((format!("entry `{text}` stands here for the second time"), name.span()));
        }
        lost(entry).map(|(key, span)| {
            let why = format!(
                "`{key}` goes with `modules` or `roottask`, and entry `{text}` has neither here: \
                 an entry of modules.list stays as it is there"
            );
            (why, span)
        })
    })
}

/// The key of an entry that says what is in its image, where it is not declared.
fn lost<'a>(entry: &'a DeTable<'_>) -> Option<(&'a str, Range<usize>)> {
    let modules = entry.get("modules").and_then(|modules| modules.get_ref().as_array());
    if entry.contains_key("roottask") || modules.is_some_and(|modules| !modules.is_empty()) {
        return None;
    }
    let found = entry
        .iter()
        .find(|(key, _)| matches!(key.get_ref().as_ref(), "kernel" | "sigma0" | "search-path"));
    found.map(|(key, _)| (key.get_ref().as_ref(), key.span()))
}

fn spans(text: &str, root: &[&str]) -> BTreeMap<String, Range<usize>> {
    let mut found = BTreeMap::new();
    if let Ok(table) = DeTable::parse(text)
        && let Some(table) = below(table.get_ref(), root)
    {
        collect(table, &mut Vec::new(), &mut found);
    }
    found
}

/// The table that `root` names.
fn below<'a, 'b>(table: &'a DeTable<'b>, root: &[&str]) -> Option<&'a DeTable<'b>> {
    root.iter().try_fold(table, |table, name| {
        let found = table.iter().find(|(key, _)| key.get_ref() == name);
        found.and_then(|(_, value)| value.get_ref().as_table())
    })
}

fn collect<'a>(
    table: &'a DeTable<'_>,
    path: &mut Vec<&'a str>,
    found: &mut BTreeMap<String, Range<usize>>,
) {
    for (key, value) in table {
        path.push(key.get_ref());
        match value.get_ref() {
            DeValue::Table(below) => collect(below, path, found),
            DeValue::Array(entries) if path.as_slice() == ["entry"] => {
                for entry in entries.iter().filter_map(|entry| entry.get_ref().as_table()) {
                    path.push(
                        entry.get("name").and_then(|name| name.get_ref().as_str()).unwrap_or(""),
                    );
                    collect(entry, path, found);
                    path.pop();
                }
            }
            _ => drop(found.insert(canonical(path.iter().copied()), key.span())),
        }
        path.pop();
    }
}

fn line_and_column(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    // A mark of byte order at the beginning is no column: no editor shows it.
    let columns = before[start..].chars().filter(|c| *c != '\u{feff}').count();
    (line, columns + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_by_key() {
        let text = "[workspace.metadata.l4re]\nttl = \"ä\"\ntree.x86_64 = { build = \"b\" }\n\
                    [[workspace.metadata.l4re.entry]]\nname = \"vm\"\nexpect = []\n";
        let places = of_file("Cargo.toml".into(), text, &["workspace", "metadata", "l4re"]);
        let at = |key: &str| places[key].to_string();
        assert_eq!(at("ttl"), "Cargo.toml:2:1");
        assert_eq!(at("tree.amd64.build"), "Cargo.toml:3:17");
        assert_eq!(at("entry.vm.expect"), "Cargo.toml:6:1");
        assert!(of_file("Cargo.toml".into(), text, &["package"]).is_empty());
        assert!(of_file("Cargo.toml".into(), "no TOML", &[]).is_empty());
        let marked = of_file("l4re.toml".into(), "\u{feff}ttl = \"2h\"\n", &[]);
        assert_eq!(marked["ttl"].to_string(), "l4re.toml:1:1");
    }

    #[test]
    fn an_entry_that_stands_twice_is_found() {
        let text = "[[entry]]\nname = \"a\"\n[[entry]]\nname = \"b\"\n[[entry]]\nname = \"a\"\n";
        let (message, span) = unsound(text, &[]).unwrap();
        assert!(message.starts_with("entry `a`"), "{message}");
        assert_eq!(text[..span.start].lines().count(), 6);
        assert_eq!(unsound("[[entry]]\nname = \"a\"\n", &[]), None);
    }

    #[test]
    fn keys_of_which_nothing_would_come_are_found() {
        for key in ["kernel = \"fiasco -wait\"", "sigma0 = \"s\"", "search-path = [\"x\"]"] {
            let text = |more: &str| format!("[[entry]]\nname = \"hello\"\n{key}\n{more}\n");
            let (message, span) = unsound(&text("modules = []"), &[]).unwrap();
            let named = &text("")[span];
            assert!(key.starts_with(named) && message.contains(named), "{message}");
            assert_eq!(unsound(&text("modules = [\"l4re\"]"), &[]), None);
            assert_eq!(unsound(&text("roottask = \"moe\""), &[]), None);
        }
    }

    #[test]
    fn a_word_is_its_own_place() {
        let places = of_word("tree.amd64.build='/b'");
        assert_eq!(places["tree.amd64.build"].to_string(), "--config tree.amd64.build='/b'");
    }
}
