//! Every reason of a JSON message that the program has a word for is one of the schema, and
//! every one of the schema is somewhere in the program.
//!
//! What the fields of each are is checked by the end-to-end tests, on real lines.

use serde_json::Value;

use super::Finding;
use super::files::File;

const SCHEMA: &str = "docs/src/messages.schema.json";
const SOURCES: &str = "crates/cargo-l4re/src/";

/// Reasons that only one of the two has.
pub(super) fn check(files: &[File]) -> Vec<Finding> {
    let Some(schema) = files.iter().find(|file| file.path == SCHEMA) else { return Vec::new() };
    let known: Vec<String> = match serde_json::from_str::<Value>(&schema.text) {
        Ok(value) => reasons(&value),
        Err(error) => return vec![Finding::new(&schema.path, error.line(), error.to_string())],
    };
    let sources: Vec<&File> =
        files.iter().filter(|file| file.path.as_str().starts_with(SOURCES)).collect();
    let mut findings = Vec::new();
    for file in &sources {
        for (line, reason) in written(&file.text) {
            if !known.iter().any(|one| one == reason) {
                let message = format!("{SCHEMA} has no message `{reason}`");
                findings.push(Finding::new(&file.path, line, message));
            }
        }
    }
    for reason in &known {
        // Some are made of a verb that stands in a status line: `Stopped`.
        let quoted = format!("\"{reason}\"");
        let written = |file: &&File| file.text.to_lowercase().contains(&quoted);
        if !sources.iter().any(written) {
            findings.push(Finding::new(&schema.path, 1, format!("nothing writes `{reason}`")));
        }
    }
    findings
}

fn reasons(schema: &Value) -> Vec<String> {
    let definitions = schema["$defs"].as_object().into_iter().flatten();
    definitions.filter_map(|(name, _)| name.strip_prefix("message.").map(str::to_owned)).collect()
}

/// The reasons of calls of `json`, with their lines; those that are no literal are left out.
fn written(text: &str) -> Vec<(usize, &str)> {
    let calls = text.match_indices(".json(");
    let reasons = calls.filter_map(|(at, call)| {
        let argument = text[at + call.len()..].trim_start();
        let reason = argument.strip_prefix('"')?.split('"').next()?;
        Some((text[..at].matches('\n').count() + 1, reason))
    });
    reasons.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_that_only_one_has_is_found() {
        let files = [
            File::of(
                "crates/cargo-l4re/src/a.rs",
                "shell.json(\"image\", &x)?;\nshell.json(\n    \"new\", &x)?;\ntell(\"Stopped\");",
            ),
            File::of(
                SCHEMA,
                r#"{"$defs":{"message.image":{},"message.stopped":{},"message.gone":{},"arch":{}}}"#,
            ),
        ];
        let found: Vec<String> = check(&files).iter().map(ToString::to_string).collect();
        assert_eq!(
            found,
            [
                format!("crates/cargo-l4re/src/a.rs:2: {SCHEMA} has no message `new`"),
                format!("{SCHEMA}:1: nothing writes `gone`"),
            ]
        );
    }
}
