//! Where things are: the project's root, cargo's target directory, the packages.
//!
//! Cargo is asked, once; nothing here assumes that the target directory is `target/`.

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};
use serde_json::Value;

use crate::call::Call;
use crate::environment;

/// The workspace, as `cargo metadata` sees it.
pub(crate) struct Project {
    /// The directory of the top `Cargo.toml`.
    pub(crate) root: Utf8PathBuf,
    /// Cargo's target directory: all that we make goes below it.
    pub(crate) target: Utf8PathBuf,
    /// The workspace's packages, as cargo describes them.
    pub(crate) packages: Vec<Value>,
}

impl Project {
    /// Asks cargo about the workspace that this program was built from.
    pub(crate) fn find() -> Result<Self> {
        let root = Utf8Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = root.parent().context("xtask lies in the workspace")?.to_owned();
        let metadata = Call::new(metadata_argv(&environment::cargo())).dir(&root).read()?;
        let mut metadata: Value =
            serde_json::from_str(&metadata).context("cargo metadata's answer")?;
        let target = metadata["target_directory"].as_str().context("a target directory")?.into();
        let packages = match metadata["packages"].take() {
            Value::Array(packages) => packages,
            _ => anyhow::bail!("cargo metadata names no packages"),
        };
        Ok(Self { root, target, packages })
    }

    /// A call of cargo in the project's root.
    pub(crate) fn cargo<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Call {
        let cargo = std::iter::once(environment::cargo());
        Call::new(cargo.chain(arguments.into_iter().map(str::to_owned))).dir(&self.root)
    }

    /// When the commit was made, in git's own `format` (`%ct`, `%cI`).
    ///
    /// # Errors
    /// Not a git checkout, so that nothing says how old the sources are.
    pub(crate) fn commit_time(&self, format: &str) -> Result<String> {
        let format = format!("--format={format}");
        let log = Call::new(["git", "log", "--max-count=1", format.as_str()]).dir(&self.root);
        let time = log.read().context("a release is made from a git checkout")?;
        Ok(time.trim().to_owned())
    }

    /// The sources of the demo tree.
    pub(crate) fn demo_source(&self) -> Utf8PathBuf {
        self.root.join("tests/fixtures/mini-l4re")
    }

    /// The virtual environment with what the tests need from PyPI.
    pub(crate) fn venv(&self) -> Utf8PathBuf {
        self.target.join("venv")
    }
}

fn metadata_argv(cargo: &str) -> [&str; 5] {
    [cargo, "metadata", "--no-deps", "--format-version=1", "--quiet"]
}
