//! skeleton
use camino::Utf8PathBuf;
use serde::Serialize;

use crate::tree::{BuildTree, TreeError};

/// How entries are listed.
#[derive(Clone, Debug, Default)]
pub struct ListOptions {
    /// The module list (`MODULES_LIST`) instead of L4Re's own: absolute, or a name that L4Re
    /// looks for in the tree.
    pub modules_list: Option<Utf8PathBuf>,
    /// The platform that `${PLATFORM_TYPE}` means instead of the tree's.
    pub platform: Option<String>,
    /// Also those for other architectures.
    pub all_archs: bool,
}

/// An entry of a module list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// The architectures that it is for, in L4Re's spelling; empty for all.
    pub archs: Vec<String>,
    /// The file that defines it.
    pub file: Utf8PathBuf,
    /// The line in it, from 1.
    pub line: usize,
    /// The comment right above it.
    pub comment: Option<String>,
}

pub(crate) fn entries(tree: &BuildTree, options: &ListOptions) -> Result<Vec<Entry>, TreeError> {
    let _ = (tree, options);
    unimplemented!()
}
