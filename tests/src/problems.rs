//! VS Code's problem matchers, as VS Code applies them.
//!
//! Definitions are the extensions' own (`fixtures/problem-matchers`). The rules follow VS
//! Code's documentation of problem matchers: a matcher of several patterns wants them on
//! lines that follow each other, and every line may begin a problem; colours are taken off
//! before. Severity is the pattern's, or an error.

use camino::Utf8Path;
use regex::Regex;
use serde_json::Value;

/// A line in the editor's list of problems.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file, as the output names it.
    pub file: String,
    /// The line.
    pub line: u32,
    /// The column.
    pub column: u32,
    /// `error` or `warning`.
    pub severity: String,
    /// The message.
    pub message: String,
}

/// A problem matcher.
#[derive(Debug)]
pub struct Matcher {
    patterns: Vec<(Regex, Value)>,
}

impl Matcher {
    /// The matcher that a task names: `$rustc`.
    ///
    /// # Panics
    /// When there is no such fixture, or it is not of the shape that VS Code documents.
    pub fn named(name: &str) -> Self {
        let name = name.strip_prefix('$').unwrap_or(name);
        let folder = Utf8Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/problem-matchers");
        let text = fs_err::read_to_string(folder.join(format!("{name}.json"))).unwrap();
        let fixture: Value = serde_json::from_str(&text).unwrap();
        let of = |list: &str, name: &str| {
            let list = fixture[list].as_array().unwrap();
            list.iter().find(|one| one["name"] == name).unwrap().clone()
        };
        let pattern = of("problemMatchers", name)["pattern"].clone();
        let patterns = match pattern.as_str() {
            Some(reference) => {
                let named = of("problemPatterns", reference.trim_start_matches('$'));
                named["patterns"].as_array().unwrap().clone()
            }
            None => vec![pattern],
        };
        let read = |pattern: Value| (expression(pattern["regexp"].as_str().unwrap()), pattern);
        Self { patterns: patterns.into_iter().map(read).collect() }
    }

    /// The problems that it finds in what a program wrote.
    pub fn problems(&self, output: &str) -> Vec<Problem> {
        let colours = Regex::new("\u{1b}\\[[0-9;]*[A-Za-z]").unwrap();
        let plain = colours.replace_all(output, "");
        let lines: Vec<&str> = plain.lines().collect();
        (0..lines.len()).filter_map(|start| self.problem(&lines[start..])).collect()
    }

    /// The problem that begins on the first of these lines.
    fn problem(&self, lines: &[&str]) -> Option<Problem> {
        let empty = || Some(String::new());
        let (mut file, mut line, mut column, mut message) = (empty(), None, None, empty());
        let mut severity = "error".to_owned();
        for (at, (expression, groups)) in self.patterns.iter().enumerate() {
            let found = expression.captures(lines.get(at)?)?;
            let group = |name: &str| {
                let number = usize::try_from(groups[name].as_u64()?).ok()?;
                found.get(number).map(|text| text.as_str().to_owned())
            };
            file = group("file").or(file);
            line = group("line").and_then(|text| text.parse().ok()).or(line);
            column = group("column").and_then(|text| text.parse().ok()).or(column);
            message = group("message").or(message);
            severity = group("severity").unwrap_or(severity);
        }
        Some(Problem { file: file?, line: line?, column: column?, severity, message: message? })
    }
}

/// JavaScript's expression as Rust has it: a `-` after a class is itself there, and must be
/// marked as that here.
fn expression(text: &str) -> Regex {
    Regex::new(&text.replace(r"[\s->", r"[\s\->")).unwrap()
}
