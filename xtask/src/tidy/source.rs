//! The rules about Rust sources that lints do not know.
//!
//! What follows the first `#[cfg(test)]` of a file, and what lies in a folder of tests or
//! examples, is test code: rules about the environment, output and length are milder there.

use camino::Utf8Path;

use super::Finding;

/// The most lines of a source file, and of a file of tests.
const LONGEST: usize = 500;
const LONGEST_TEST: usize = 700;

/// Where the process's output and environment may be used.
const OUTPUT_FOLDER: &str = "crates/cargo-l4re/src/shell";
/// What QEMU starts for a guest's connection: its stdout *is* that connection.
const PIPE_FILE: &str = "crates/l4re-twin/src/pipe.rs";
const ENVIRONMENT_FILES: [&str; 2] =
    ["crates/cargo-l4re/src/environment.rs", "xtask/src/environment.rs"];

/// All findings in the source file `path`.
pub(super) fn check(path: &Utf8Path, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !text.starts_with("//! ") {
        findings.push(Finding::new(path, 1, "a source file opens with `//!`: what it is"));
    }
    findings.extend(too_long(path, text));
    for (number, line, is_test) in code_lines(path, text) {
        let line_findings = rules(path, is_test).into_iter().filter(|rule| rule.breaks(line));
        findings.extend(line_findings.map(|rule| Finding::new(path, number, rule.message)));
    }
    findings
}

/// Words that a line of code must not have, with the message.
struct Rule {
    words: &'static [&'static str],
    message: &'static str,
}

impl Rule {
    fn breaks(&self, line: &str) -> bool {
        self.words.iter().any(|word| holds(line, word))
    }
}

/// The rules for a line of `path`; their words are in pieces, so that this file keeps them.
fn rules(path: &Utf8Path, is_test: bool) -> Vec<Rule> {
    let mut rules = vec![
        Rule {
            words: &[concat!("#[al", "low("), concat!("#![al", "low(")],
            message: "use #[expect(…, reason = \"…\")]",
        },
        Rule {
            words: &[concat!("to", "do!"), concat!("unimple", "mented!")],
            message: "finish it, or leave it out",
        },
    ];
    if is_test {
        return rules;
    }
    if !ENVIRONMENT_FILES.iter().any(|file| path == *file) {
        rules.push(Rule {
            words: &[
                concat!("env", "::var"),
                concat!("env", "::vars"),
                concat!("env", "::var_os"),
                concat!("env", "::vars_os"),
                concat!("env", "::home_dir"),
            ],
            message: "the environment is read in environment.rs only",
        });
    }
    if path.starts_with("crates") && !path.starts_with(OUTPUT_FOLDER) && path != PIPE_FILE {
        rules.push(Rule {
            words: &["io::stdout", "io::stderr", "anstream::stdout", "anstream::stderr"],
            message: "output is written in cargo-l4re/src/shell only",
        });
    }
    if !path.starts_with("crates/l4re-cloud") {
        rules.push(Rule {
            words: &[
                concat!("aws_", "sdk_ec2"),
                concat!("aws_", "sdk_s3"),
                concat!("aws_", "sdk_sts"),
                concat!("aws_", "config"),
                concat!("aws_", "types"),
            ],
            message: "the AWS crates are used in l4re-cloud only",
        });
    }
    rules
}

/// Whether `line` holds `word` and not only as a part of a longer name.
fn holds(line: &str, word: &str) -> bool {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(start, _)| {
        let before = line[..start].chars().next_back();
        let after = line[start + word.len()..].chars().next();
        let longer = word.ends_with(is_name) && after.is_some_and(is_name);
        !longer && !before.is_some_and(is_name)
    })
}

/// Each line that is not a comment: its number, its text, whether it is test code.
fn code_lines<'a>(
    path: &'a Utf8Path,
    text: &'a str,
) -> impl Iterator<Item = (usize, &'a str, bool)> {
    let mut is_test = is_test_file(path);
    text.lines().enumerate().filter_map(move |(index, line)| {
        is_test |= line.trim_start().starts_with("#[cfg(test)]");
        (!line.trim_start().starts_with("//")).then_some((index + 1, line, is_test))
    })
}

fn too_long(path: &Utf8Path, text: &str) -> Option<Finding> {
    let longest = if is_test_file(path) { LONGEST_TEST } else { LONGEST };
    let lines = text.lines().count();
    let message = format!("{lines} lines; one idea takes at most {longest}");
    (lines > longest).then(|| Finding::new(path, longest + 1, message))
}

fn is_test_file(path: &Utf8Path) -> bool {
    let folder = path.components().any(|part| ["tests", "examples"].contains(&part.as_str()));
    folder || path.file_name() == Some("tests.rs")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(path: &str, text: &str) -> Vec<String> {
        check(Utf8Path::new(path), text).into_iter().map(|finding| finding.to_string()).collect()
    }

    #[test]
    fn a_good_file_has_no_findings() {
        let text = "//! What it is.\n\nfn f() {}\n\n#[cfg(test)]\nmod tests {\n    \
                    fn g() { std::env::var(\"X\"); }\n}\n";
        assert!(messages("crates/l4re-image/src/a.rs", text).is_empty());
    }

    #[test]
    fn each_rule_has_its_place() {
        let text = "//! A.\nlet a = std::env::var(\"X\");\nlet b = std::io::stdout();\n\
                    use aws_sdk_ec2::Client;\n";
        let found = messages("crates/l4re-twin/src/a.rs", text);
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(found[0].starts_with("crates/l4re-twin/src/a.rs:2: the environment"));
        assert!(found[1].starts_with("crates/l4re-twin/src/a.rs:3: output"));
        assert!(found[2].starts_with("crates/l4re-twin/src/a.rs:4: the AWS"));
    }

    #[test]
    fn the_files_that_may_are_let() {
        let environment = "//! A.\nlet a = std::env::var(\"X\");\n";
        assert!(messages(ENVIRONMENT_FILES[0], environment).is_empty());
        let output = "//! A.\nlet b = std::io::stderr();\n";
        assert!(messages("crates/cargo-l4re/src/shell/mod.rs", output).is_empty());
        assert!(messages("crates/l4re-cloud/src/a.rs", "//! A.\nuse aws_sdk_s3::x;\n").is_empty());
    }

    #[test]
    fn a_file_without_an_opening_or_too_long_is_found() {
        assert_eq!(messages("xtask/src/a.rs", "fn main() {}\n").len(), 1);
        let long = format!("//! A.\n{}", "\n".repeat(LONGEST));
        assert_eq!(messages("xtask/src/a.rs", &long).len(), 1);
        assert!(messages("tests/tests/a.rs", &long).is_empty());
    }

    #[test]
    fn a_name_that_only_contains_the_word_is_another() {
        assert!(!holds("my_env::variable()", "env::var"));
        assert!(!holds("env::variable()", "env::var"));
        assert!(holds("std::env::var(x)", "env::var"));
        assert!(messages("xtask/src/a.rs", "//! A.\n// std::env::var\n").is_empty());
    }
}
