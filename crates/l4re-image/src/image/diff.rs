//! What two images differ in: the image itself, its attributes, and module by module.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::inspection::{Attribute, Inspection, Module};

/// One difference between two images, `a` and `b`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "of", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Difference {
    /// The image as a whole.
    Image(Change),
    /// An attribute; `None` where it is missing.
    Attribute {
        /// Its key.
        key: String,
        /// Its value in `a`.
        a: Option<String>,
        /// Its value in `b`.
        b: Option<String>,
    },
    /// A module in `a` only.
    Removed {
        /// Its name.
        name: String,
        /// Its place, from 0.
        index: usize,
    },
    /// A module in `b` only.
    Added {
        /// Its name.
        name: String,
        /// Its place, from 0.
        index: usize,
    },
    /// A module in both.
    Module {
        /// Its name.
        name: String,
        /// What differs, at least one thing.
        changes: Vec<Change>,
    },
}

/// A value that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// What it is.
    pub field: &'static str,
    /// In `a`.
    pub a: String,
    /// In `b`.
    pub b: String,
}

/// The differences of two images; none when they hold the same.
///
/// Modules are matched by name, several of one name in their order. Contents are compared by
/// the sums that the images state, which [`inspect`](super::inspect) checks.
pub fn diff(a: &Inspection, b: &Inspection) -> Vec<Difference> {
    let mut changes = Changes::default();
    changes.add("kind", &a.kind, &b.kind);
    changes.add("architecture", &a.arch, &b.arch);
    changes.add("size", &a.size, &b.size);
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    changes.add("command line", &text(&a.cmdline), &text(&b.cmdline));
    changes.add("SHA-256 of the bootstrapper", &text(&a.code), &text(&b.code));
    // Of a file that is no L4Re image nothing else is known.
    if a.info.is_none() && b.info.is_none() {
        changes.add("SHA-256", &text(&a.sha256), &text(&b.sha256));
    }
    let mut differences: Vec<_> = changes.0.into_iter().map(Difference::Image).collect();
    differences.extend(attributes(&a.attributes, &b.attributes));
    differences.extend(modules(&a.modules, &b.modules));
    differences
}

#[derive(Default)]
struct Changes(Vec<Change>);

impl Changes {
    fn add<T: ToString + PartialEq>(&mut self, field: &'static str, a: &T, b: &T) {
        if a != b {
            self.0.push(Change { field, a: a.to_string(), b: b.to_string() });
        }
    }
}

fn attributes(a: &[Attribute], b: &[Attribute]) -> Vec<Difference> {
    let map = |list: &[Attribute]| -> BTreeMap<String, String> {
        list.iter().map(|attribute| (attribute.key.clone(), attribute.value.clone())).collect()
    };
    let (a, b) = (map(a), map(b));
    let keys: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
    keys.into_iter()
        .filter(|key| a.get(*key) != b.get(*key))
        .map(|key| Difference::Attribute {
            key: key.clone(),
            a: a.get(key).cloned(),
            b: b.get(key).cloned(),
        })
        .collect()
}

/// Modules by name and by how many of that name came before.
fn numbered(modules: &[Module]) -> BTreeMap<(&str, usize), (usize, &Module)> {
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    let mut numbered = BTreeMap::new();
    for (index, module) in modules.iter().enumerate() {
        let count = seen.entry(&module.name).or_default();
        *count += 1;
        numbered.insert((module.name.as_str(), *count), (index, module));
    }
    numbered
}

fn modules(a: &[Module], b: &[Module]) -> Vec<Difference> {
    let (a, b) = (numbered(a), numbered(b));
    let keys: BTreeSet<_> = a.keys().chain(b.keys()).copied().collect();
    let mut found: Vec<(usize, Difference)> = keys
        .into_iter()
        .filter_map(|key| {
            let name = key.0.to_owned();
            match (a.get(&key), b.get(&key)) {
                (Some(&(index, _)), None) => Some((index, Difference::Removed { name, index })),
                (None, Some(&(index, _))) => Some((index, Difference::Added { name, index })),
                (Some(a), Some(b)) => {
                    let changes = changes(*a, *b).0;
                    (!changes.is_empty()).then_some((a.0, Difference::Module { name, changes }))
                }
                (None, None) => None,
            }
        })
        .collect();
    found.sort_by_key(|(index, _)| *index);
    found.into_iter().map(|(_, difference)| difference).collect()
}

fn changes((a_index, a): (usize, &Module), (b_index, b): (usize, &Module)) -> Changes {
    let mut changes = Changes::default();
    changes.add("place", &a_index, &b_index);
    changes.add("flags", &a.flags, &b.flags);
    changes.add("command line", &a.cmdline, &b.cmdline);
    changes.add("size", &a.size_uncompressed, &b.size_uncompressed);
    changes.add("size in the image", &a.size, &b.size);
    changes.add("MD5", &a.md5_uncompressed, &b.md5_uncompressed);
    let text = |module: &Module| {
        let pairs: Vec<_> =
            module.attributes.iter().map(|a| format!("{}={}", a.key, a.value)).collect();
        pairs.join(",")
    };
    changes.add("attributes", &text(a), &text(b));
    changes
}
