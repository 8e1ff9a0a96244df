//! One layer of settings: what a file, the environment or the flags of one call may name.
//!
//! This is the schema: each key is a field here, with the meaning as its documentation.
//! Every field may be missing in a layer; [`super::Settings`] looks through the layers in
//! order. Paths are absolute once a layer is made (relative ones count from the folder of
//! the file that names them).

use std::collections::BTreeMap;

use camino::{Utf8Path, Utf8PathBuf};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::defaults;
use super::names::{InstanceTypes, name, named_bucket, named_role};
use super::words::{ArchKey, Module, Size, Span, expressions, lasting};

/// The keys of `[package.metadata.l4re]`, `[workspace.metadata.l4re]` and `l4re.toml`.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Layer {
    /// Bucket for images. Without it: `l4re-<account>-<region>`.
    #[serde(deserialize_with = "named_bucket")]
    #[schemars(regex(pattern = r"^([A-Za-z0-9._-]+|arn:.*)$"))]
    pub bucket: Option<String>,
    /// Time after which an instance has expired: `2h`, `45m`, `1d`.
    #[serde(deserialize_with = "lasting")]
    #[schemars(extend("x-default" = Span(defaults::TTL).to_string()))]
    #[schemars(extend("allOf" = [{ "pattern": "[1-9]" }]))]
    pub ttl: Option<Span>,
    /// ARN of a role as which AWS itself terminates an instance at its expiry, by a schedule of
    /// EventBridge Scheduler: it must trust `scheduler.amazonaws.com` and may
    /// `ec2:TerminateInstances`. Without it: `cargo l4re gc` has to be called.
    #[serde(deserialize_with = "named_role")]
    #[schemars(regex(pattern = "^arn:.*:iam::.*:role/"))]
    pub scheduler_role: Option<String>,
    /// Who the instance belongs to. Without it: the user's name.
    pub owner: Option<String>,
    /// Whether commands talk to the twin instead of AWS, as with `--local`.
    #[schemars(extend("x-default" = false))]
    pub local: Option<bool>,
    /// Architecture to build for when several trees are set.
    pub arch: Option<ArchKey>,
    /// Subnet for instances at AWS. Without it: the default VPC's, in every zone.
    pub subnet: Option<String>,
    /// Whether instances get a public address. Without it: where the subnet gives one, or where
    /// only an internet gateway leads from it to S3.
    pub public_address: Option<bool>,
    /// Origin under which the guest fetches the image, where it differs from the one that
    /// this machine uploads to (a VPC endpoint, a proxy): `http://host[:port]`.
    pub fetch_endpoint: Option<String>,
    /// Whether the guest fetches the image by HTTPS. Plain HTTP goes with a sum in the
    /// script, as iPXE's HTTPS needs further servers.
    #[schemars(extend("x-default" = false))]
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
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
#[serde(expecting = "a table with `build` and `kernel`")]
pub struct Tree {
    /// L4Re's build tree (`make B=…`).
    #[schemars(with = "Option<String>")]
    pub build: Option<Utf8PathBuf>,
    /// The kernel's build tree.
    #[schemars(with = "Option<String>")]
    pub kernel: Option<Utf8PathBuf>,
    /// Platform, passed to make as `PT`. Without it: the tree's own.
    pub platform: Option<String>,
}

/// Instance types, tried in the order given.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
#[serde(expecting = "a table with `metal` and `virtual`")]
pub struct Machine {
    /// Types without a hypervisor, for `--metal`, tried in turn.
    #[schemars(extend("x-default" = defaults::all_types(true)))]
    pub metal: BTreeMap<ArchKey, InstanceTypes>,
    /// Virtual types, tried in turn.
    #[serde(rename = "virtual")]
    #[schemars(extend("x-default" = defaults::all_types(false)))]
    pub virtual_: BTreeMap<ArchKey, InstanceTypes>,
}

/// An entry: one of modules.list of which something is expected, or, with modules or a
/// roottask of its own, one that is declared here.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", expecting = "a table with a `name`")]
#[schemars(extend("dependentSchemas" = declared()))]
pub struct Entry {
    /// The entry's name.
    #[serde(deserialize_with = "name")]
    #[schemars(regex(pattern = r"^[^/\x00-\x1f]+$"))]
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
    #[schemars(with = "Vec<String>")]
    pub search_path: Vec<Utf8PathBuf>,
    /// Expressions that the console must show, in order.
    #[serde(default, deserialize_with = "expressions")]
    pub expect: Vec<String>,
    /// Expressions that end the run as failed.
    #[serde(default, deserialize_with = "expressions")]
    pub fail_on: Vec<String>,
    /// Whether it prints the results of tests (TAP).
    #[serde(default)]
    pub tap: bool,
    /// Time within which the expressions must be seen, or the tests come to their end.
    #[serde(default)]
    pub timeout: Option<Span>,
    /// Time without output that ends the run.
    #[serde(default)]
    pub idle_timeout: Option<Span>,
    /// Times that the system reboots by itself; a further reboot is a loop.
    #[serde(default)]
    #[schemars(extend("x-default" = 0))]
    pub reboots: Option<u32>,
}

/// The schema of keys that count only where an entry is declared.
fn declared() -> serde_json::Value {
    let declared = serde_json::json!({ "anyOf": [
        { "required": ["roottask"] },
        { "required": ["modules"], "properties": { "modules": { "minItems": 1 } } },
    ] });
    serde_json::json!({ "kernel": declared, "sigma0": declared, "search-path": declared })
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

/// A module that is a file by its path, or an artifact of Cargo.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
#[schemars(extend("oneOf" = [
    { "required": ["file"], "properties": { "package": false, "target": false,
      "profile": false, "features": false, "cargo-args": false } },
    { "required": ["bin"] }, { "required": ["example"] },
]))]
pub struct ModuleTable {
    /// The file.
    #[schemars(with = "Option<String>")]
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

impl ModuleTable {
    /// A key of it that is Cargo's.
    pub fn of_cargo(&self) -> Option<&'static str> {
        let keys = [
            ("package", self.package.is_some()),
            ("target", self.target.is_some()),
            ("profile", self.profile.is_some()),
            ("features", !self.features.is_empty()),
            ("cargo-args", !self.cargo_args.is_empty()),
        ];
        keys.into_iter().find(|(_, set)| *set).map(|(key, _)| key)
    }
}

/// The twin's settings.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
#[serde(expecting = "a table of the twin's settings")]
pub struct Twin {
    /// Folder of its state. Without it: `$XDG_STATE_HOME/cargo-l4re/twin`.
    #[schemars(with = "Option<String>")]
    pub dir: Option<Utf8PathBuf>,
    /// Time without work after which the daemon ends itself.
    #[schemars(extend("x-default" = Span(defaults::TWIN_IDLE).to_string()))]
    pub idle: Option<Span>,
    /// An iPXE binary by architecture, in place of Debian's (or, for arm64, of none).
    #[schemars(with = "BTreeMap<ArchKey, String>")]
    pub ipxe: BTreeMap<ArchKey, Utf8PathBuf>,
    /// QEMU by architecture, where it is not where Debian puts it.
    #[schemars(with = "BTreeMap<ArchKey, String>")]
    pub qemu: BTreeMap<ArchKey, Utf8PathBuf>,
    /// UEFI firmware by architecture, where it is not where Debian puts it.
    pub firmware: BTreeMap<ArchKey, Firmware>,
    /// How instances run: `auto`, `kvm` or `tcg`.
    #[schemars(extend("x-default" = "auto"))]
    pub accel: Option<Accel>,
    /// Whether guests reach what this machine reaches, its own ports too.
    #[schemars(extend("x-default" = false))]
    pub net: Option<bool>,
    /// Whether the account of a new twin has access to serial consoles; EC2's has none until it
    /// is enabled.
    #[schemars(extend("x-default" = true))]
    pub serial_console: Option<bool>,
    /// The most that the folder of its state takes on disk.
    #[schemars(extend("x-default" = "20GiB"))]
    pub disk: Option<Size>,
    /// How long changes of state take, on top of what really happens.
    pub timing: Timing,
}

/// How long the twin's changes of state take.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
#[serde(expecting = "a table of lengths of time")]
pub struct Timing {
    /// From the accepted launch or start of an instance to `running`.
    #[schemars(extend("x-default" = "0s"))]
    pub pending: Option<Span>,
    /// The same for bare-metal types, where it takes longer on EC2.
    #[schemars(extend("x-default" = "0s"))]
    pub pending_metal: Option<Span>,
    /// From the accepted stop to `stopped`, and from terminate to `terminated`.
    #[schemars(extend("x-default" = "0s"))]
    pub stopping: Option<Span>,
    /// For so long after a launch, calls that name the instance do not know it.
    #[schemars(extend("x-default" = "0s"))]
    pub consistency: Option<Span>,
    /// How long a guest that is asked to shut down may take before it is forced.
    #[schemars(extend("x-default" = "20s"))]
    pub graceful: Option<Span>,
    /// From the completion of a snapshot, or the copy of an AMI, to its use.
    #[schemars(extend("x-default" = "0s"))]
    pub snapshot: Option<Span>,
    /// From the start of a machine to the console output that EC2 gives without `Latest`.
    #[schemars(extend("x-default" = "5s"))]
    pub console_snapshot: Option<Span>,
}

/// UEFI firmware, as a pair of files that belong together.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[serde(expecting = "a table with `code` and `vars`")]
pub struct Firmware {
    /// UEFI firmware: the code.
    #[schemars(with = "String")]
    pub code: Utf8PathBuf,
    /// UEFI firmware: the empty variable store that goes with it.
    #[schemars(with = "String")]
    pub vars: Utf8PathBuf,
}

/// How the twin's instances run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Accel {
    /// KVM where it works, emulation elsewhere.
    Auto,
    /// KVM only.
    Kvm,
    /// Emulation only.
    Tcg,
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
    use l4re_image::Arch;

    use super::*;

    #[test]
    fn paths_count_from_their_file() {
        let mut layer: Layer = toml::from_str("[tree.amd64]\nbuild = \"../b\"\n").unwrap();
        layer.rebase(Utf8Path::new("/src/app"));
        let tree = &layer.tree[&ArchKey(Arch::X86_64)];
        assert_eq!(tree.build.as_deref(), Some(Utf8Path::new("/src/app/../b")));
    }
}
