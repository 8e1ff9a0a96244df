//! Which folder of the sources a built program comes from.
//!
//! L4Re mirrors the sources below `pkg`: what is made from `source/pkg/hello/server/src` lies
//! in `pkg/hello/server/src/OBJ-…` of the build tree, and make started in that folder's parent
//! builds just that.

use camino::{Utf8Path, Utf8PathBuf};

use super::BuildTree;

/// How deep packages are nested below `pkg`.
const DEPTH: usize = 12;

/// A folder of sources and the one in which make builds it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Package {
    /// The package's sources.
    pub sources: Utf8PathBuf,
    /// Where make is started to build what is meant.
    pub objects: Utf8PathBuf,
}

impl BuildTree {
    /// The packages that programs of these names are built from, as far as the tree shows it.
    /// A folder that cannot be read shows nothing.
    pub fn packages(&self, names: &[&str]) -> Vec<Package> {
        let mut found = Vec::new();
        self.look_below(&self.root().join("pkg"), names, DEPTH, &mut found);
        found.sort_unstable();
        found.dedup();
        found
    }

    fn look_below(&self, dir: &Utf8Path, names: &[&str], depth: usize, found: &mut Vec<Package>) {
        let Ok(entries) = dir.read_dir_utf8() else { return };
        for entry in entries.filter_map(Result::ok) {
            if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                continue;
            }
            let path = entry.path();
            if entry.file_name().starts_with("OBJ-") {
                if names.iter().any(|name| path.join(name).is_file()) {
                    found.extend(self.package(dir));
                }
            } else if depth > 0 {
                self.look_below(path, names, depth - 1, found);
            }
        }
    }

    /// The package that is built in `objects`: the nearest folder upwards of its sources that
    /// says so by its `Control` file, else its sources themselves.
    fn package(&self, objects: &Utf8Path) -> Option<Package> {
        let below = objects.strip_prefix(self.root()).ok()?;
        let sources = self.source().join(below);
        let top = self.source().join("pkg");
        let inside = sources.ancestors().take_while(|dir| *dir != top && dir.starts_with(&top));
        let whole = inside.into_iter().find(|dir| dir.join("Control").is_file());
        let sources = whole.unwrap_or(&sources).to_owned();
        sources.is_dir().then(|| Package { sources, objects: objects.to_owned() })
    }
}
