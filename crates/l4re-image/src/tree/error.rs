//! What can be wrong with a folder that is to be a build tree, told apart so that each has
//! its own advice.

use std::io;

use camino::Utf8PathBuf;

/// Why a folder cannot be used as a build tree, or its entries cannot be listed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TreeError {
    /// Nothing there, or not a folder.
    #[error("no such folder: {path}")]
    NotFound {
        /// The folder asked for.
        path: Utf8PathBuf,
    },
    /// A path that is not UTF-8, which L4Re's make files would not survive either.
    #[error("path is not valid UTF-8: {path}")]
    NotUtf8 {
        /// The path, lossily.
        path: String,
    },
    /// A folder of another sort.
    #[error("{path} is not an L4Re build tree: no {missing} in it")]
    NotATree {
        /// The folder asked for.
        path: Utf8PathBuf,
        /// What a build tree has and this folder has not.
        missing: &'static str,
    },
    /// L4Re's sources instead of a build tree.
    #[error(
        "{path} is an L4Re source tree, not a build tree: make one with `make -C {path} B=DIR T=amd64`"
    )]
    SourceTree {
        /// The folder asked for.
        path: Utf8PathBuf,
    },
    /// The kernel's build tree instead of L4Re's.
    #[error("{path} is a kernel build tree (it has globalconfig.out), not L4Re's")]
    IsKernelTree {
        /// The folder asked for.
        path: Utf8PathBuf,
    },
    /// L4Re's build tree instead of the kernel's.
    #[error("{path} is an L4Re build tree, not the kernel's")]
    IsBuildTree {
        /// The folder asked for.
        path: Utf8PathBuf,
    },
    /// A folder that is no kernel build tree.
    #[error("{path} is not a kernel build tree: no {missing} in it")]
    NotAKernelTree {
        /// The folder asked for.
        path: Utf8PathBuf,
        /// What a kernel build tree has and this folder has not.
        missing: &'static str,
    },
    /// The sources that the tree was made from are gone.
    #[error("the sources of {path} are gone: {source_dir} is not an L4Re source tree")]
    SourceGone {
        /// The build tree.
        path: Utf8PathBuf,
        /// Where its `source` link leads.
        source_dir: Utf8PathBuf,
    },
    /// Made but not yet configured.
    #[error("{path} is not configured: {missing} is missing; run `make -C {path} olddefconfig`")]
    NotConfigured {
        /// The build tree.
        path: Utf8PathBuf,
        /// The first file or option that is missing.
        missing: String,
    },
    /// Configured but not (or not completely) built.
    #[error("{path} is not built: {missing} is missing; run `make -C {path}`")]
    NotBuilt {
        /// The build tree.
        path: Utf8PathBuf,
        /// The first file that is missing.
        missing: Utf8PathBuf,
    },
    /// Configured for an architecture that this crate does not know.
    #[error("{path} is configured for an unknown architecture, {name}")]
    UnknownArch {
        /// The build tree.
        path: Utf8PathBuf,
        /// What its configuration says.
        name: String,
    },
    /// No file of that name where L4Re looks for module lists.
    #[error("no module list {name} in {}", join(searched))]
    NoModuleList {
        /// The file asked for.
        name: Utf8PathBuf,
        /// The folders looked into.
        searched: Vec<Utf8PathBuf>,
    },
    /// An included module list that cannot be read.
    #[error("{file}:{line}: cannot read included {included}: {source}")]
    Include {
        /// The including file.
        file: Utf8PathBuf,
        /// The line in it, from 1.
        line: usize,
        /// What it names.
        included: Utf8PathBuf,
        /// Why it cannot be read.
        source: io::Error,
    },
    /// Includes that lead to more files than any list has.
    #[error("{file}: more than {limit} included files")]
    TooManyIncludes {
        /// The list at the top.
        file: Utf8PathBuf,
        /// The limit.
        limit: usize,
    },
    /// Entries that only L4Re's own tools can evaluate, and they failed.
    #[error("cannot evaluate the entries of {file} ({reason}): {output}")]
    Evaluate {
        /// The module list.
        file: Utf8PathBuf,
        /// What needs evaluation, with its place.
        reason: String,
        /// What L4Re's tool said.
        output: String,
    },
    /// A file of the tree that cannot be read.
    #[error(transparent)]
    Io(#[from] io::Error),
}

fn join(paths: &[Utf8PathBuf]) -> String {
    paths.iter().map(|path| path.as_str()).collect::<Vec<_>>().join(", ")
}
