//! Which crate may depend on which: the table of DESIGN and ARCHITECTURE, enforced.
//!
//! Development dependencies count too: the twin and the client that tests meet only in the
//! package `l4re-tests`, so that one cannot hide the other's misunderstanding.

use camino::Utf8Path;
use serde_json::Value;

use super::Finding;
use super::files::File;

/// What each package may use of ours.
const OURS: [(&str, &[&str]); 7] = [
    ("cargo-l4re", &["l4re-cloud", "l4re-console", "l4re-image", "l4re-twin"]),
    ("l4re-cloud", &["l4re-image"]),
    ("l4re-console", &[]),
    ("l4re-image", &[]),
    ("l4re-twin", &[]),
    ("l4re-tests", &[]),
    ("xtask", &[]),
];

/// Foreign crates (or beginnings of their names) and the only packages that may use them.
const THEIRS: [(&str, &[&str]); 4] = [
    ("aws-", &["l4re-cloud"]),
    ("anyhow", &["xtask"]),
    ("s3s", &["l4re-twin"]),
    ("hyper", &["l4re-twin", "l4re-tests"]),
];

/// What a crate that never touches the network has no use for.
const NETWORK: [&str; 6] = ["tokio", "hyper", "reqwest", "ureq", "russh", "socket2"];
const OFFLINE: &str = "l4re-image";

/// All findings in the dependencies of `packages`.
pub(super) fn check(packages: &[Value]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in packages {
        let name = package["name"].as_str().unwrap_or("");
        for dependency in dependencies(package) {
            if let Some(reason) = forbidden(name, dependency) {
                findings.push(Finding::new(&manifest(package), 1, reason));
            }
        }
    }
    findings
}

/// All packages that ARCHITECTURE.md does not name.
pub(super) fn named_in_architecture(packages: &[Value], files: &[File]) -> Vec<Finding> {
    let path = Utf8Path::new("ARCHITECTURE.md");
    let text = files.iter().find(|file| file.path == path).map_or("", |file| file.text.as_str());
    let names = packages.iter().filter_map(|package| package["name"].as_str());
    let unnamed = names.filter(|name| !text.contains(&format!("`{name}`")));
    unnamed.map(|name| Finding::new(path, 1, format!("the crate `{name}` is not named"))).collect()
}

fn forbidden(package: &str, dependency: &str) -> Option<String> {
    if OURS.iter().any(|(name, _)| *name == dependency) {
        let Some((_, may)) = OURS.iter().find(|(name, _)| *name == package) else {
            return Some(format!("`{package}` has no row in xtask/src/tidy/crates.rs"));
        };
        let allowed = may.contains(&dependency);
        return (!allowed).then(|| format!("`{package}` must not depend on `{dependency}`"));
    }
    if package == OFFLINE && NETWORK.contains(&dependency) {
        return Some(format!("`{package}` never touches the network: no `{dependency}`"));
    }
    let (_, only) = THEIRS.iter().find(|(beginning, _)| dependency.starts_with(beginning))?;
    let allowed = only.contains(&package);
    (!allowed).then(|| format!("`{dependency}` is for {} only", only.join(", ")))
}

fn dependencies(package: &Value) -> impl Iterator<Item = &str> {
    let list = package["dependencies"].as_array().into_iter().flatten();
    list.filter_map(|dependency| dependency["name"].as_str())
}

/// The package's manifest, relative to the root as all findings are.
fn manifest(package: &Value) -> camino::Utf8PathBuf {
    let path = Utf8Path::new(package["manifest_path"].as_str().unwrap_or("Cargo.toml"));
    let root = Utf8Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    root.and_then(|root| path.strip_prefix(root).ok()).unwrap_or(path).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependencies_run_one_way() {
        assert_eq!(forbidden("cargo-l4re", "l4re-twin"), None);
        assert_eq!(forbidden("l4re-cloud", "l4re-image"), None);
        assert!(forbidden("l4re-twin", "l4re-cloud").is_some());
        assert!(forbidden("l4re-cloud", "l4re-twin").is_some());
        assert!(forbidden("l4re-image", "l4re-console").is_some());
        assert!(forbidden("a-new-crate", "l4re-image").is_some());
    }

    #[test]
    fn foreign_crates_have_their_places() {
        assert_eq!(forbidden("l4re-cloud", "aws-sdk-ec2"), None);
        assert!(forbidden("cargo-l4re", "aws-config").is_some());
        assert!(forbidden("l4re-image", "tokio").is_some());
        assert!(forbidden("l4re-image", "anyhow").is_some());
        assert_eq!(forbidden("l4re-console", "tokio"), None);
    }

    #[test]
    fn findings_name_the_manifest() {
        let root = Utf8Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let packages = [serde_json::json!({
            "name": "l4re-twin",
            "manifest_path": root.join("crates/l4re-twin/Cargo.toml"),
            "dependencies": [{ "name": "l4re-cloud", "kind": "dev" }],
        })];
        let findings = check(&packages);
        assert_eq!(
            findings[0].to_string(),
            "crates/l4re-twin/Cargo.toml:1: `l4re-twin` must not depend on `l4re-cloud`"
        );
        assert_eq!(named_in_architecture(&packages, &[]).len(), 1);
    }
}
