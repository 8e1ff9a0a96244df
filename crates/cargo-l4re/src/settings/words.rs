//! Values of settings with a spelling of their own: architectures, lengths of time, modules.
//!
//! Each reads every spelling that people use, writes one, and says in the schema what it reads.

use std::borrow::Cow;
use std::time::Duration;

use jiff::SignedDuration;
use l4re_image::Arch;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::layer::ModuleTable;

/// An architecture as a key, in any of its spellings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ArchKey(pub Arch);

impl<'de> Deserialize<'de> for ArchKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Self).map_err(serde::de::Error::custom)
    }
}

impl ArchKey {
    /// The spelling that we write: L4Re's where it is unambiguous.
    pub const fn name(self) -> &'static str {
        match self.0 {
            Arch::X86_64 | Arch::Arm64 => self.0.l4re(),
            other => other.rust(),
        }
    }

    /// The spellings that we name to others, without doubles.
    pub fn spellings() -> Vec<&'static str> {
        let mut all: Vec<_> = Arch::all().flat_map(|arch| [arch.l4re(), arch.rust()]).collect();
        all.sort_unstable();
        all.dedup();
        all
    }
}

impl Serialize for ArchKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl JsonSchema for ArchKey {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Arch".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        // A pattern, so that a table by architecture is told from one of fixed keys.
        let pattern = format!("^({})$", Self::spellings().join("|"));
        json_schema!({ "type": "string", "pattern": pattern })
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
        let unknown = |_| problem(&"no number and unit, or too large a number");
        let span: jiff::Span = text.parse().map_err(unknown)?;
        let days = jiff::SpanRelativeTo::days_are_24_hours();
        let length = span.to_duration(days).map_err(|_| problem(&"months and years vary"))?;
        Duration::try_from(length).map(Self).map_err(|_| problem(&"it is negative"))
    }
}

impl Span {
    /// A length of time that is more than none: what lives for none is gone at once.
    pub fn lasting(text: &str) -> Result<Self, String> {
        let span: Self = text.parse()?;
        match span.0.is_zero() {
            true => Err(format!("`{text}` is no time to live")),
            false => Ok(span),
        }
    }
}

/// Reads a time to live.
pub fn lasting<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Span>, D::Error> {
    let text = String::deserialize(deserializer)?;
    Span::lasting(&text).map(Some).map_err(serde::de::Error::custom)
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl std::fmt::Display for Span {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = match SignedDuration::try_from(self.0) {
            Ok(time) => format!("{time:#}"),
            Err(_) => format!("{}s", self.0.as_secs()),
        };
        f.write_str(&text.replace(' ', ""))
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for Span {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Time".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        // What has no number with a unit behind it, and what is negative, is none.
        let pattern = r"^[^-]*[0-9]\s*([A-Za-zµμ]|:[0-9])";
        json_schema!({ "type": "string", "pattern": pattern, "examples": ["90s", "5m", "2h", "1d"] })
    }
}

/// A size in bytes, written `20GiB`, `500MB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size(pub u64);

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let size = text.parse::<bytesize::ByteSize>();
        let problem =
            |_| serde::de::Error::custom(format!("`{text}` is not a size such as `20GiB`"));
        size.map(|size| Self(size.0)).map_err(problem)
    }
}

impl Serialize for Size {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&bytesize::ByteSize(self.0).display().iec())
    }
}

impl JsonSchema for Size {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Size".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let pattern = r"^\s*[0-9]+(\.[0-9]*)?\s*([KkMmGgTtPpEe]?[Ii]?[Bb]?)\s*$";
        json_schema!({ "type": "string", "pattern": pattern, "examples": ["20GiB", "500MB"] })
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
                let table = ModuleTable::deserialize(table)?;
                let named = [table.file.is_some(), table.bin.is_some(), table.example.is_some()];
                match (named.iter().filter(|named| **named).count(), table.of_cargo()) {
                    (1, Some(key)) if table.file.is_some() => Err(serde::de::Error::custom(
                        format!("`{key}` goes with `bin` or `example`, not with `file`"),
                    )),
                    (1, _) => Ok(Module::Described(Box::new(table))),
                    _ => Err(serde::de::Error::custom(
                        "a module's table has one of `file`, `bin` and `example`",
                    )),
                }
            }
        }

        deserializer.deserialize_any(Either)
    }
}

impl Serialize for Module {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Searched(words) => serializer.serialize_str(words),
            Self::Described(table) => table.serialize(serializer),
        }
    }
}

impl JsonSchema for Module {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Module".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let words = "A file on the search path, and its command line.";
        let table = generator.subschema_for::<ModuleTable>();
        json_schema!({ "anyOf": [{ "type": "string", "description": words }, table] })
    }
}

/// Reads a list of expressions; one that is none is an error where it stands.
pub fn expressions<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let all = Vec::<Expression>::deserialize(deserializer)?;
    Ok(all.into_iter().map(|expression| expression.0).collect())
}

struct Expression(String);

impl<'de> Deserialize<'de> for Expression {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // By a visitor: only what that says has the place of the one element.
        deserializer.deserialize_str(ExpressionVisitor)
    }
}

struct ExpressionVisitor;

impl serde::de::Visitor<'_> for ExpressionVisitor {
    type Value = Expression;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a regular expression")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Expression, E> {
        let Err(error) = regex::bytes::Regex::new(text) else {
            return Ok(Expression(text.to_owned()));
        };
        let error = error.to_string();
        let cause = error.lines().last().unwrap_or_default().trim();
        let cause = cause.strip_prefix("error: ").unwrap_or(cause);
        Err(E::custom(format!("`{text}` is no regular expression: {cause}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Layer;

    #[test]
    fn what_is_no_expression_or_no_module_is_an_error_where_it_stands() {
        for (key, wrong, said) in [
            ("expect", "\"(\"", "unclosed group"),
            ("fail-on", "\"*\"", "no regular expression"),
            ("modules", "{ name = \"a\" }", "one of `file`, `bin` and `example`"),
            ("modules", "{ file = \"a\", bin = \"b\" }", "one of `file`, `bin` and `example`"),
            ("modules", "{ file = \"a\", package = \"b\" }", "`package` goes with `bin`"),
        ] {
            let text = format!("[[entry]]\nname = \"a\"\n{key} = [{wrong}]\n");
            let error = toml::from_str::<Layer>(&text).unwrap_err();
            assert!(error.message().contains(said), "{error}");
            assert_eq!(&text[error.span().unwrap()], wrong, "{error}");
        }
    }

    #[test]
    fn the_patterns_of_the_schema_fit_what_is_read() {
        let mut generator = schemars::SchemaGenerator::default();
        let pattern = |schema: Schema| {
            let value = schema.to_value();
            regex::Regex::new(value["pattern"].as_str().unwrap()).unwrap()
        };
        let (span, size) = (
            pattern(Span::json_schema(&mut generator)),
            pattern(Size::json_schema(&mut generator)),
        );
        for text in ["2h", "1h30m", "90 s", "2 hours 30 minutes", "1d", "PT2H", "1:30:00"] {
            assert!(text.parse::<Span>().is_ok() && span.is_match(text), "{text}");
        }
        for text in ["soon", "5", "-1h"] {
            assert!(text.parse::<Span>().is_err() && !span.is_match(text), "{text}");
        }
        let read = |text: &str| toml::Value::String(text.to_owned()).try_into::<Size>();
        for text in ["20GiB", "500MB", "1.5 TB", "1024", "3g"] {
            assert!(read(text).is_ok() && size.is_match(text), "{text}");
        }
        for text in ["20 apples", "much", "-1GiB"] {
            assert!(read(text).is_err() && !size.is_match(text), "{text}");
        }
    }

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
    fn what_is_written_is_read() {
        for text in ["2h", "90m", "1m30s", "45s", "1d"] {
            let span: Span = text.parse().unwrap();
            assert_eq!(span.to_string().parse(), Ok(span), "{text} as {span}");
        }
        assert_eq!(Span(Duration::from_secs(7200)).to_string(), "2h");
        for arch in Arch::all() {
            assert_eq!(ArchKey(arch).name().parse::<Arch>().unwrap(), arch);
        }
    }
}
