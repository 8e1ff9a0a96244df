//! The schema of all layers, as JSON Schema, and the keys that it has.
//!
//! [`Layer`] is where keys are declared; this is the same for editors, for the book and for
//! the layer made of variables.

use l4re_image::Arch;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value};

use super::layer::Layer;
use super::words::ArchKey;

/// Stands for an architecture in a key.
pub const ARCH: &str = "ARCH";
/// Stands for an entry's name in a key.
pub const NAME: &str = "NAME";

/// A key.
#[derive(Debug, Clone, PartialEq)]
pub struct Key {
    /// Its parts joined by dots, with [`ARCH`] and [`NAME`] where they vary.
    pub path: String,
    /// What values it takes.
    pub shape: Shape,
    /// What holds when nothing is set; by architecture where the key is.
    pub default: Option<Value>,
}

/// What values a key takes, as far as a variable's text must be told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// A string.
    Text,
    /// `true` or `false`.
    Bool,
    /// A number.
    Number,
    /// A list of strings.
    List,
    /// Something that only TOML can say.
    Other,
}

/// The schema, as it is published.
pub fn schema() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        // Readable from top to bottom, and by readers that know no references.
        settings.inline_subschemas = true;
    });
    let mut schema = settings.into_generator().into_root_schema_for::<Layer>().to_value();
    schema["title"] = "Settings of cargo l4re".into();
    tidy(&mut schema);
    schema
}

/// TOML knows no null, and defaults are those that we name.
fn tidy(value: &mut Value) {
    let Value::Object(object) = value else { return };
    object.remove("default");
    if let Some(default) = object.remove("x-default") {
        object.insert("default".to_owned(), default);
    }
    if let Some(Value::Array(types)) = object.get_mut("type") {
        types.retain(|kind| kind != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            object.insert("type".to_owned(), only);
        }
    }
    if let Some(Value::Array(any)) = object.get_mut("anyOf") {
        any.retain(|one| one["type"] != "null");
        if let [Value::Object(only)] = any.as_slice() {
            let only = only.clone();
            object.remove("anyOf");
            for (name, value) in only {
                object.entry(name).or_insert(value);
            }
        }
    }
    for name in ["properties", "patternProperties"] {
        if let Some(Value::Object(properties)) = object.get_mut(name) {
            properties.values_mut().for_each(tidy);
        }
    }
    for name in ["anyOf", "oneOf"] {
        if let Some(Value::Array(several)) = object.get_mut(name) {
            several.iter_mut().for_each(tidy);
        }
    }
    if let Some(items) = object.get_mut("items") {
        tidy(items);
    }
}

/// Every key, in the schema's order.
pub fn keys() -> Vec<Key> {
    let mut keys = Vec::new();
    collect(&schema(), "", None, &mut keys);
    keys
}

fn collect(schema: &Value, path: &str, default: Option<&Value>, keys: &mut Vec<Key>) {
    let below =
        |part: &str| if path.is_empty() { part.to_owned() } else { format!("{path}.{part}") };
    let default = schema.get("default").or(default);
    if let Some(Value::Object(properties)) = schema.get("properties") {
        for (name, property) in properties {
            collect(property, &below(name), None, keys);
        }
    } else if let Some(by_arch) = schema.get("patternProperties").and_then(Value::as_object) {
        for property in by_arch.values() {
            collect(property, &below(ARCH), default, keys);
        }
    } else if let Some(properties) = schema["items"].get("properties").and_then(Value::as_object) {
        for (name, property) in properties.iter().filter(|(name, _)| *name != "name") {
            collect(property, &below(&format!("{NAME}.{name}")), None, keys);
        }
    } else {
        let (path, default) = (path.to_owned(), default.cloned());
        keys.push(Key { path, shape: shape(schema), default });
    }
}

fn shape(schema: &Value) -> Shape {
    match schema["type"].as_str() {
        Some("array") if schema["items"]["type"] == "string" => Shape::List,
        Some("boolean") => Shape::Bool,
        Some("integer" | "number") => Shape::Number,
        Some("string") => Shape::Text,
        // Alternatives that are all words, such as `auto` and `kvm`.
        None if schema.get("oneOf").is_some() => Shape::Text,
        _ => Shape::Other,
    }
}

impl Key {
    /// Whether a variable can say it.
    pub fn has_variable(&self) -> bool {
        self.shape != Shape::Other && !self.path.split('.').any(|part| part == NAME)
    }

    /// The keys with each spelling of each architecture in its place.
    pub fn spelt(&self) -> Vec<String> {
        match self.path.contains(ARCH) {
            false => vec![self.path.clone()],
            true => {
                let arches = ArchKey::spellings().into_iter();
                arches.map(|arch| self.path.replace(ARCH, arch)).collect()
            }
        }
    }

    /// What holds when nothing is set, key by key.
    pub fn defaults(&self) -> Vec<(String, Value)> {
        match (&self.default, self.path.contains(ARCH)) {
            (None, _) => Vec::new(),
            (Some(Value::Object(by_arch)), true) => by_arch
                .iter()
                .map(|(arch, value)| (self.path.replace(ARCH, arch), value.clone()))
                .collect(),
            (Some(value), _) => vec![(self.path.clone(), value.clone())],
        }
    }
}

/// A layer's values as keys and values, in any order; an entry is a table under its name.
pub fn flatten(layer: &Layer) -> serde_json::Result<Vec<(String, Value)>> {
    let mut flat = Vec::new();
    flatten_table("", serde_json::to_value(layer)?, &mut flat);
    Ok(flat)
}

fn flatten_table(path: &str, value: Value, flat: &mut Vec<(String, Value)>) {
    let below =
        |part: &str| if path.is_empty() { part.to_owned() } else { format!("{path}.{part}") };
    match value {
        Value::Null => {}
        Value::Object(table) => {
            for (name, value) in table {
                flatten_table(&below(&name), value, flat);
            }
        }
        Value::Array(items) if path == "entry" => {
            for mut item in items {
                let name =
                    item.as_object_mut().and_then(|table: &mut Map<_, _>| table.remove("name"));
                let name = name.as_ref().and_then(Value::as_str).unwrap_or_default().to_owned();
                flatten_table(&below(&name), item, flat);
            }
        }
        Value::Array(items) if items.is_empty() => {}
        other => flat.push((path.to_owned(), other)),
    }
}

/// A key, or the beginning of one, as we write it; or what is wrong with it.
pub fn known_key(key: &str) -> Result<String, String> {
    let parts: Vec<&str> = key.split('.').collect();
    let keys = keys();
    let fits = |known: &Key| {
        let mut known = known.path.split('.');
        parts.iter().all(|part| match known.next() {
            Some(ARCH) => part.parse::<Arch>().is_ok(),
            Some(NAME) => true,
            known => known == Some(part),
        })
    };
    if keys.iter().any(fits) {
        return Ok(canonical(parts.into_iter()));
    }
    let spelt: Vec<String> = keys.iter().flat_map(Key::spelt).collect();
    let near = l4re_image::nearest(key, spelt.iter().map(String::as_str));
    let near = near.first().map(|near| format!("; did you mean `{near}`?"));
    Err(format!("`{key}` is no setting{}", near.unwrap_or_default()))
}

/// A key as we write it: architectures in our spelling.
pub fn canonical<'a>(parts: impl Iterator<Item = &'a str>) -> String {
    let mut parts: Vec<&str> = parts.collect();
    // Neither a key at the top nor the name of an entry is an architecture.
    if parts.first().is_some_and(|first| *first != "entry") {
        for part in parts.iter_mut().skip(1) {
            *part = part.parse::<Arch>().map_or(*part, |arch| ArchKey(arch).name());
        }
    }
    parts.join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_a_shape_and_a_meaning() {
        let keys = keys();
        let of = |path: &str| keys.iter().find(|key| key.path == path).unwrap();
        assert_eq!(of("ttl").shape, Shape::Text);
        assert_eq!(of("https").shape, Shape::Bool);
        assert_eq!(of("machine.metal.ARCH").shape, Shape::List);
        assert_eq!(of("tree.ARCH.build").shape, Shape::Text);
        assert_eq!(of("twin.accel").shape, Shape::Text);
        assert_eq!(of("twin.firmware.ARCH.code").shape, Shape::Text);
        assert!(!of("entry.NAME.expect").has_variable());
        assert_eq!(of("ttl").defaults(), [("ttl".to_owned(), Value::from("2h"))]);
        assert_eq!(of("machine.metal.ARCH").defaults().len(), 2);
    }

    #[test]
    fn the_schema_has_no_null_and_no_empty_default() {
        let text = serde_json::to_string(&schema()).unwrap();
        assert!(!text.contains("null"), "{text}");
        assert!(!text.contains("\"default\":{}") && !text.contains("x-default"), "{text}");
    }

    #[test]
    fn keys_are_known_from_their_beginning_on() {
        for key in ["ttl", "twin", "tree.amd64", "entry.hello", "entry.hello.expect"] {
            assert_eq!(known_key(key).as_deref(), Ok(key));
        }
        assert_eq!(known_key("tree.x86_64.build").as_deref(), Ok("tree.amd64.build"));
        assert_eq!(
            known_key("buckt").unwrap_err(),
            "`buckt` is no setting; did you mean `bucket`?"
        );
        for key in ["", "tree.pdp11", "ttl.x", "TTL.x.y.z"] {
            assert!(known_key(key).unwrap_err().contains("is no setting"), "{key}");
        }
    }

    #[test]
    fn architectures_have_one_spelling() {
        assert_eq!(canonical(["tree", "x86_64", "build"].into_iter()), "tree.amd64.build");
        assert_eq!(canonical(["arch"].into_iter()), "arch");
        let entry = ["entry", "x86_64", "expect"];
        assert_eq!(canonical(entry.into_iter()), "entry.x86_64.expect");
    }
}
