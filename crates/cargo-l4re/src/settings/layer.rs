//! One layer of settings: what a file, the environment or the flags of one call may name.
//!
//! This is the schema: each key is a field here, with the meaning as its documentation.
//! Every field may be missing in a layer; [`super::Settings`] looks through the layers in
//! order. Paths are absolute once a layer is made (relative ones count from the folder of
//! the file that names them).

use std::collections::BTreeMap;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use l4re_image::Arch;
use serde::{Deserialize, Deserializer};

/// The keys of `[package.metadata.l4re]`, `[workspace.metadata.l4re]` and `l4re.toml`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Layer {
    /// Bucket for images. Default: `l4re-<account>-<region>`.
    pub bucket: Option<String>,
    /// Time after which an instance has expired: `2h`, `45m`, `1d`.
    pub ttl: Option<Span>,
    /// Who the instance belongs to. Default: the user's name.
    pub owner: Option<String>,
    /// Whether commands talk to the twin instead of AWS, as with `--local`.
    pub local: Option<bool>,
    /// Architecture to build for when several trees are set.
    pub arch: Option<ArchKey>,
    /// Origin under which the guest fetches the image, where it differs from the one that
    /// this machine uploads to (a VPC endpoint, a proxy): `http://host[:port]`.
    pub fetch_endpoint: Option<String>,
    /// Whether the guest fetches the image by HTTPS. Default: plain HTTP and a sum in the
    /// script, as iPXE's HTTPS needs further servers.
    pub https: Option<bool>,
    /// L4Re and kernel build tree by architecture.
    pub tree: BTreeMap<ArchKey, Tree>,
    /// Instance types by class and architecture.
    pub machine: Machine,
    /// What is expected of entries.
    pub entry: Vec<Entry>,
    /// The twin.
    pub twin: Twin,
}

/// The build trees of one architecture.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Tree {
    /// L4Re's build tree (`make B=…`).
    pub build: Option<Utf8PathBuf>,
    /// The kernel's build tree.
    pub kernel: Option<Utf8PathBuf>,
    /// Platform, passed to make as `PT`.
    pub platform: Option<String>,
}

/// Instance types, tried in the order given.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Machine {
    /// Types without a hypervisor, for `--metal`.
    pub metal: BTreeMap<ArchKey, Vec<String>>,
    /// Virtual types.
    #[serde(rename = "virtual")]
    pub virtual_: BTreeMap<ArchKey, Vec<String>>,
}

/// An entry: one of modules.list of which something is expected, or, with modules or a
/// roottask of its own, one that is declared here.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Entry {
    /// The entry's name.
    pub name: String,
    /// The kernel and its command line.
    #[serde(default)]
    pub kernel: Option<String>,
    /// The root pager and its command line.
    #[serde(default)]
    pub sigma0: Option<String>,
    /// The roottask and its command line.
    #[serde(default)]
    pub roottask: Option<String>,
    /// Its modules, in order.
    #[serde(default)]
    pub modules: Vec<Module>,
    /// Further folders in which modules are looked for; the settings file's own is one.
    #[serde(default)]
    pub search_path: Vec<Utf8PathBuf>,
    /// Expressions that the console must show, in order.
    #[serde(default)]
    pub expect: Vec<String>,
    /// Expressions that end the run as failed.
    #[serde(default)]
    pub fail_on: Vec<String>,
    /// Time within which the expressions must be seen.
    #[serde(default)]
    pub timeout: Option<Span>,
}

impl Entry {
    /// Whether the entry itself is declared here, and not only what is expected of it.
    pub fn is_declared(&self) -> bool {
        !self.modules.is_empty() || self.roottask.is_some()
    }
}

impl Entry {
    fn rebase(&mut self, folder: &Utf8Path) {
        for path in &mut self.search_path {
            *path = folder.join(&path);
        }
        self.search_path.push(folder.to_owned());
        for module in &mut self.modules {
            if let Module::Described(table) = module
                && let Some(file) = &mut table.file
            {
                *file = folder.join(&file);
            }
        }
    }
}

/// A module of a declared entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Module {
    /// A file on the search path, and its command line.
    Searched(String),
    /// A file, or what Cargo builds.
    Described(Box<ModuleTable>),
}

/// A module that is a file by its path, or an artifact of Cargo.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct ModuleTable {
    /// The file.
    pub file: Option<Utf8PathBuf>,
    /// The binary that Cargo builds, instead of a file.
    pub bin: Option<String>,
    /// The example that Cargo builds, instead of a file.
    pub example: Option<String>,
    /// The package that has it.
    pub package: Option<String>,
    /// Cargo's `--target`: a triple or a target specification.
    pub target: Option<String>,
    /// Cargo's `--profile`.
    pub profile: Option<String>,
    /// Cargo's `--features`.
    pub features: Vec<String>,
    /// Further arguments for `cargo build`.
    pub cargo_args: Vec<String>,
    /// Its name in the image. Default: the file's.
    pub name: Option<String>,
    /// Its command line after its name.
    pub args: Option<String>,
}

impl<'de> Deserialize<'de> for Module {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> serde::de::Visitor<'de> for Either {
            type Value = Module;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a module's words, or a table with `file`, `bin` or `example`")
            }

            fn visit_str<E>(self, words: &str) -> Result<Module, E> {
                Ok(Module::Searched(words.to_owned()))
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<Module, A::Error> {
                let table = serde::de::value::MapAccessDeserializer::new(map);
                ModuleTable::deserialize(table).map(|table| Module::Described(Box::new(table)))
            }
        }

        deserializer.deserialize_any(Either)
    }
}

/// The twin's settings.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Twin {
    /// Folder of its state. Default: `$XDG_STATE_HOME/cargo-l4re/twin`.
    pub dir: Option<Utf8PathBuf>,
    /// Time without work after which the daemon ends itself. Default: 30 minutes.
    pub idle: Option<Span>,
    /// An iPXE binary by architecture, in place of Debian's (or, for arm64, of none).
    pub ipxe: BTreeMap<ArchKey, Utf8PathBuf>,
    /// QEMU by architecture, where it is not where Debian puts it.
    pub qemu: BTreeMap<ArchKey, Utf8PathBuf>,
    /// UEFI firmware by architecture, where it is not where Debian puts it.
    pub firmware: BTreeMap<ArchKey, Firmware>,
    /// How instances run: `auto`, `kvm` or `tcg`.
    pub accel: Option<Accel>,
}

/// UEFI firmware, as a pair of files that belong together.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Firmware {
    /// The code.
    pub code: Utf8PathBuf,
    /// The empty variable store.
    pub vars: Utf8PathBuf,
}

/// How the twin's instances run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Accel {
    /// KVM where it works, emulation elsewhere.
    Auto,
    /// KVM only.
    Kvm,
    /// Emulation only.
    Tcg,
}

/// An architecture as a key, in any of its spellings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ArchKey(pub Arch);

impl<'de> Deserialize<'de> for ArchKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Self).map_err(serde::de::Error::custom)
    }
}

/// A length of time, written `2h`, `1h30m`, `90s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span(pub Duration);

impl std::str::FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let problem = |why: &dyn std::fmt::Display| {
            format!("`{text}` is not a length of time such as `90s`, `5m` or `2h`: {why}")
        };
        let span: jiff::Span = text.parse().map_err(|_| problem(&"no number and unit"))?;
        let days = jiff::SpanRelativeTo::days_are_24_hours();
        let length = span.to_duration(days).map_err(|_| problem(&"months and years vary"))?;
        Duration::try_from(length).map(Self).map_err(|_| problem(&"it is negative"))
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl Layer {
    /// Makes the layer's paths absolute: relative ones count from `folder`.
    pub fn rebase(&mut self, folder: &Utf8Path) {
        let paths = self
            .tree
            .values_mut()
            .flat_map(|tree| [&mut tree.build, &mut tree.kernel])
            .flatten()
            .chain(self.twin.dir.as_mut())
            .chain(self.twin.ipxe.values_mut())
            .chain(self.twin.qemu.values_mut())
            .chain(
                self.twin.firmware.values_mut().flat_map(|pair| [&mut pair.code, &mut pair.vars]),
            );
        for path in paths {
            *path = folder.join(&path);
        }
        for entry in self.entry.iter_mut().filter(|entry| entry.is_declared()) {
            entry.rebase(folder);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans() {
        assert_eq!("2h".parse::<Span>().unwrap().0, Duration::from_secs(7200));
        assert_eq!("1m30s".parse::<Span>().unwrap().0, Duration::from_secs(90));
        assert_eq!("1d".parse::<Span>().unwrap().0, Duration::from_secs(86_400));
        assert!("1y".parse::<Span>().is_err());
        assert!("soon".parse::<Span>().unwrap_err().contains("`90s`"));
        assert!("-1h".parse::<Span>().unwrap_err().contains("negative"));
    }

    #[test]
    fn paths_count_from_their_file() {
        let mut layer: Layer = toml::from_str("[tree.amd64]\nbuild = \"../b\"\n").unwrap();
        layer.rebase(Utf8Path::new("/src/app"));
        let tree = &layer.tree[&ArchKey(Arch::X86_64)];
        assert_eq!(tree.build.as_deref(), Some(Utf8Path::new("/src/app/../b")));
    }
}
