//! Values of settings that name something of others: buckets, roles, instance types, entries.
//!
//! What cannot be such a name is an error where it stands, before anything is done with it.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize};

/// The name of a bucket, as far as any store may have it.
pub fn bucket(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    match text.starts_with("arn:") || (!text.is_empty() && text.chars().all(plain)) {
        true => Ok(text.to_owned()),
        false => Err(format!("`{text}` cannot be a bucket's name: letters, digits, `.`, `-`, `_`")),
    }
}

/// The ARN of a role.
pub fn role(text: &str) -> Result<String, String> {
    match text.starts_with("arn:") && text.contains(":iam::") && text.contains(":role/") {
        true => Ok(text.to_owned()),
        false => {
            Err(format!("`{text}` is no role's ARN such as `arn:aws:iam::123456789012:role/NAME`"))
        }
    }
}

/// Reads the name of a bucket.
pub fn named_bucket<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    bucket(&String::deserialize(from)?).map(Some).map_err(serde::de::Error::custom)
}

/// Reads the ARN of a role.
pub fn named_role<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    role(&String::deserialize(from)?).map(Some).map_err(serde::de::Error::custom)
}

/// Reads an entry's name, which is a part of a file's name.
pub fn name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let name = String::deserialize(deserializer)?;
    match name.is_empty() || name.contains(|c: char| c == '/' || c.is_control()) {
        true => Err(serde::de::Error::custom(format!(
            "{name:?} cannot be an entry's name: it is empty or has a `/` or a control character"
        ))),
        false => Ok(name),
    }
}

/// Instance types, at least one, tried in turn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InstanceTypes(pub Vec<String>);

impl<'de> Deserialize<'de> for InstanceTypes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let types = Vec::<InstanceType>::deserialize(deserializer)?;
        match types.is_empty() {
            true => Err(serde::de::Error::custom("at least one instance type must stand here")),
            false => Ok(Self(types.into_iter().map(|name| name.0).collect())),
        }
    }
}

impl JsonSchema for InstanceTypes {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "InstanceTypes".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let name = json_schema!({ "type": "string", "pattern": r"^[a-z0-9-]+\.[a-z0-9-]+$" });
        json_schema!({ "type": "array", "items": name, "minItems": 1 })
    }
}

struct InstanceType(String);

impl<'de> Deserialize<'de> for InstanceType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // By a visitor: only what that says has the place of the one element.
        deserializer.deserialize_str(InstanceTypeVisitor)
    }
}

struct InstanceTypeVisitor;

impl serde::de::Visitor<'_> for InstanceTypeVisitor {
    type Value = InstanceType;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an instance type such as `m7g.metal`")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<InstanceType, E> {
        let part = |part: &str| {
            let known = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            !part.is_empty() && part.chars().all(known)
        };
        match text.split_once('.').is_some_and(|(family, size)| part(family) && part(size)) {
            true => Ok(InstanceType(text.to_owned())),
            false => Err(E::custom(format!("`{text}` is no instance type such as `m7g.metal`"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::settings::Layer;

    #[test]
    fn what_cannot_be_a_type_a_name_or_a_life_is_an_error_where_it_stands() {
        for (before, wrong, said) in [
            ("machine.metal.arm64 = [\"m7g.metal\", ", "\"a,b\"", "no instance type"),
            ("machine.virtual.amd64 = [", "\"t3\"", "no instance type"),
            ("entry = [{ name = ", "\"\"", "cannot be an entry's name"),
            ("entry = [{ name = ", "\"a/b\"", "cannot be an entry's name"),
            ("bucket = ", "\"my bucket\"", "cannot be a bucket's name"),
            ("scheduler-role = ", "\"gc\"", "no role's ARN"),
            ("ttl = ", "\"0h\"", "no time to live"),
            ("ttl = ", "\"99999999999h\"", "too large a number"),
        ] {
            let end = if before.contains("[{") { "}]" } else { "" };
            let end = if before.ends_with('[') || before.ends_with(", ") { "]" } else { end };
            let text = format!("{before}{wrong}{end}");
            let error = toml::from_str::<Layer>(&text).unwrap_err();
            assert!(error.message().contains(said), "{error}");
            assert_eq!(&text[error.span().unwrap()], wrong, "{error}");
        }
        let none = toml::from_str::<Layer>("machine.metal.arm64 = []").unwrap_err();
        assert!(none.message().contains("at least one"), "{none}");
    }
}
