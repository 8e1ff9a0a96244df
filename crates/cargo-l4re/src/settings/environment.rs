//! The layer made of `CARGO_L4RE_*`: each variable is a key, `.` and `-` as `_`.
//!
//! `CARGO_L4RE_TREE_AMD64_BUILD` is `tree.amd64.build`; a list is separated by spaces, as
//! Cargo has it. A variable that names no key is an error, as an unknown key in a file is.

use l4re_image::Arch;

use super::error::SettingsError;
use super::layer::Layer;
use crate::environment::{Environment, SETTINGS_PREFIX};

/// Variables with our prefix that are not settings.
const NOT_SETTINGS: &[&str] = &["LOG"];

/// How a variable's text becomes a TOML value.
#[derive(Debug, Clone, Copy)]
enum Shape {
    Text,
    Bool,
    List,
}

/// Keys that a variable can name; `*` stands for an architecture.
const KEYS: &[(&str, Shape)] = &[
    ("bucket", Shape::Text),
    ("ttl", Shape::Text),
    ("owner", Shape::Text),
    ("arch", Shape::Text),
    ("fetch-endpoint", Shape::Text),
    ("https", Shape::Bool),
    ("local", Shape::Bool),
    ("tree.*.build", Shape::Text),
    ("tree.*.kernel", Shape::Text),
    ("tree.*.platform", Shape::Text),
    ("machine.metal.*", Shape::List),
    ("machine.virtual.*", Shape::List),
    ("twin.dir", Shape::Text),
    ("twin.idle", Shape::Text),
    ("twin.accel", Shape::Text),
    ("twin.ipxe.*", Shape::Text),
    ("twin.qemu.*", Shape::Text),
    ("twin.firmware.*.code", Shape::Text),
    ("twin.firmware.*.vars", Shape::Text),
];

/// Reads the variables; `None` when there are none.
pub fn layer(environment: &Environment) -> Result<Option<Layer>, SettingsError> {
    let known: Vec<(String, String, Shape)> = KEYS.iter().flat_map(spellings).collect();
    let mut text = String::new();
    let mut names = Vec::new();
    for (suffix, value) in environment.settings().filter(|(key, _)| !NOT_SETTINGS.contains(key)) {
        let Some((_, key, shape)) = known.iter().find(|(name, ..)| name == suffix) else {
            let candidates = known.iter().map(|(name, ..)| name.as_str());
            let nearest = l4re_image::nearest(suffix, candidates);
            return Err(SettingsError::Variable {
                name: format!("{SETTINGS_PREFIX}{suffix}"),
                nearest: nearest.first().map(|name| format!("{SETTINGS_PREFIX}{name}")),
            });
        };
        text.push_str(&format!("{key} = {}\n", toml_value(value, *shape)));
        names.push(format!("{SETTINGS_PREFIX}{suffix}"));
    }
    if names.is_empty() {
        return Ok(None);
    }
    let mut layer: Layer =
        toml::from_str(&text).map_err(|error| of_variable(&error, &text, &names))?;
    layer.rebase(environment.folder());
    Ok(Some(layer))
}

/// A key's variables: one, or one for each spelling of each architecture.
fn spellings((key, shape): &(&str, Shape)) -> Vec<(String, String, Shape)> {
    let spell = |key: String| {
        let name = key.replace(['.', '-'], "_").to_uppercase();
        (name, key, *shape)
    };
    if !key.contains('*') {
        return vec![spell((*key).to_owned())];
    }
    let mut arches: Vec<&str> = [Arch::X86_64, Arch::Arm64, Arch::X86, Arch::Arm]
        .iter()
        .flat_map(|arch| [arch.l4re(), arch.rust()])
        .collect();
    arches.sort_unstable();
    arches.dedup();
    arches.into_iter().map(|arch| spell(key.replace('*', arch))).collect()
}

fn toml_value(value: &str, shape: Shape) -> String {
    let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
    match shape {
        Shape::Text => quoted(value),
        Shape::Bool => match value {
            "true" | "1" => "true".to_owned(),
            "false" | "0" => "false".to_owned(),
            other => quoted(other),
        },
        Shape::List => {
            let items: Vec<_> = value.split_whitespace().map(quoted).collect();
            format!("[{}]", items.join(", "))
        }
    }
}

/// An error in the text made of variables, told as one of the variable on that line.
fn of_variable(error: &toml::de::Error, text: &str, names: &[String]) -> SettingsError {
    let line = error.span().map_or(0, |span| text[..span.start].matches('\n').count());
    SettingsError::Content {
        message: error.message().trim().to_owned(),
        place: names.get(line).or(names.first()).cloned().unwrap_or_default(),
        text: String::new(),
        span: None,
    }
}

#[cfg(test)]
mod tests {
    use camino::Utf8Path;

    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Option<Layer>, SettingsError> {
        layer(&Environment::of(Utf8Path::new("/w"), variables))
    }

    #[test]
    fn keys_and_shapes() {
        let variables = [
            ("CARGO_L4RE_HTTPS", "1"),
            ("CARGO_L4RE_MACHINE_METAL_ARM64", "m7g.metal c7g.metal"),
            ("CARGO_L4RE_TREE_AARCH64_BUILD", "b"),
            ("CARGO_L4RE_LOG", "debug"),
            ("PATH", "/bin"),
        ];
        let layer = read(&variables).unwrap().unwrap();
        assert_eq!(layer.https, Some(true));
        let key = crate::settings::layer::ArchKey(Arch::Arm64);
        assert_eq!(layer.machine.metal[&key], ["m7g.metal", "c7g.metal"]);
        assert_eq!(layer.tree[&key].build.as_deref(), Some(Utf8Path::new("/w/b")));
        assert!(read(&[]).unwrap().is_none());
    }

    #[test]
    fn an_unknown_variable_names_the_nearest() {
        let error = read(&[("CARGO_L4RE_BUKET", "b")]).unwrap_err().to_string();
        assert_eq!(error, "CARGO_L4RE_BUKET names no setting; did you mean CARGO_L4RE_BUCKET?");
    }

    #[test]
    fn a_bad_value_names_its_variable() {
        let error = read(&[("CARGO_L4RE_OWNER", "me"), ("CARGO_L4RE_TTL", "soon")]).unwrap_err();
        let SettingsError::Content { place, message, .. } = error else { panic!("{error:?}") };
        assert_eq!(place, "CARGO_L4RE_TTL");
        assert!(message.contains("`soon`"), "{message}");
    }
}
