//! JSON lines against the published schema, `docs/src/messages.schema.json`.
//!
//! Every line that any call of these tests writes is checked, and the schema closes each
//! object: a field that it does not know is a failure, wherever it comes from. Only the words
//! of JSON Schema that it uses are understood; any other one is a panic, not a pass.

use std::sync::LazyLock;

use serde_json::Value;

static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
    let text = include_str!("../../docs/src/messages.schema.json");
    serde_json::from_str(text).unwrap()
});

/// Checks the lines of a stdout that begins as JSON messages do; any other text is none.
///
/// # Panics
/// When a line is not JSON, or the schema does not know it.
#[track_caller]
pub(crate) fn check(stdout: &str) {
    if !stdout.starts_with('{') || !stdout.contains("\"reason\":\"start\"") {
        return;
    }
    for line in stdout.lines() {
        let message: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        if let Some(problem) = problem(&message) {
            panic!("not as docs/src/messages.schema.json has it: {problem}\n{line}");
        }
    }
}

/// What the schema does not know of a message.
fn problem(message: &Value) -> Option<String> {
    let reason = message["reason"].as_str().unwrap_or_default();
    match &SCHEMA["$defs"][format!("message.{reason}")] {
        Value::Null => Some(format!("no reason `{reason}`")),
        schema => differs(schema, message, reason),
    }
}

/// The first thing in which `value` differs from `schema`; `at` is where it stands.
fn differs(schema: &Value, value: &Value, at: &str) -> Option<String> {
    for (word, wanted) in schema.as_object().unwrap() {
        let found = match word.as_str() {
            "description" | "properties" | "additionalProperties" => None,
            "$ref" => differs(definition(wanted), value, at),
            "const" => (value != wanted).then(|| format!("{at} is not {wanted}")),
            "enum" => (!wanted.as_array().unwrap().contains(value))
                .then(|| format!("{at} is {value}, none of {wanted}")),
            "type" => (!is_of_type(wanted, value)).then(|| format!("{at} is {value}, no {wanted}")),
            "minimum" => (value.as_f64() < wanted.as_f64() && value.is_number())
                .then(|| format!("{at} is below {wanted}")),
            "required" => missing(wanted, value).map(|name| format!("{at} has no `{name}`")),
            "items" => each_differs(wanted, value, at),
            "anyOf" | "oneOf" => none_fits(wanted, value, at),
            other => panic!("the schema's `{other}` is not understood here"),
        };
        if found.is_some() {
            return found;
        }
    }
    fields_differ(schema, value, at)
}

fn definition(reference: &Value) -> &'static Value {
    let name = reference.as_str().and_then(|path| path.strip_prefix("#/$defs/")).unwrap();
    SCHEMA["$defs"].get(name).unwrap_or_else(|| panic!("no definition {name}"))
}

fn is_of_type(wanted: &Value, value: &Value) -> bool {
    match wanted {
        Value::Array(several) => several.iter().any(|one| is_of_type(one, value)),
        one => match one.as_str().unwrap() {
            "string" => value.is_string(),
            "integer" => value.is_i64() || value.is_u64(),
            "number" => value.is_number(),
            "boolean" => value.is_boolean(),
            "array" => value.is_array(),
            "object" => value.is_object(),
            "null" => value.is_null(),
            other => panic!("the schema's type `{other}` is none"),
        },
    }
}

fn missing<'a>(required: &'a Value, value: &Value) -> Option<&'a str> {
    let fields = value.as_object()?;
    let mut names = required.as_array().unwrap().iter().map(|name| name.as_str().unwrap());
    names.find(|name| !fields.contains_key(*name))
}

fn each_differs(schema: &Value, value: &Value, at: &str) -> Option<String> {
    let mut items = value.as_array()?.iter().enumerate();
    items.find_map(|(index, item)| differs(schema, item, &format!("{at}[{index}]")))
}

fn none_fits(schemas: &Value, value: &Value, at: &str) -> Option<String> {
    let tried: Vec<_> =
        schemas.as_array().unwrap().iter().map(|schema| differs(schema, value, at)).collect();
    let fits = tried.iter().any(Option::is_none);
    (!fits).then(|| tried.into_iter().flatten().collect::<Vec<_>>().join(", or "))
}

fn fields_differ(schema: &Value, value: &Value, at: &str) -> Option<String> {
    let further = schema.get("additionalProperties");
    value.as_object()?.iter().find_map(|(name, field)| {
        let at = format!("{at}.{name}");
        match (schema["properties"].get(name), further) {
            (Some(known), _) => differs(known, field, &at),
            (None, Some(Value::Bool(false))) => Some(format!("{at} is not in it")),
            (None, Some(known)) => differs(known, field, &at),
            (None, None) => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_field_that_the_schema_does_not_know_is_found() {
        let known = json!({ "reason": "extracted", "path": "/a" });
        assert_eq!(problem(&known), None);
        for (message, found) in [
            (
                json!({ "reason": "extracted", "path": "/a", "new": 1 }),
                "extracted.new is not in it",
            ),
            (json!({ "reason": "extracted" }), "extracted has no `path`"),
            (json!({ "reason": "extracted", "path": 1 }), "extracted.path is 1, no \"string\""),
            (json!({ "reason": "unheard" }), "no reason `unheard`"),
            (
                json!({ "reason": "freed", "bytes": -1, "instances": 0, "objects": 0 }),
                "freed.bytes is below 0",
            ),
            (
                json!({ "reason": "setting", "key": "ttl", "value": {}, "hidden": [],
                    "origin": { "kind": "file", "file": "x" } }),
                "setting.origin.file is not in it",
            ),
            (
                json!({ "reason": "faults", "seed": 0, "rules": [
                    { "on": "x", "probability": 1.0, "effect": { "delay": { "seconds": 1 } } }] }),
                "faults.rules[0].effect is",
            ),
        ] {
            let problem = problem(&message).unwrap_or_default();
            assert!(problem.starts_with(found), "{problem}");
        }
    }

    #[test]
    fn all_objects_of_the_schema_are_closed_and_all_references_lead_somewhere() {
        fn walk(value: &Value) {
            if value["properties"].is_object() && value["type"] == "object" {
                let policy = value["properties"]["reason"]["const"] == "policy";
                assert!(policy || value["additionalProperties"] == false, "{value}");
            }
            if let Some(reference) = value.get("$ref") {
                definition(reference);
            }
            match value {
                Value::Object(fields) => fields.values().for_each(walk),
                Value::Array(items) => items.iter().for_each(walk),
                _ => {}
            }
        }
        walk(&SCHEMA);
        let listed = SCHEMA["oneOf"].as_array().unwrap().len();
        let defined = SCHEMA["$defs"].as_object().unwrap();
        assert_eq!(listed, defined.keys().filter(|name| name.starts_with("message.")).count());
    }
}
