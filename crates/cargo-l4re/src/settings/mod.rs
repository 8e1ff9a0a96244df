//! Settings: layers in order of precedence, and where each value comes from.
//!
//! Flag > `CARGO_L4RE_*` > `l4re.local.toml` > `l4re.toml` (both nearest upwards) >
//! `[package.metadata.l4re]` > `[workspace.metadata.l4re]` > default. Flags that have a key
//! of their own arrive here as `--config`, and `--arch`; the rest are the commands' affair.
//! Unknown keys are errors in every layer.

mod defaults;
mod environment;
mod error;
mod files;
mod layer;
mod names;
mod place;
mod schema;
mod value;
mod words;

use std::collections::BTreeMap;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use l4re_image::Arch;

pub use self::error::SettingsError;
pub use self::files::{LOCAL_FILE, PACKAGE, SHARED_FILE, WORKSPACE};
pub use self::layer::{Accel, Entry, Layer, ModuleTable, Timing, Tree};
pub use self::names::bucket;
pub use self::place::Place;
use self::place::Places;
pub use self::schema::{known_key, schema};
pub use self::value::Held;
pub use self::words::{ArchKey, Module, Size, Span};
use crate::environment::Environment;

/// Where a layer comes from, for messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// `--config` on the command line.
    CommandLine,
    /// `CARGO_L4RE_*`.
    Environment,
    /// A file.
    File(Utf8PathBuf),
    /// `[package.metadata.l4re]` of a manifest.
    Package(Utf8PathBuf),
    /// `[workspace.metadata.l4re]` of a manifest.
    Workspace(Utf8PathBuf),
}

/// A layer, and where it and its values come from.
#[derive(Debug, Clone)]
struct Source {
    origin: Origin,
    layer: Layer,
    places: Places,
}

/// All layers that hold for one call, the strongest first.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    sources: Vec<Source>,
}

/// What the command line says about where settings are.
#[derive(Debug, Default)]
pub struct Sources<'a> {
    /// The words after `--config`.
    pub config: &'a [String],
    /// `--manifest-path`.
    pub manifest: Option<&'a Utf8Path>,
    /// `--package`.
    pub package: Option<&'a str>,
    /// `--arch`.
    pub arch: Option<Arch>,
}

impl Settings {
    /// Reads every layer.
    pub fn read(environment: &Environment, sources: &Sources<'_>) -> Result<Self, SettingsError> {
        let mut found = Vec::new();
        if let Some(arch) = sources.arch {
            found.push(files::arch_flag(arch));
        }
        for word in sources.config.iter().rev() {
            found.push(files::config_word(word, environment.folder())?);
        }
        found.extend(environment::layer(environment)?);
        found.extend(files::nearest(environment.folder(), LOCAL_FILE)?);
        found.extend(files::nearest(environment.folder(), SHARED_FILE)?);
        found.extend(files::manifests(environment, sources)?);
        let mut settings = Self { sources: found };
        if let (Some(package), []) = (sources.package, settings.declared().as_slice()) {
            settings.declare(files::program(package));
        }
        Ok(settings)
    }

    /// The folders of the files that have settings. A file that is not there yet, but would
    /// have some, lies in one of them most likely.
    pub fn folders(&self) -> impl Iterator<Item = Utf8PathBuf> {
        self.sources.iter().filter_map(|source| match &source.origin {
            Origin::CommandLine | Origin::Environment => None,
            Origin::File(path) | Origin::Package(path) | Origin::Workspace(path) => {
                path.parent().map(Utf8Path::to_owned)
            }
        })
    }

    /// Declares an entry, as the command line means it.
    pub fn declare(&mut self, entry: Entry) {
        let layer = Layer { entry: vec![entry], ..Layer::default() };
        let source = Source { origin: Origin::CommandLine, layer, places: Places::new() };
        self.sources.insert(0, source);
    }

    /// The strongest layer's value.
    pub fn find<'a, T>(&'a self, field: impl Fn(&'a Layer) -> Option<T>) -> Option<T> {
        self.sources.iter().find_map(|source| field(&source.layer))
    }

    /// The build trees that are set, merged field by field, with their architectures.
    pub fn trees(&self) -> Vec<(Arch, Tree)> {
        let mut keys: Vec<_> =
            self.sources.iter().flat_map(|source| source.layer.tree.keys().copied()).collect();
        keys.sort_unstable();
        keys.dedup();
        let tree = |key| Tree {
            build: self.find(|layer| layer.tree.get(&key)?.build.clone()),
            kernel: self.find(|layer| layer.tree.get(&key)?.kernel.clone()),
            platform: self.find(|layer| layer.tree.get(&key)?.platform.clone()),
        };
        keys.into_iter().map(|key| (key.0, tree(key))).collect()
    }

    /// The build trees set for one architecture.
    pub fn tree(&self, arch: Arch) -> Tree {
        let mut trees = self.trees().into_iter();
        trees.find(|(key, _)| *key == arch).map(|(_, tree)| tree).unwrap_or_default()
    }

    /// The instance types to try for a class and architecture, best first.
    pub fn machine(&self, arch: Arch, metal: bool) -> Vec<String> {
        let set = self.by_arch(arch, |layer| match metal {
            true => &layer.machine.metal,
            false => &layer.machine.virtual_,
        });
        set.map(|types| types.0.clone()).unwrap_or_else(|| {
            defaults::types(arch, metal).iter().map(|&name| name.to_owned()).collect()
        })
    }

    /// The strongest value of a table by architecture.
    pub fn by_arch<'a, T>(
        &'a self,
        arch: Arch,
        table: impl Fn(&'a Layer) -> &'a BTreeMap<ArchKey, T>,
    ) -> Option<&'a T> {
        self.find(|layer| table(layer).get(&ArchKey(arch)))
    }

    /// What is set for an entry.
    pub fn entry(&self, name: &str) -> Option<&Entry> {
        self.find(|layer| layer.entry.iter().find(|entry| entry.name == name))
    }

    /// The entries that are declared, not only expected of, the strongest layer's first.
    pub fn declared(&self) -> Vec<&Entry> {
        self.entries(Entry::is_declared)
    }

    /// The entries that say how they are judged, the strongest layer's first.
    pub fn judged(&self) -> Vec<&Entry> {
        self.entries(|entry| entry.tap || !entry.expect.is_empty())
    }

    fn entries(&self, wanted: impl Fn(&Entry) -> bool) -> Vec<&Entry> {
        let all = self.sources.iter().flat_map(|source| &source.layer.entry);
        let mut found: Vec<&Entry> = Vec::new();
        for entry in all.filter(|entry| wanted(entry)) {
            if !found.iter().any(|known| known.name == entry.name) {
                found.push(entry);
            }
        }
        found
    }

    /// Where it is said what holds for a key of an entry; none where no text says it.
    pub fn place_in_entry(&self, name: &str, key: &str) -> Option<&Place> {
        let has = |source: &&Source| source.layer.entry.iter().any(|entry| entry.name == name);
        let places = &self.sources.iter().find(has)?.places;
        places.get(&schema::canonical(["entry", name, key].into_iter()))
    }

    /// The bucket, if one is set.
    pub fn bucket(&self) -> Option<&str> {
        self.find(|layer| layer.bucket.as_deref())
    }

    /// Time to live of what is launched.
    pub fn ttl(&self) -> Duration {
        self.find(|layer| layer.ttl).map_or(defaults::TTL, |span| span.0)
    }
}

#[cfg(test)]
mod tests {
    use camino_tempfile::tempdir;

    use super::*;

    #[test]
    fn layers_in_order() {
        let dir = tempdir().unwrap();
        let manifest = "[package]\nname = \"a\"\n[package.metadata.l4re]\nttl = \"3h\"\n\
                        bucket = \"of-package\"\n[workspace]\n[workspace.metadata.l4re]\n\
                        ttl = \"4h\"\nowner = \"of-workspace\"\n";
        fs_err::write(dir.path().join("Cargo.toml"), manifest).unwrap();
        fs_err::write(dir.path().join("l4re.toml"), "bucket = \"of-file\"\n").unwrap();
        let environment = Environment::of(dir.path(), &[("CARGO_L4RE_TTL", "5h")]);
        let settings = Settings::read(&environment, &Sources::default()).unwrap();
        assert_eq!(settings.ttl(), Duration::from_secs(5 * 3600));
        assert_eq!(settings.bucket(), Some("of-file"));
        assert_eq!(settings.find(|layer| layer.owner.as_deref()), Some("of-workspace"));

        let values = settings.values(&environment);
        let place = |key: &str| values[key].place.to_string();
        assert_eq!(place("ttl"), "CARGO_L4RE_TTL");
        assert_eq!(values["ttl"].hidden.len(), 2);
        assert_eq!(place("bucket"), format!("{}/l4re.toml:1:1", dir.path()));
        assert_eq!(place("owner"), format!("{}/Cargo.toml:9:1", dir.path()));
        assert_eq!(place("https"), "default");

        fs_err::write(dir.path().join("l4re.local.toml"), "bucket = \"of-machine\"\n").unwrap();
        let config = ["ttl=\"1h\"".to_owned()];
        let sources = Sources { config: &config, ..Sources::default() };
        let settings = Settings::read(&environment, &sources).unwrap();
        assert_eq!(settings.ttl(), Duration::from_secs(3600));
        assert_eq!(settings.bucket(), Some("of-machine"));
    }

    #[test]
    fn an_entry_holds_as_a_whole() {
        let dir = tempdir().unwrap();
        let entry = |expect: &str| format!("[[entry]]\nname = \"vm\"\n{expect}\n");
        fs_err::write(dir.path().join("l4re.local.toml"), entry("expect = [\"a\"]")).unwrap();
        fs_err::write(dir.path().join("l4re.toml"), entry("timeout = \"5m\"")).unwrap();
        let environment = Environment::of(dir.path(), &[]);
        let settings = Settings::read(&environment, &Sources::default()).unwrap();
        let values = settings.values(&environment);
        assert_eq!(values["entry.vm.expect"].value, serde_json::json!(["a"]));
        assert!(!values.contains_key("entry.vm.timeout"));
    }

    #[test]
    fn a_tree_is_merged_field_by_field() {
        let dir = tempdir().unwrap();
        fs_err::write(dir.path().join("l4re.toml"), "[tree.amd64]\nbuild = \"b\"\n").unwrap();
        let environment = Environment::of(dir.path(), &[("CARGO_L4RE_TREE_X86_64_KERNEL", "/k")]);
        let settings = Settings::read(&environment, &Sources::default()).unwrap();
        let tree = settings.tree(Arch::X86_64);
        assert_eq!(tree.build, Some(dir.path().join("b")));
        assert_eq!(tree.kernel.as_deref(), Some(Utf8Path::new("/k")));
    }
}
