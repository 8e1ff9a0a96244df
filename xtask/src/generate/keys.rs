//! The book's page of keys and variables, from the JSON Schema of the settings.

use anyhow::{Context, Result};
use serde_json::Value;

const INTRODUCTION: &str = "# Keys and variables

Every key of the settings and the variable that sets it. This page is made from the [JSON
Schema](settings.schema.json) of `l4re.toml`, which `cargo l4re settings --schema` prints;
`cargo xtask gen` writes both. How files, variables and flags go together is in
[Settings](settings.md).

`ARCH` is an architecture as L4Re or Rust spell it: `amd64` and `x86_64` are one key, and so
are `arm64` and `aarch64`. In a variable it stands in capitals: `CARGO_L4RE_TREE_AMD64_BUILD`.
A list in a variable is separated by spaces. `NAME` is the name of an entry: those keys stand
in an `[[entry]]` table that has it as its `name`.

| key | variable | meaning | default |
| --- | --- | --- | --- |
";
const FURTHER: &str = "
## Variables that are not settings

| variable | meaning |
| --- | --- |
| `CARGO_L4RE_LOG` | what the libraries trace, on stderr: `debug`, `l4re_twin=trace` |
| `MODULE_SEARCH_PATH` | handed on to make |
| `ENTRY`, `E`, `MODULES_LIST`, `PT`, `TEST_TMPDIR` | what L4Re's test framework says to `test-starter`: the entry, the module list, the platform, the test's own folder |
| `TEST_TAP_PLUGINS`, `TEST_TIMEOUT` | the same: whether expected output is matched, and for how long |
| `CARGO_TERM_COLOR` | colour, as Cargo has it; `--color` comes first |
| `NO_COLOR`, `CLICOLOR`, `CLICOLOR_FORCE` | colour, where neither of those says anything |
| `CARGO_TERM_QUIET`, `CARGO_TERM_VERBOSE` | as `-q` and `-v` |
| `CARGO_TERM_PROGRESS_WHEN`, `CI`, `TERM` | whether a terminal gets bars: `never`, `always`, or by default unless `CI` is set or `TERM` is `dumb` |
| `CARGO_TERM_PROGRESS_WIDTH` | columns that bars are made for, if not the terminal's |
| `COMPLETE` | set by the scripts of `completions` when they ask what there is |
| `XDG_STATE_HOME`, `XDG_CACHE_HOME`, `HOME` | where logs, the twin's state and fetched images lie |
| `USER`, `LOGNAME` | whose an instance is, where `owner` is not set |
| `AWS_*` | credentials, profile, region, endpoints: read by the AWS SDK's own chain |
| `CARGO` | the cargo that builds modules and describes packages |
";

/// The page.
pub(super) fn page(schema: &str) -> Result<String> {
    let schema: Value = serde_json::from_str(schema).context("the schema")?;
    let mut rows = Vec::new();
    collect(&schema, "", None, &mut rows);
    Ok(format!("{INTRODUCTION}{}{FURTHER}", rows.concat()))
}

fn collect(schema: &Value, path: &str, default: Option<&Value>, rows: &mut Vec<String>) {
    let below =
        |part: &str| if path.is_empty() { part.to_owned() } else { format!("{path}.{part}") };
    let default = schema.get("default").or(default);
    if let Some(properties) = schema["properties"].as_object() {
        for (name, property) in properties {
            collect(property, &below(name), None, rows);
        }
    } else if let Some(by_arch) = schema["patternProperties"].as_object() {
        for property in by_arch.values() {
            let meaning = property.get("description").or(schema.get("description")).cloned();
            let mut property = property.clone();
            if let (Some(meaning), Value::Object(fields)) = (meaning, &mut property) {
                fields.insert("description".to_owned(), meaning);
            }
            collect(&property, &below("ARCH"), default, rows);
        }
    } else if let Some(properties) = schema["items"]["properties"].as_object() {
        for (name, property) in properties.iter().filter(|(name, _)| *name != "name") {
            collect(property, &below(&format!("NAME.{name}")), None, rows);
        }
    } else {
        rows.push(row(schema, path, default));
    }
}

fn row(schema: &Value, path: &str, default: Option<&Value>) -> String {
    let variable = match path.contains("NAME") {
        true => "–".to_owned(),
        false => format!("`CARGO_L4RE_{}`", path.replace(['.', '-'], "_").to_uppercase()),
    };
    let meaning = schema["description"].as_str().unwrap_or_default().replace('\n', " ");
    let default = default.map_or_else(|| "–".to_owned(), words);
    format!("| `{path}` | {variable} | {meaning} | {default} |\n")
}

/// A default in words: a table by architecture as `arm64: a, b; amd64: c`.
fn words(value: &Value) -> String {
    match value {
        Value::Object(by_arch) => {
            let each = by_arch.iter().map(|(arch, value)| format!("{arch}: {}", words(value)));
            each.collect::<Vec<_>>().join("; ")
        }
        Value::Array(items) => items.iter().map(words).collect::<Vec<_>>().join(", "),
        Value::String(text) => format!("`{text}`"),
        other => format!("`{other}`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_for_each_key() {
        let schema = r#"{"properties":{
            "fetch-endpoint":{"type":"string","description":"Where\nfrom."},
            "machine":{"properties":{"metal":{"description":"Types.","default":{"arm64":["a"]},
                "patternProperties":{"^(x)$":{"type":"array","items":{"type":"string"}}}}}},
            "entry":{"type":"array","items":{"properties":{"name":{},"expect":{"type":"array"}}}}
        }}"#;
        let page = page(schema).unwrap();
        for row in [
            "| `fetch-endpoint` | `CARGO_L4RE_FETCH_ENDPOINT` | Where from. | – |\n",
            "| `machine.metal.ARCH` | `CARGO_L4RE_MACHINE_METAL_ARCH` | Types. | arm64: `a` |\n",
            "| `entry.NAME.expect` | – |  | – |\n",
        ] {
            assert!(page.contains(row), "{row}{page}");
        }
        assert!(!page.contains("NAME.name"));
    }
}
