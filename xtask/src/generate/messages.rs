//! The book's page of messages, from the JSON Schema that the end-to-end tests hold every
//! line against.

use std::fmt::Write as _;

use anyhow::{Context, Result};
use serde_json::Value;

const INTRODUCTION: &str = "# Messages

With `--message-format json` stdout holds one JSON object a line, and nothing else; what is said
to people stays on stderr. The first line is `start` with the version of the format. Each line's
`reason` says what it is about. (`completions`, `help`, `man` and `settings --schema` print their
texts, which are no messages.)

```console
$ cargo l4re run hello --expect 'Hello World!' --message-format json
```

```json
{\"reason\":\"start\",\"format_version\":1,\"version\":\"0.1.0\"}
{\"reason\":\"instance\",\"adopted\":false,\"id\":\"i-08023a83760e159c4\",\"type\":\"c7i-flex.large\",\"zone\":\"eu-central-1a\"}
{\"reason\":\"phase\",\"at_s\":2.89,\"phase\":\"firmware\"}
```

A `format_version` stands for what these fields mean. A release may add fields and reasons: pass
over what you do not know. One that goes, or means something else, raises the version. This page
is made from the [JSON Schema](messages.schema.json), which every line that the end-to-end tests
see is held against. Of one run, which line comes last depends on how it ended; the [exit
code](exit-codes.md) is in `error` and `test`, too.
";

/// The page.
pub(super) fn page(schema: &str) -> Result<String> {
    let schema: Value = serde_json::from_str(schema).context("the schema of messages")?;
    let definitions = schema["$defs"].as_object().context("its definitions")?;
    let mut page = INTRODUCTION.to_owned();
    let messages = schema["oneOf"].as_array().context("its messages")?;
    for name in messages.iter().filter_map(name) {
        let definition = definitions.get(name).with_context(|| format!("no {name}"))?;
        let reason = name.trim_start_matches("message.");
        write!(page, "\n## `{reason}`\n\n{}\n", text(definition))?;
        page += &table(definition);
    }
    page += "\n# Types\n\nWhat fields of several messages are made of.\n";
    for (name, definition) in definitions.iter().filter(|(name, _)| !name.contains('.')) {
        write!(page, "\n## `{name}` (type)\n\n{}\n", sentence(definition))?;
        page += &table(definition);
    }
    Ok(page)
}

/// The name of the definition that a schema refers to.
fn name(schema: &Value) -> Option<&str> {
    schema["$ref"].as_str()?.strip_prefix("#/$defs/")
}

fn text(schema: &Value) -> &str {
    schema["description"].as_str().unwrap_or_default()
}

/// A type's description as a sentence, with its words if it is one of several.
fn sentence(definition: &Value) -> String {
    let mut characters = text(definition).chars();
    let first: String = characters.next().into_iter().flat_map(char::to_uppercase).collect();
    let sentence = format!("{first}{}", characters.as_str());
    match definition.get("enum") {
        Some(_) => format!("{sentence}: {}.", words(definition)),
        None => format!("{sentence}."),
    }
}

/// The fields of an object; those that may be left out say so.
fn table(definition: &Value) -> String {
    let required = definition["required"].as_array().cloned().unwrap_or_default();
    let fields = definition["properties"].as_object().into_iter().flatten();
    let rows = fields.filter(|(name, _)| *name != "reason").map(|(name, field)| {
        let always = required.iter().any(|one| one == name);
        let may = if always { "" } else { ", not always there" };
        format!("| `{name}` | {}{may} | {} |\n", words(field), text(field).replace('|', "\\|"))
    });
    let rows: String = rows.collect();
    match rows.is_empty() {
        true => String::new(),
        false => format!("\n| field | is | meaning |\n| --- | --- | --- |\n{rows}"),
    }
}

/// What a value is, in words.
fn words(schema: &Value) -> String {
    if let Some(name) = name(schema) {
        return format!("[{name}](#{name}-type)");
    }
    if let Some(constant) = schema.get("const") {
        return format!("`{constant}`");
    }
    let list = |key: &str| schema[key].as_array().cloned().unwrap_or_default();
    let values: Vec<String> = list("enum").iter().map(value).collect();
    if !values.is_empty() {
        return values.join(", ");
    }
    let parts: Vec<String> = list("anyOf").iter().chain(&list("oneOf")).map(words).collect();
    if !parts.is_empty() {
        return parts.join(" or ");
    }
    let types = match &schema["type"] {
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        Value::String(one) => vec![one.as_str()],
        _ => return "any value".to_owned(),
    };
    types.iter().map(|word| of_type(word, schema)).collect::<Vec<_>>().join(" or ")
}

fn of_type(word: &str, schema: &Value) -> String {
    match word {
        "array" => format!("list of {}", words(&schema["items"])),
        "object" => {
            let fields = schema["properties"].as_object().into_iter().flatten();
            let fields: Vec<String> =
                fields.map(|(name, field)| format!("`{name}`: {}", words(field))).collect();
            match fields.is_empty() {
                true => "object".to_owned(),
                false => format!("{{ {} }}", fields.join(", ")),
            }
        }
        other => other.to_owned(),
    }
}

/// A value of an enumeration.
fn value(value: &Value) -> String {
    value.as_str().map_or_else(|| format!("`{value}`"), |word| format!("`{word}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_heading_for_each_message_and_a_row_for_each_field() {
        let schema = r##"{"oneOf":[{"$ref":"#/$defs/message.image"}],"$defs":{
            "message.image":{"description":"It was built.","type":"object","required":["reason","path"],
                "properties":{"reason":{"const":"image"},"path":{"type":"string","description":"where"},
                    "kind":{"$ref":"#/$defs/kind"},"sums":{"type":["array","null"],"items":{"type":"string"}}}},
            "kind":{"description":"a format","enum":["efi","elf"]}}}"##;
        let page = page(schema).unwrap();
        for part in [
            "\n## `image`\n\nIt was built.\n",
            "| `path` | string | where |\n",
            "| `kind` | [kind](#kind-type), not always there |  |\n",
            "| `sums` | list of string or null, not always there |  |\n",
            "\n## `kind` (type)\n\nA format: `efi`, `elf`.\n",
        ] {
            assert!(page.contains(part), "{part}\n{page}");
        }
        assert!(!page.contains("`reason` |"));
    }
}
