//! The bill of materials: CycloneDX 1.5 as JSON, from what cargo knows of the binary.
//!
//! Only crates that are compiled into a released binary are named: no development
//! dependency, no other platform's. <https://cyclonedx.org/docs/1.5/json/>

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::target::Target;
use crate::project::Project;

/// The document for `cargo-l4re` at `version`.
pub(super) fn document(project: &Project, version: &str) -> Result<String> {
    let mut packages = BTreeMap::new();
    for target in Target::ALL {
        let filter = format!("--filter-platform={}", target.triple());
        let words = ["metadata", "--format-version=1", "--locked", "--quiet", &filter];
        let metadata: Value = serde_json::from_str(&project.cargo(words).read()?)?;
        compiled_in(&metadata, &mut packages)?;
    }
    let sums = sums(&fs_err::read_to_string(project.root.join("Cargo.lock"))?);
    let ours = packages
        .remove(&format!("pkg:cargo/cargo-l4re@{version}"))
        .context("cargo metadata does not name cargo-l4re")?;
    let mut application = component(&ours, &sums);
    application["type"] = "application".into();
    let document = json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "timestamp": project.commit_time("%cI")?,
            "component": application,
        },
        "components": packages.values().map(|of| component(of, &sums)).collect::<Vec<_>>(),
        "dependencies": [{ "ref": purl(&ours), "dependsOn": packages.keys().collect::<Vec<_>>() }],
    });
    Ok(serde_json::to_string_pretty(&document)? + "\n")
}

/// Adds every package that `cargo-l4re` reaches by a normal or a build dependency.
fn compiled_in(metadata: &Value, found: &mut BTreeMap<String, Value>) -> Result<()> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let nodes: BTreeMap<String, Value> =
        list(&metadata["resolve"]["nodes"]).into_iter().map(|n| (text(&n["id"]), n)).collect();
    let packages: BTreeMap<String, Value> =
        list(&metadata["packages"]).into_iter().map(|p| (text(&p["id"]), p)).collect();
    let root = packages.iter().find(|(_, package)| package["name"] == "cargo-l4re");
    let mut open = vec![root.context("cargo metadata does not name cargo-l4re")?.0.clone()];
    let mut seen = BTreeSet::new();
    while let Some(id) = open.pop() {
        if !seen.insert(id.clone()) {
            continue;
        }
        let package = packages.get(&id).with_context(|| format!("no package {id}"))?.clone();
        found.insert(purl(&package), package);
        for dependency in list(&nodes[&id]["deps"]) {
            let kinds = list(&dependency["dep_kinds"]);
            if kinds.iter().any(|kind| kind["kind"] != "dev") {
                open.push(text(&dependency["pkg"]));
            }
        }
    }
    Ok(())
}

fn component(package: &Value, sums: &BTreeMap<(String, String), String>) -> Value {
    let text = |key: &str| package[key].as_str().unwrap_or_default().to_owned();
    let mut component = json!({
        "type": "library",
        "bom-ref": purl(package),
        "name": text("name"),
        "version": text("version"),
        "purl": purl(package),
    });
    if let Some(license) = package["license"].as_str() {
        component["licenses"] = json!([{ "expression": expression(license) }]);
    }
    if let Some(sum) = sums.get(&(text("name"), text("version"))) {
        component["hashes"] = json!([{ "alg": "SHA-256", "content": sum }]);
    }
    component
}

/// Some old crates write `MIT/Apache-2.0`, which is no SPDX expression.
fn expression(license: &str) -> String {
    license.split('/').map(str::trim).collect::<Vec<_>>().join(" OR ")
}

fn purl(package: &Value) -> String {
    let text = |key: &str| package[key].as_str().unwrap_or_default();
    format!("pkg:cargo/{}@{}", text("name"), text("version"))
}

/// The sums of the lock file, by name and version.
fn sums(lock: &str) -> BTreeMap<(String, String), String> {
    let value = |block: &str, key: &str| {
        let start = format!("{key} = \"");
        let line = block.lines().find_map(|line| line.strip_prefix(&start))?;
        line.strip_suffix('"').map(str::to_owned)
    };
    let blocks = lock.split("[[package]]").skip(1);
    blocks
        .filter_map(|block| {
            let name = (value(block, "name")?, value(block, "version")?);
            Some((name, value(block, "checksum")?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_only_for_tests_is_left_out() {
        let package = |name: &str| json!({"id": name, "name": name, "version": "1.0.0"});
        let metadata = json!({
            "packages": [package("cargo-l4re"), package("used"), package("tested")],
            "resolve": { "nodes": [
                { "id": "cargo-l4re", "deps": [
                    { "pkg": "used", "dep_kinds": [{ "kind": null }] },
                    { "pkg": "tested", "dep_kinds": [{ "kind": "dev" }] },
                ] },
                { "id": "used", "deps": [] },
                { "id": "tested", "deps": [] },
            ] },
        });
        let mut found = BTreeMap::new();
        compiled_in(&metadata, &mut found).unwrap();
        let names: Vec<_> = found.keys().collect();
        assert_eq!(names, ["pkg:cargo/cargo-l4re@1.0.0", "pkg:cargo/used@1.0.0"]);
    }

    #[test]
    fn sums_and_licences_are_said() {
        let lock = "version = 4\n\n[[package]]\nname = \"a\"\nversion = \"1.0.0\"\n\
                    checksum = \"00ff\"\n\n[[package]]\nname = \"ours\"\nversion = \"0.1.0\"\n";
        let sums = sums(lock);
        assert_eq!(sums.len(), 1);
        let package = json!({"name": "a", "version": "1.0.0", "license": "MIT/Apache-2.0"});
        let component = component(&package, &sums);
        assert_eq!(component["hashes"][0]["content"], "00ff");
        assert_eq!(component["licenses"][0]["expression"], "MIT OR Apache-2.0");
    }
}
