//! Layers from files: `--config`, `l4re.local.toml`, `l4re.toml`, and the manifests' metadata tables.
//!
//! Manifests are found by walking upwards, as Cargo does; `cargo metadata` is asked only
//! when `--package` names one, since starting Cargo costs more than a whole `efiimage`.

use camino::{Utf8Path, Utf8PathBuf};
use serde::Deserialize;

use super::error::SettingsError;
use super::layer::{Entry, Layer, ModuleTable};
use super::place::{self, Place, Places};
use super::words::{ArchKey, Module};
use super::{Origin, Source, Sources};
use crate::environment::Environment;

/// The settings that a project shares.
pub const SHARED_FILE: &str = "l4re.toml";
/// The settings of this machine, which nobody else has.
pub const LOCAL_FILE: &str = "l4re.local.toml";
/// The table of a package's manifest that is ours.
pub const PACKAGE: [&str; 3] = ["package", "metadata", "l4re"];
/// The table of a workspace's manifest that is ours.
pub const WORKSPACE: [&str; 3] = ["workspace", "metadata", "l4re"];

/// The part of a manifest that is ours.
#[derive(Debug, Default, Deserialize)]
struct Manifest {
    package: Option<Table>,
    workspace: Option<Table>,
}

#[derive(Debug, Default, Deserialize)]
struct Table {
    /// `package.workspace`: where the workspace is, if not upwards.
    workspace: Option<toml::Value>,
    metadata: Option<Metadata>,
}

#[derive(Debug, Default, Deserialize)]
struct Metadata {
    l4re: Option<Layer>,
}

/// The layer that `--arch` is.
pub fn arch_flag(arch: l4re_image::Arch) -> Source {
    let key = ArchKey(arch);
    let places = Places::from([("arch".to_owned(), Place::Flag(format!("--arch {}", key.name())))]);
    let layer = Layer { arch: Some(key), ..Layer::default() };
    Source { origin: Origin::CommandLine, layer, places }
}

/// The layer of one `--config` word: `KEY=VALUE` or a file.
pub fn config_word(word: &str, folder: &Utf8Path) -> Result<Source, SettingsError> {
    let path = folder.join(word);
    if path.is_file() {
        return file(path);
    }
    if !word.contains('=') {
        return Err(SettingsError::Config { word: word.to_owned() });
    }
    let mut layer = parse::<Layer>(word, format!("--config {word}"))?;
    sound(word, &format!("--config {word}"), &[])?;
    layer.rebase(folder);
    Ok(Source { origin: Origin::CommandLine, layer, places: place::of_word(word) })
}

/// The entry of a package that declares none: its program, beside the L4Re runtime.
pub fn program(package: &str) -> Entry {
    let table = ModuleTable {
        bin: Some(package.to_owned()),
        package: Some(package.to_owned()),
        ..ModuleTable::default()
    };
    Entry {
        // The build tree's own list may well have an entry of the package's name.
        name: format!("cargo-{package}"),
        roottask: Some(format!("moe --init=rom/{package}")),
        modules: vec![Module::Searched("l4re".to_owned()), Module::Described(Box::new(table))],
        ..Entry::default()
    }
}

/// The nearest file of this name, in the folder or above it.
pub fn nearest(folder: &Utf8Path, name: &str) -> Result<Option<Source>, SettingsError> {
    upwards(folder, name).map(file).transpose()
}

/// The package's and the workspace's metadata tables, in this order.
pub fn manifests(
    environment: &Environment,
    sources: &Sources<'_>,
) -> Result<Vec<Source>, SettingsError> {
    let folder = environment.folder();
    let named = sources.manifest.map(|path| folder.join(path));
    let Some(mut path) = named.or_else(|| upwards(folder, "Cargo.toml")) else {
        return Ok(Vec::new());
    };
    if let Some(package) = sources.package {
        path = manifest_of(environment, &path, package)?;
    }
    let mut found = Vec::new();
    let (manifest, text) = manifest(&path)?;
    let pointer = manifest.package.as_ref().and_then(|table| table.workspace.clone());
    if let Some(layer) = manifest.package.and_then(take) {
        sound(&text, path.as_str(), &PACKAGE)?;
        found.push(Source {
            origin: Origin::Package(path.clone()),
            layer: rebased(layer, &path),
            places: place::of_file(&path, &text, &PACKAGE),
        });
    }
    let root = match manifest.workspace {
        Some(table) => Some((path, table, text)),
        None => workspace_root(&path, pointer)?,
    };
    if let Some((path, table, text)) = root
        && let Some(layer) = take(table)
    {
        sound(&text, path.as_str(), &WORKSPACE)?;
        let places = place::of_file(&path, &text, &WORKSPACE);
        let layer = rebased(layer, &path);
        found.push(Source { origin: Origin::Workspace(path), layer, places });
    }
    Ok(found)
}

fn take(table: Table) -> Option<Layer> {
    table.metadata.and_then(|metadata| metadata.l4re)
}

fn rebased(mut layer: Layer, manifest: &Utf8Path) -> Layer {
    layer.rebase(manifest.parent().unwrap_or(manifest));
    layer
}

/// The workspace that a member's manifest belongs to: where it points, or upwards.
fn workspace_root(
    member: &Utf8Path,
    pointer: Option<toml::Value>,
) -> Result<Option<(Utf8PathBuf, Table, String)>, SettingsError> {
    let folder = member.parent().unwrap_or(member);
    if let Some(toml::Value::String(pointer)) = pointer {
        let path = folder.join(pointer).join("Cargo.toml");
        let (manifest, text) = manifest(&path)?;
        return Ok(manifest.workspace.map(|table| (path, table, text)));
    }
    for folder in folder.ancestors().skip(1) {
        let path = folder.join("Cargo.toml");
        if !path.is_file() {
            continue;
        }
        let (manifest, text) = manifest(&path)?;
        if let Some(table) = manifest.workspace {
            return Ok(Some((path, table, text)));
        }
    }
    Ok(None)
}

/// The manifest of a workspace's package, as Cargo knows it.
fn manifest_of(
    environment: &Environment,
    manifest: &Utf8Path,
    package: &str,
) -> Result<Utf8PathBuf, SettingsError> {
    let mut command = cargo_metadata::MetadataCommand::new();
    command.manifest_path(manifest).no_deps();
    if let Some(cargo) = environment.get("CARGO") {
        command.cargo_path(cargo);
    }
    let metadata = command.exec().map_err(SettingsError::Metadata)?;
    let members = metadata.workspace_packages();
    match members.iter().find(|member| member.name.as_str() == package) {
        Some(member) => Ok(member.manifest_path.clone()),
        None => {
            let names = members.iter().map(|member| member.name.as_str());
            Err(SettingsError::Package {
                name: package.to_owned(),
                manifest: metadata.workspace_root.join("Cargo.toml"),
                nearest: l4re_image::nearest(package, names).first().map(|&near| near.to_owned()),
            })
        }
    }
}

fn upwards(folder: &Utf8Path, name: &str) -> Option<Utf8PathBuf> {
    folder.ancestors().map(|folder| folder.join(name)).find(|path| path.is_file())
}

/// A manifest's part that is ours, and its text.
fn manifest(path: &Utf8Path) -> Result<(Manifest, String), SettingsError> {
    let text = read(path)?;
    Ok((parse(&text, path.to_string())?, text))
}

fn file(path: Utf8PathBuf) -> Result<Source, SettingsError> {
    let text = read(&path)?;
    let layer = rebased(parse(&text, path.to_string())?, &path);
    sound(&text, path.as_str(), &[])?;
    let places = place::of_file(&path, &text, &[]);
    Ok(Source { origin: Origin::File(path), layer, places })
}

fn read(path: &Utf8Path) -> Result<String, SettingsError> {
    let bytes = fs_err::read(path)
        .map_err(|source| SettingsError::Read { path: path.to_owned(), source })?;
    String::from_utf8(bytes).map_err(|error| {
        let start = error.utf8_error().valid_up_to();
        let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
        let end = start + char::REPLACEMENT_CHARACTER.len_utf8();
        SettingsError::Content {
            message: "this is not UTF-8".to_owned(),
            place: path.to_string(),
            text,
            span: Some(start..end),
        }
    })
}

/// Refuses a text with an entry of which something would be lost without a word.
fn sound(text: &str, place: &str, root: &[&str]) -> Result<(), SettingsError> {
    let Some((message, span)) = place::unsound(text, root) else { return Ok(()) };
    Err(SettingsError::Content {
        message,
        place: place.to_owned(),
        text: text.to_owned(),
        span: Some(span),
    })
}

fn parse<T: serde::de::DeserializeOwned>(text: &str, place: String) -> Result<T, SettingsError> {
    toml::from_str(text).map_err(|error| SettingsError::toml(&error, place, text))
}
