//! Which folders matter for an image: settings, the module list, modules, and the sources
//! that modules are built from.
//!
//! Folders are watched, not files: editors replace files, and a new module may come to stand
//! before an old one on the search path.

use std::collections::BTreeSet;

use camino::{Utf8Path, Utf8PathBuf};
use l4re_image::{Image, Package};

use crate::commands::Context;
use crate::settings::Module;
use crate::source::Source;

/// Folders that are watched at most; more are no sources of one entry.
const MOST: usize = 4096;

/// What is looked at.
#[derive(Debug, Default)]
pub struct Scope {
    /// Folders whose own files matter.
    flat: BTreeSet<Utf8PathBuf>,
    /// Folders in which everything matters.
    deep: BTreeSet<Utf8PathBuf>,
    /// What make builds from sources that are looked at.
    pub packages: Vec<Package>,
    /// Folders that a build of ours writes to.
    pub made: Vec<Utf8PathBuf>,
}

impl Scope {
    /// What matters for an image of `source`; `image` is the last one that was made.
    pub fn of(context: &Context, source: &Source, image: Option<&Image>) -> Self {
        let mut scope = Self::default();
        scope.flat.extend(context.settings.folders());
        match source {
            Source::Image(image) => scope.flat.extend(image.path.parent().map(Utf8Path::to_owned)),
            Source::Entry { place, entry, variables, .. } => {
                let tree = &place.tree;
                let list = place.list_options(variables).modules_list;
                let list = list.unwrap_or_else(|| tree.modules_list());
                scope.flat.extend(list.parent().map(Utf8Path::to_owned));
                scope.flat.extend(place.kernel().map(Utf8Path::to_owned));
                scope.flat.insert(tree.root().join("conf"));
                scope.deep.insert(tree.root().join("bin"));
                scope.flat.extend(search_path(context, variables));
                scope.packages = image.map(|image| packages(tree, image)).unwrap_or_default();
                scope.deep.extend(scope.packages.iter().map(|package| package.sources.clone()));
                scope.add_declared(context, entry);
                scope.made = vec![tree.root().to_owned()];
            }
        }
        scope
    }

    /// Every folder to watch.
    pub fn folders(&self) -> BTreeSet<Utf8PathBuf> {
        let mut folders: BTreeSet<_> =
            self.flat.iter().filter(|folder| folder.is_dir()).cloned().collect();
        for top in &self.deep {
            add_below(top, &mut folders);
        }
        folders
    }

    /// The packages that must be built again after these changes.
    pub fn stale(&self, changed: &BTreeSet<Utf8PathBuf>) -> Vec<&Package> {
        let of = |package: &&Package| changed.iter().any(|path| path.starts_with(&package.sources));
        self.packages.iter().filter(of).collect()
    }

    /// What an entry of the settings adds: files, further folders, Cargo's packages.
    fn add_declared(&mut self, context: &Context, name: &str) {
        let Some(entry) = context.settings.declared().into_iter().find(|e| e.name == name) else {
            return;
        };
        self.flat.extend(entry.search_path.iter().cloned());
        for module in &entry.modules {
            let Module::Described(table) = module else { continue };
            match &table.file {
                Some(file) => self.flat.extend(file.parent().map(Utf8Path::to_owned)),
                None => self.deep.extend(context.settings.folders()),
            }
        }
    }

    #[cfg(test)]
    pub(super) fn for_test(folders: &[&Utf8Path]) -> Self {
        let deep = folders.iter().map(|&folder| folder.to_owned()).collect();
        Self { deep, ..Self::default() }
    }
}

/// What the image's modules are built from. A tree that does not mirror its sources is built
/// as a whole.
fn packages(tree: &l4re_image::BuildTree, image: &Image) -> Vec<Package> {
    let Ok(inspection) = l4re_image::inspect_headers(&image.path) else { return Vec::new() };
    let names: Vec<&str> =
        inspection.modules.iter().filter_map(|module| module.name.rsplit('/').next()).collect();
    let found = tree.packages(&names);
    if found.is_empty() {
        let sources = tree.source().join("pkg");
        return vec![Package { sources, objects: tree.root().to_owned() }];
    }
    found
}

fn search_path(context: &Context, variables: &[(String, String)]) -> Vec<Utf8PathBuf> {
    let given = variables.iter().find(|(name, _)| name == "MODULE_SEARCH_PATH");
    let words = given.map(|(_, value)| value.as_str());
    let words = words.or_else(|| context.environment.get("MODULE_SEARCH_PATH")).unwrap_or_default();
    let folders = words.split([':', ' ', '\t']).filter(|word| !word.is_empty());
    folders.map(|word| context.environment.folder().join(word)).collect()
}

fn add_below(top: &Utf8Path, folders: &mut BTreeSet<Utf8PathBuf>) {
    let mut open = vec![top.to_owned()];
    while let Some(folder) = open.pop() {
        let Ok(entries) = folder.read_dir_utf8() else { continue };
        if folders.len() >= MOST || !folders.insert(folder) {
            continue;
        }
        let below = entries.filter_map(Result::ok);
        let below = below.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        open.extend(below.map(|entry| entry.into_path()).filter(|path| !is_of_no_interest(path)));
    }
}

/// What compilers, version control and editors write for themselves.
pub(super) fn is_of_no_interest(path: &Utf8Path) -> bool {
    let made = path.components().any(|part| {
        let name = part.as_str();
        name.starts_with("OBJ-") || [".git", "target", ".cargo-l4re"].contains(&name)
    });
    let name = path.file_name().unwrap_or_default();
    let editors = name.ends_with('~')
        || name.starts_with(".#")
        || name.starts_with('#')
        || name == "4913"
        || [".swp", ".swx", ".swo", ".tmp"].iter().any(|end| name.ends_with(end));
    made || editors
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_tools_write_for_themselves_is_no_change() {
        for path in
            ["/p/.git/index", "/p/OBJ-amd64/a.o", "/p/target/debug/a", "/p/.a.c.swp", "/p/a~"]
        {
            assert!(is_of_no_interest(path.into()), "{path}");
        }
        for path in ["/p/main.c", "/p/modules.list", "/p/.config", "/p/l4re.toml"] {
            assert!(!is_of_no_interest(path.into()), "{path}");
        }
    }

    #[test]
    fn only_what_has_changed_is_built_again() {
        let package = |name: &str| Package {
            sources: format!("/s/pkg/{name}").into(),
            objects: format!("/b/pkg/{name}").into(),
        };
        let scope = Scope { packages: vec![package("hello"), package("moe")], ..Scope::default() };
        let changed = BTreeSet::from(["/s/pkg/moe/src/a.cc".into()]);
        assert_eq!(scope.stale(&changed), [&package("moe")]);
        assert!(scope.stale(&BTreeSet::from(["/s/pkg/moe2/a.cc".into()])).is_empty());
    }

    #[test]
    fn folders_that_are_built_are_not_gone_into() {
        let top = camino_tempfile::tempdir().unwrap();
        for name in ["a/b", "target/debug", "OBJ-x", ".git/objects"] {
            fs_err::create_dir_all(top.path().join(name)).unwrap();
        }
        let folders = Scope::for_test(&[top.path()]).folders();
        let [a, b] = ["a", "a/b"].map(|name| top.path().join(name));
        assert_eq!(folders, BTreeSet::from([top.path().to_owned(), a, b]));
    }
}
