//! Layers from files: `--config`, `l4re.toml`, and the manifests' metadata tables.
//!
//! Manifests are found by walking upwards, as Cargo does; `cargo metadata` is asked only
//! when `--package` names one, since starting Cargo costs more than a whole `efiimage`.

use camino::{Utf8Path, Utf8PathBuf};
use serde::Deserialize;

use super::error::SettingsError;
use super::layer::{Entry, Layer, Module, ModuleTable};
use super::{Origin, Sources};
use crate::environment::Environment;

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

/// The layer of one `--config` word: `KEY=VALUE` or a file.
pub fn config_word(word: &str, folder: &Utf8Path) -> Result<(Origin, Layer), SettingsError> {
    let path = folder.join(word);
    if path.is_file() {
        return file(path);
    }
    if !word.contains('=') {
        return Err(SettingsError::Config { word: word.to_owned() });
    }
    let mut layer = parse::<Layer>(word, format!("--config {word}"))?;
    layer.rebase(folder);
    Ok((Origin::CommandLine, layer))
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

/// The nearest `l4re.toml` upwards.
pub fn nearest_file(folder: &Utf8Path) -> Result<Option<(Origin, Layer)>, SettingsError> {
    match upwards(folder, "l4re.toml") {
        Some(path) => file(path).map(Some),
        None => Ok(None),
    }
}

/// The package's and the workspace's metadata tables, in this order.
pub fn manifests(
    environment: &Environment,
    sources: &Sources<'_>,
) -> Result<Vec<(Origin, Layer)>, SettingsError> {
    let folder = environment.folder();
    let named = sources.manifest.map(|path| folder.join(path));
    let Some(mut path) = named.or_else(|| upwards(folder, "Cargo.toml")) else {
        return Ok(Vec::new());
    };
    if let Some(package) = sources.package {
        path = manifest_of(environment, &path, package)?;
    }
    let mut layers = Vec::new();
    let manifest = manifest(&path)?;
    let pointer = manifest.package.as_ref().and_then(|table| table.workspace.clone());
    if let Some(layer) = manifest.package.and_then(take) {
        layers.push((Origin::Package(path.clone()), rebased(layer, &path)));
    }
    let root = match manifest.workspace {
        Some(table) => Some((path, table)),
        None => workspace_root(&path, pointer)?,
    };
    if let Some((path, table)) = root
        && let Some(layer) = take(table)
    {
        let layer = rebased(layer, &path);
        layers.push((Origin::Workspace(path), layer));
    }
    Ok(layers)
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
) -> Result<Option<(Utf8PathBuf, Table)>, SettingsError> {
    let folder = member.parent().unwrap_or(member);
    if let Some(toml::Value::String(pointer)) = pointer {
        let path = folder.join(pointer).join("Cargo.toml");
        return Ok(manifest(&path)?.workspace.map(|table| (path, table)));
    }
    for folder in folder.ancestors().skip(1) {
        let path = folder.join("Cargo.toml");
        if path.is_file()
            && let Some(table) = manifest(&path)?.workspace
        {
            return Ok(Some((path, table)));
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

fn manifest(path: &Utf8Path) -> Result<Manifest, SettingsError> {
    parse(&read(path)?, path.to_string())
}

fn file(path: Utf8PathBuf) -> Result<(Origin, Layer), SettingsError> {
    let layer = parse(&read(&path)?, path.to_string())?;
    let layer = rebased(layer, &path);
    Ok((Origin::File(path), layer))
}

fn read(path: &Utf8Path) -> Result<String, SettingsError> {
    fs_err::read_to_string(path)
        .map_err(|source| SettingsError::Read { path: path.to_owned(), source })
}

fn parse<T: serde::de::DeserializeOwned>(text: &str, place: String) -> Result<T, SettingsError> {
    toml::from_str(text).map_err(|error| SettingsError::toml(&error, place, text))
}
