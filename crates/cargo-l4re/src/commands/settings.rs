//! `cargo l4re settings [KEY]`: every value that holds, with its origin; or the schema.
//!
//! What is printed is TOML: a file of it, given with `--config`, sets the same, but for entries,
//! which are told by their names and declared one after the other (`[[entry]]`).

use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use serde_json::json;

use super::Context;
use crate::complete;
use crate::failure::Failure;
use crate::settings::{self, Held, Place};
use crate::shell::Shell;

/// Arguments of `settings`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Only this key, or those below it
    #[arg(value_name = "KEY", add = ArgValueCompleter::new(complete::keys))]
    key: Option<String>,
    /// Print the JSON Schema of l4re.toml instead
    #[arg(long, conflicts_with = "key")]
    pub schema: bool,
}

/// Runs `settings`.
pub fn settings(context: &Context, arguments: &Arguments) -> Result<(), Failure> {
    let values = context.settings.values(&context.environment);
    let wanted = arguments.key.as_deref().map(settings::known_key).transpose();
    let wanted = wanted.map_err(Failure::Usage)?;
    let is_wanted = |key: &str| match &wanted {
        Some(wanted) => key
            .strip_prefix(wanted.as_str())
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.')),
        None => true,
    };
    let mut shown = false;
    for (key, held) in values.iter().filter(|(key, _)| is_wanted(key)) {
        shown = true;
        context.shell.json("setting", &message(key, held))?;
        context.shell.result(fitting(line(key, held), held, context.shell.columns()))?;
        for place in &held.hidden {
            context.shell.detail("Hidden", format_args!("{key} at {place}"));
        }
    }
    match (shown, wanted) {
        (false, Some(key)) => Err(Failure::Usage(format!("`{key}` is not set and has no default"))),
        _ => Ok(()),
    }
}

/// Runs `settings --schema`, for which no settings need be right.
pub fn schema(shell: &Shell) -> Result<(), Failure> {
    let text =
        serde_json::to_string_pretty(&crate::settings::schema()).map_err(std::io::Error::from)?;
    Ok(shell.raw(format!("{text}\n").as_bytes())?)
}

/// A value as a line of TOML, with its origin as a comment.
pub fn line(key: &str, held: &Held) -> String {
    let key = key.split('.').map(toml_key).collect::<Vec<_>>().join(".");
    format!("{key} = {}  # {}", toml_value(&held.value), held.place)
}

/// The line, or two where the terminal has no room for it: the origin above.
fn fitting(line: String, held: &Held, columns: Option<u16>) -> String {
    let is_long = columns.is_some_and(|columns| line.chars().count() > usize::from(columns));
    let origin = format!("# {}", held.place);
    match line.strip_suffix(&origin) {
        Some(value) if is_long => format!("{origin}\n{}", value.trim_end()),
        _ => line,
    }
}

/// A part of a key, quoted where TOML wants it.
fn toml_key(part: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    match !part.is_empty() && part.chars().all(bare) {
        true => part.to_owned(),
        false => toml::Value::String(part.to_owned()).to_string(),
    }
}

fn toml_value(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::Array(items) => {
            format!("[{}]", items.iter().map(toml_value).collect::<Vec<_>>().join(", "))
        }
        serde_json::Value::Object(table) => {
            let set = table.iter().filter(|(_, value)| !is_unset(value));
            let pairs =
                set.map(|(name, value)| format!("{} = {}", toml_key(name), toml_value(value)));
            format!("{{ {} }}", pairs.collect::<Vec<_>>().join(", "))
        }
        serde_json::Value::String(text) => toml::Value::String(text.clone()).to_string(),
        other => other.to_string(),
    }
}

fn is_unset(value: &serde_json::Value) -> bool {
    value.is_null() || value.as_array().is_some_and(Vec::is_empty)
}

/// A value for programs.
pub fn message(key: &str, held: &Held) -> serde_json::Value {
    json!({
        "key": key,
        "value": held.value,
        "origin": origin(&held.place),
        "hidden": held.hidden.iter().map(origin).collect::<Vec<_>>(),
    })
}

fn origin(place: &Place) -> serde_json::Value {
    match place {
        Place::File { path, line, column } => {
            json!({ "kind": "file", "path": path, "line": line, "column": column })
        }
        Place::Variable(name) => json!({ "kind": "variable", "name": name }),
        Place::Flag(flag) => json!({ "kind": "flag", "flag": flag }),
        Place::Default => json!({ "kind": "default" }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_is_toml() {
        let held = |value| Held { value, place: Place::Default, hidden: Vec::new() };
        assert_eq!(line("ttl", &held("2h".into())), "ttl = \"2h\"  # default");
        let modules = json!(["l4re", { "file": "/a", "name": null, "features": [] }]);
        let line = line("entry.my vm.modules", &held(modules));
        assert_eq!(line, "entry.\"my vm\".modules = [\"l4re\", { file = \"/a\" }]  # default");
        let narrow = fitting(line.clone(), &held("x".into()), Some(40));
        assert_eq!(narrow, "# default\nentry.\"my vm\".modules = [\"l4re\", { file = \"/a\" }]");
        assert_eq!(fitting(line.clone(), &held("x".into()), Some(80)), line);
    }
}
