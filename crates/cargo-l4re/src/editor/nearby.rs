//! Build trees and kernels in the neighbourhood: below the folder, and beside it.
//!
//! A tree is recognised by what is in it, never by its name. The search is bounded in depth
//! and in the number of folders, and leaves hidden folders out. A link counts if it leads to a
//! tree itself, and is followed no further.

use std::collections::{BTreeSet, VecDeque};

use camino::{Utf8Path, Utf8PathBuf};
use l4re_image::{Arch, BuildTree, KernelTree};

use super::settings_file::Trees;

/// How deep below each starting point.
const DEPTH: usize = 3;
/// How many folders are looked into.
const MOST: usize = 5000;
/// Folders that hold no build tree of L4Re but many files.
const PASSED: [&str; 2] = ["target", "node_modules"];

/// What was found, the nearest first.
#[derive(Debug, Default)]
pub struct Nearby {
    /// L4Re's build trees.
    pub trees: Vec<BuildTree>,
    /// Kernel build trees.
    pub kernels: Vec<KernelTree>,
}

/// Looks below `folder`, below the folder that it is in, and below the one above that.
pub fn search(folder: &Utf8Path) -> Nearby {
    let mut nearby = Nearby::default();
    let mut seen = BTreeSet::new();
    // The root of all files is nobody's neighbourhood.
    let starts = folder.ancestors().take(3).filter(|start| start.parent().is_some());
    for start in starts {
        let mut queue = VecDeque::from([(start.to_owned(), 0)]);
        while let Some((dir, depth)) = queue.pop_front() {
            if seen.len() >= MOST || !seen.insert(dir.clone()) || nearby.take(&dir) {
                continue;
            }
            if depth < DEPTH && !dir.is_symlink() {
                queue.extend(below(&dir).into_iter().map(|dir| (dir, depth + 1)));
            }
        }
    }
    nearby
}

/// The folders in a folder, by name.
fn below(dir: &Utf8Path) -> Vec<Utf8PathBuf> {
    let Ok(entries) = dir.read_dir_utf8() else { return Vec::new() };
    let is_wanted = |entry: &camino::Utf8DirEntry| {
        let name = entry.file_name();
        let is_dir =
            |kind: std::fs::FileType| kind.is_dir() || (kind.is_symlink() && entry.path().is_dir());
        entry.file_type().is_ok_and(is_dir) && !name.starts_with('.') && !PASSED.contains(&name)
    };
    let mut dirs: Vec<_> =
        entries.filter_map(Result::ok).filter(is_wanted).map(|entry| entry.into_path()).collect();
    dirs.sort_unstable();
    dirs
}

impl Nearby {
    /// Takes the folder if it is a build tree, finished or not; then nothing below it counts.
    fn take(&mut self, dir: &Utf8Path) -> bool {
        if dir.join("globalconfig.out").is_file() {
            self.kernels.extend(KernelTree::open(dir).ok());
            return true;
        }
        let tree = dir.join(".kconfig").is_file() && dir.join("source").exists();
        if tree {
            self.trees.extend(BuildTree::open(dir).ok());
        }
        tree
    }

    /// The nearest trees of each architecture that has an L4Re build tree.
    pub fn by_arch(&self) -> Vec<(Arch, Trees)> {
        let mut arches: Vec<Arch> = Vec::new();
        for tree in &self.trees {
            if !arches.contains(&tree.arch()) {
                arches.push(tree.arch());
            }
        }
        arches.sort_unstable();
        let trees = |arch: Arch| Trees {
            build: self.trees.iter().find(|tree| tree.arch() == arch).map(|t| t.root().to_owned()),
            kernel: self.kernels.iter().find(|kernel| kernel.arch == arch).map(|k| k.root.clone()),
        };
        arches.into_iter().map(|arch| (arch, trees(arch))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_neighbourhood_without_trees_is_searched_and_left() {
        let dir = camino_tempfile::tempdir().unwrap();
        for path in ["a/b/c/d/e", ".hidden/x", "target/x"] {
            fs_err::create_dir_all(dir.path().join(path)).unwrap();
        }
        let nearby = search(&dir.path().join("a/b"));
        assert!(nearby.by_arch().iter().all(|(_, trees)| trees.build.is_some()));
        assert_eq!(below(dir.path()), [dir.path().join("a")]);
    }

    #[test]
    fn a_link_to_a_tree_counts_and_leads_no_further() {
        let dir = camino_tempfile::tempdir().unwrap();
        let kernel = dir.path().join("far/far/far/far/kernel");
        fs_err::create_dir_all(&kernel).unwrap();
        fs_err::write(kernel.join("globalconfig.out"), "CONFIG_AMD64=y\n").unwrap();
        fs_err::write(kernel.join("fiasco"), "").unwrap();
        let project = dir.path().join("a/b/c");
        fs_err::create_dir_all(&project).unwrap();
        let link = |to: &str, name: &str| {
            fs_err::os::unix::fs::symlink(dir.path().join(to), project.join(name)).unwrap();
        };
        link("far/far/far/far", "further");
        assert!(search(&project).kernels.is_empty());
        link("far/far/far/far/kernel", "kernel");
        link(".", "loop");
        let found: Vec<_> = search(&project).kernels.into_iter().map(|found| found.root).collect();
        assert_eq!(found, [kernel.canonicalize_utf8().unwrap()]);
    }
}
