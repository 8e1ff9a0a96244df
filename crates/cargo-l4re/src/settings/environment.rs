//! The layer made of `CARGO_L4RE_*`: each variable is a key, `.` and `-` as `_`.
//!
//! `CARGO_L4RE_TREE_AMD64_BUILD` is `tree.amd64.build`; a list is separated by spaces, as
//! Cargo has it. A variable that names no key is an error, as an unknown key in a file is.

use super::error::SettingsError;
use super::layer::Layer;
use super::place::{Place, Places};
use super::schema::{self, Shape};
use super::{Origin, Source};
use crate::environment::{Environment, SETTINGS_PREFIX};

/// Variables with our prefix that are not settings.
const NOT_SETTINGS: &[&str] = &["LOG"];

/// Reads the variables; `None` when there are none.
pub fn layer(environment: &Environment) -> Result<Option<Source>, SettingsError> {
    let set = || environment.settings().filter(|(key, _)| !NOT_SETTINGS.contains(key));
    if set().next().is_none() {
        return Ok(None);
    }
    let known = variables();
    let mut text = String::new();
    let mut names = Vec::new();
    let mut places = Places::new();
    for (suffix, value) in set() {
        let Some((_, key, shape)) = known.iter().find(|(name, ..)| name == suffix) else {
            let candidates = known.iter().map(|(name, ..)| name.as_str());
            let nearest = l4re_image::nearest(suffix, candidates);
            return Err(SettingsError::Variable {
                name: format!("{SETTINGS_PREFIX}{suffix}"),
                nearest: nearest.first().map(|name| format!("{SETTINGS_PREFIX}{name}")),
            });
        };
        let name = format!("{SETTINGS_PREFIX}{suffix}");
        let Some(value) = value else { return Err(content("this is not UTF-8".into(), name)) };
        text.push_str(&format!("{key} = {}\n", toml_value(value, *shape)));
        places.insert(schema::canonical(key.split('.')), Place::Variable(name.clone()));
        names.push(name);
    }
    let mut layer: Layer =
        toml::from_str(&text).map_err(|error| of_variable(&error, &text, &names))?;
    layer.rebase(environment.folder());
    Ok(Some(Source { origin: Origin::Environment, layer, places }))
}

/// Every variable without its prefix, its key and what values that takes.
fn variables() -> Vec<(String, String, Shape)> {
    let keys = schema::keys().into_iter().filter(schema::Key::has_variable);
    let spell = |key: schema::Key| {
        let shape = key.shape;
        key.spelt().into_iter().map(move |path| (variable(&path), path, shape))
    };
    keys.flat_map(spell).collect()
}

/// The name of a key's variable, without its prefix.
fn variable(key: &str) -> String {
    key.replace(['.', '-'], "_").to_uppercase()
}

fn toml_value(value: &str, shape: Shape) -> String {
    let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
    match shape {
        Shape::Text => quoted(value),
        Shape::Number | Shape::Other => value.to_owned(),
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
    let name = names.get(line).or(names.first()).cloned().unwrap_or_default();
    content(super::error::message(error), name)
}

/// What is wrong with a variable.
const fn content(message: String, name: String) -> SettingsError {
    SettingsError::Content { message, place: name, text: String::new(), span: None }
}

#[cfg(test)]
mod tests {
    use camino::Utf8Path;

    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Option<Layer>, SettingsError> {
        let source = layer(&Environment::of(Utf8Path::new("/w"), variables))?;
        Ok(source.map(|source| source.layer))
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
        let key = crate::settings::ArchKey(l4re_image::Arch::Arm64);
        assert_eq!(layer.machine.metal[&key].0, ["m7g.metal", "c7g.metal"]);
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
