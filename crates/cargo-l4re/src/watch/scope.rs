//! Which folders matter for an image: settings, the module list, modules, and the sources
//! that modules are built from.
//!
//! Folders are watched, not files: editors replace files, and a new module may come to stand
//! before an old one on the search path. Other files there, such as our own output that somebody
//! redirects, are no change.

use std::collections::{BTreeMap, BTreeSet};

use camino::{Utf8Path, Utf8PathBuf};
use l4re_image::{Image, Package};

use crate::build::Workplace;
use crate::commands::Context;
use crate::settings::{Entry, LOCAL_FILE, Module, SHARED_FILE};
use crate::source::Source;

/// The files that settings are read from.
const SETTINGS: [&str; 3] = [SHARED_FILE, LOCAL_FILE, "Cargo.toml"];

/// Folders that are watched at most; more are no sources of one entry.
const MOST: usize = 4096;

/// Names of files; `None` where they are not known: then all files matter.
type Names = Option<BTreeSet<String>>;

/// What is looked at.
#[derive(Debug, Default, Clone)]
pub struct Scope {
    /// Folders of which the files matter that have these names.
    flat: BTreeMap<Utf8PathBuf, Names>,
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
        // In the working folder there may be settings to come.
        let here = std::iter::once(context.environment.folder().to_owned());
        for folder in context.settings.folders().chain(here) {
            scope.add(&folder, &Some(SETTINGS.map(str::to_owned).into()));
        }
        match source {
            Source::Image(image) => scope.add_file(&image.path),
            Source::Entry { place, entry, variables, .. } => {
                scope.made = vec![place.tree.root().to_owned()];
                scope.add_entry(context, place, entry, variables, image);
            }
        }
        scope
    }

    fn add_entry(
        &mut self,
        context: &Context,
        place: &Workplace,
        entry: &str,
        variables: &[(String, String)],
        image: Option<&Image>,
    ) {
        let tree = &place.tree;
        let options = place.list_options(variables);
        let modules = image.map(modules).unwrap_or_default();
        let declared = context.settings.declared().into_iter().find(|e| e.name == entry);
        let names = match &declared {
            Some(entry) => Some(declared_names(entry)),
            None => tree.named_files(&options, entry),
        };
        let names = names.map(|names| &names | &modules);
        let list = options.modules_list.unwrap_or_else(|| tree.modules_list());
        let folders = list.parent().into_iter().chain(place.kernel()).map(Utf8Path::to_owned);
        for folder in folders.chain(search_path(context, variables)) {
            self.add(&folder, &names);
        }
        self.deep.extend(["conf", "bin"].map(|name| tree.root().join(name)));
        self.packages = packages(tree, &modules);
        self.deep.extend(self.packages.iter().map(|package| package.sources.clone()));
        let Some(declared) = declared else { return };
        declared.search_path.iter().for_each(|folder| self.add(folder, &names));
        for module in &declared.modules {
            let Module::Described(table) = module else { continue };
            match &table.file {
                Some(file) => self.add_file(file),
                None => self.deep.extend(context.settings.folders()),
            }
        }
    }

    /// Every folder to watch.
    pub fn folders(&self) -> BTreeSet<Utf8PathBuf> {
        let mut folders: BTreeSet<_> =
            self.flat.keys().filter(|folder| folder.is_dir()).cloned().collect();
        for top in &self.deep {
            add_below(top, &mut folders);
        }
        folders
    }

    /// Whether a change of this file matters.
    pub fn matters(&self, path: &Utf8Path) -> bool {
        let named = || {
            let (folder, name) = path.parent().zip(path.file_name())?;
            Some(self.flat.get(folder)?.as_ref().is_none_or(|names| names.contains(name)))
        };
        let of_interest = || self.deep.iter().any(|top| path.starts_with(top));
        !is_of_no_interest(path) && (of_interest() || named().unwrap_or(false))
    }

    /// The packages that must be built again after these changes.
    pub fn stale(&self, changed: &BTreeSet<Utf8PathBuf>) -> Vec<&Package> {
        let of = |package: &&Package| changed.iter().any(|path| path.starts_with(&package.sources));
        self.packages.iter().filter(of).collect()
    }

    fn add_file(&mut self, file: &Utf8Path) {
        if let (Some(folder), Some(name)) = (file.parent(), file.file_name()) {
            self.add(folder, &Some([name.to_owned()].into()));
        }
    }

    fn add(&mut self, folder: &Utf8Path, names: &Names) {
        let known = self.flat.entry(folder.to_owned()).or_insert(Some(BTreeSet::new()));
        *known = known.take().zip(names.as_ref()).map(|(known, names)| &known | names);
    }

    #[cfg(test)]
    pub(super) fn for_test(folders: &[&Utf8Path]) -> Self {
        let deep = folders.iter().map(|&folder| folder.to_owned()).collect();
        Self { deep, ..Self::default() }
    }
}

/// The names of the files that an entry of the settings names, without folders.
fn declared_names(entry: &Entry) -> BTreeSet<String> {
    let own = [&entry.kernel, &entry.sigma0, &entry.roottask].into_iter().flatten();
    let searched = entry.modules.iter().filter_map(|module| match module {
        Module::Searched(words) => Some(words),
        Module::Described(_) => None,
    });
    let words = own.chain(searched).flat_map(|words| words.split_whitespace());
    words.map(|word| word.rsplit('/').next().unwrap_or_default().to_owned()).collect()
}

/// The names of an image's modules, without folders.
fn modules(image: &Image) -> BTreeSet<String> {
    let Ok(inspection) = l4re_image::inspect_headers(&image.path) else { return BTreeSet::new() };
    let name = |name: &str| name.rsplit('/').next().unwrap_or_default().to_owned();
    inspection.modules.iter().map(|module| name(&module.name)).collect()
}

/// What the image's modules are built from; nothing before there is one. A tree that does not
/// mirror its sources is built as a whole.
fn packages(tree: &l4re_image::BuildTree, modules: &BTreeSet<String>) -> Vec<Package> {
    if modules.is_empty() {
        return Vec::new();
    }
    let names: Vec<&str> = modules.iter().map(String::as_str).collect();
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
fn is_of_no_interest(path: &Utf8Path) -> bool {
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
    fn beside_sources_only_files_that_are_named_matter() {
        let mut scope = Scope::for_test(&["/s/pkg/hello".into()]);
        scope.add("/p".into(), &Some(["modules.list".to_owned()].into()));
        scope.add_file("/p/vm.cfg".into());
        for path in ["/p/modules.list", "/p/vm.cfg", "/s/pkg/hello/any.file"] {
            assert!(scope.matters(path.into()), "{path}");
        }
        for path in ["/p/watch.log", "/s/pkg/hello/main.c~", "/s/pkg/moe/main.c"] {
            assert!(!scope.matters(path.into()), "{path}");
        }
        scope.add("/p".into(), &None);
        assert!(scope.matters("/p/watch.log".into()), "no names are known");
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
