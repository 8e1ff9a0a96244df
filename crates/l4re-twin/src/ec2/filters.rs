//! EC2's filters: each names a field and values with `*` and `?`; values are
//! alternatives, filters all must hold.
//!
//! Invariant: a filter looks at the same tree that is answered, by a table of paths, so
//! that what is shown and what is filtered cannot differ. `[]` is not written in paths:
//! lists are searched in all their items.

use serde_json::Value;

use crate::fault::Fault;
use crate::query::Scope;

/// EC2's limit for all values of one request.
const MAX_VALUES: usize = 200;

/// The path of a filter that EC2 knows, and that looks at what nothing on the twin has.
pub(super) const NOWHERE: &str = "";

/// Filter name and path in the answered tree.
pub(super) type Paths = &'static [(&'static str, &'static str)];

struct Filter<'a> {
    name: &'a str,
    values: Vec<&'a str>,
}

/// Retains what all of the request's filters let through.
pub(super) fn retain(items: &mut Vec<Value>, root: &Scope<'_>, paths: Paths) -> Result<(), Fault> {
    for filter in parse(root)? {
        let path = path_of(filter.name, paths)?;
        items.retain(|item| filter.holds(item, path));
    }
    Ok(())
}

fn parse<'a>(root: &Scope<'a>) -> Result<Vec<Filter<'a>>, Fault> {
    let mut filters = Vec::new();
    let mut count = 0;
    for scope in root.items("Filter") {
        let values = scope.list("Value");
        count += values.len();
        if values.is_empty() {
            return Err(Fault::invalid("The filter has no value"));
        }
        filters.push(Filter { name: scope.require("Name")?, values });
    }
    if count > MAX_VALUES {
        let message = "The maximum number of filter values specified on a single call is 200";
        return Err(Fault::client("FilterLimitExceeded", message));
    }
    Ok(filters)
}

fn path_of(name: &str, paths: Paths) -> Result<&'static str, Fault> {
    if name.starts_with("tag:") || name == "tag-key" || name == "tag-value" {
        return Ok("tagSet");
    }
    paths
        .iter()
        .find(|(candidate, _)| *candidate == name)
        .map(|(_, path)| *path)
        .ok_or_else(|| Fault::invalid(format!("The filter '{name}' is invalid")))
}

impl Filter<'_> {
    fn holds(&self, item: &Value, path: &str) -> bool {
        let (path, select) = match self.name.split_once(':') {
            Some(("tag", key)) => (path, Select::ValueOfKey(key)),
            _ if self.name == "tag-key" => (path, Select::Field("key")),
            _ if self.name == "tag-value" => (path, Select::Field("value")),
            _ => (path, Select::Leaf),
        };
        let mut found = Vec::new();
        walk(item, &mut path.split('.'), &mut found);
        found.iter().any(|value| {
            select.text(value).is_some_and(|text| {
                self.values.iter().any(|pattern| glob(pattern.as_bytes(), text.as_bytes()))
            })
        })
    }
}

enum Select<'a> {
    Leaf,
    Field(&'static str),
    ValueOfKey(&'a str),
}

impl Select<'_> {
    fn text(&self, value: &Value) -> Option<String> {
        let leaf = match self {
            Self::Leaf => value,
            Self::Field(name) => value.get(name)?,
            Self::ValueOfKey(key) => {
                value.get("value").filter(|_| value.get("key") == Some(&Value::from(*key)))?
            }
        };
        match leaf {
            Value::String(text) => Some(text.clone()),
            Value::Bool(_) | Value::Number(_) => Some(leaf.to_string()),
            _ => None,
        }
    }
}

fn walk<'a, 'v>(
    value: &'v Value,
    path: &mut (impl Iterator<Item = &'a str> + Clone),
    found: &mut Vec<&'v Value>,
) {
    if let Value::Array(items) = value {
        items.iter().for_each(|item| walk(item, &mut path.clone(), found));
        return;
    }
    match path.next() {
        None => found.push(value),
        Some(name) => {
            if let Some(member) = value.get(name) {
                walk(member, path, found);
            }
        }
    }
}

/// Whether a pattern with `*`, `?` and `\` fits a text.
pub(crate) fn glob(pattern: &[u8], text: &[u8]) -> bool {
    // Greedy with one point to fall back to: linear in practice, quadratic at worst.
    let (mut p, mut t, mut fallback) = (0, 0, None);
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                fallback = Some((p, t));
                p += 1;
            }
            Some(b'?') => (p, t) = (p + 1, t + 1),
            Some(b'\\') if pattern.get(p + 1) == Some(&text[t]) => (p, t) = (p + 2, t + 1),
            Some(c) if *c == text[t] => (p, t) = (p + 1, t + 1),
            _ => match fallback {
                Some((star, from)) => {
                    fallback = Some((star, from + 1));
                    (p, t) = (star + 1, from + 1);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == b'*')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::query::Params;

    const PATHS: Paths = &[("state", "state.name"), ("mode", "modes")];

    fn kept(form: &str) -> Result<Vec<String>, Fault> {
        let mut items = vec![
            json!({"id": "a", "state": {"name": "running"}, "modes": ["x", "y"],
                   "tagSet": [{"key": "l4re:name", "value": "hello"}]}),
            json!({"id": "b", "state": {"name": "stopped"}, "modes": [], "tagSet": []}),
        ];
        let params = Params::parse(form.as_bytes()).unwrap();
        retain(&mut items, &params.root(), PATHS)?;
        Ok(items.iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect())
    }

    #[test]
    fn values_are_alternatives_and_filters_all_hold() {
        let both = "Filter.1.Name=state&Filter.1.Value.1=running&Filter.1.Value.2=stopped";
        assert_eq!(kept(both).unwrap(), ["a", "b"]);
        let and = format!("{both}&Filter.2.Name=mode&Filter.2.Value.1=y");
        assert_eq!(kept(&and).unwrap(), ["a"]);
    }

    #[test]
    fn tags_are_found_by_key_and_by_value() {
        assert_eq!(kept("Filter.1.Name=tag:l4re:name&Filter.1.Value.1=h*o").unwrap(), ["a"]);
        assert_eq!(kept("Filter.1.Name=tag-key&Filter.1.Value.1=l4re:name").unwrap(), ["a"]);
        assert!(kept("Filter.1.Name=tag:other&Filter.1.Value.1=*").unwrap().is_empty());
    }

    #[test]
    fn an_unknown_filter_is_refused_by_name() {
        let fault = kept("Filter.1.Name=colour&Filter.1.Value.1=red").unwrap_err();
        assert_eq!(fault.code, "InvalidParameterValue");
        assert!(fault.message.contains("'colour'"));
    }

    #[test]
    fn globs() {
        for (pattern, text, fits) in [
            ("iPXE (*) (arm64)", "iPXE (2026-08-21) (arm64)", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("*", "", true),
            ("a*b*c", "aXbXbXc", true),
            ("a*b", "acbd", false),
            ("a\\*", "a*", true),
            ("a\\*", "ab", false),
        ] {
            assert_eq!(glob(pattern.as_bytes(), text.as_bytes()), fits, "{pattern} {text}");
        }
    }
}
