//! Reads single lines of TAP, versions 13 and 14, as far as L4Re's tests print them.

use super::{Case, Directive};

/// One line within a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Line {
    Plan {
        count: u64,
        skip: Option<String>,
    },
    Case(Case),
    Diagnostic(String),
    BailOut(String),
    /// Not TAP: output of the test.
    Other,
}

/// Bytes kept of a text.
const MAX_TEXT: usize = 512;

/// Four spaces are one level of subtests.
const INDENT: usize = 4;

/// The depth in subtests and what a line says.
///
/// Only lines that are not indented count for the block itself; by less than a level nothing is.
pub(super) fn read(line: &str) -> (u8, Line) {
    let text = line.trim_start_matches(' ');
    let indent = line.len() - text.len();
    let depth = u8::try_from(indent / INDENT).unwrap_or(u8::MAX);
    let text = text.trim_end();
    match content(text, depth) {
        Line::Plan { .. } | Line::Case(_) if indent > 0 && depth == 0 => (depth, Line::Other),
        line => (depth, line),
    }
}

fn content(text: &str, depth: u8) -> Line {
    if let Some(rest) = text.strip_prefix("Bail out!") {
        return Line::BailOut(short(rest));
    }
    if let Some(rest) = text.strip_prefix('#') {
        return Line::Diagnostic(short(rest));
    }
    if let Some(plan) = text.strip_prefix("1..").and_then(plan) {
        return plan;
    }
    let (ok, rest) = match (word(text, "ok"), word(text, "not ok")) {
        (Some(rest), _) => (true, rest),
        (None, Some(rest)) => (false, rest),
        (None, None) => return Line::Other,
    };
    Line::Case(case(ok, rest, depth))
}

/// What follows `word`, if `text` begins with it as a whole word.
fn word<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    let rest = text.strip_prefix(word)?;
    (!rest.starts_with(in_word)).then(|| rest.trim_start())
}

fn in_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The number at the start, and what follows it. One that is too large to be right is one.
fn number(text: &str) -> (Option<u64>, &str) {
    let rest = text.trim_start_matches(|c: char| c.is_ascii_digit());
    match &text[..text.len() - rest.len()] {
        "" => (None, rest),
        digits => (Some(digits.parse().unwrap_or(u64::MAX)), rest),
    }
}

/// As L4Re's framework takes it: it adds up the numbers, whatever stands behind them, but
/// leaves a plan for nothing as it is, which must give no other reason than SKIP.
fn plan(rest: &str) -> Option<Line> {
    let (count, rest) = number(rest);
    let (count, rest) = (count?, rest.trim());
    let skip = match directive(rest) {
        Some((0, Directive::Skip(reason))) => Some(reason),
        _ => None,
    };
    (count > 0 || skip.is_some() || rest.is_empty()).then_some(Line::Plan { count, skip })
}

fn case(ok: bool, rest: &str, depth: u8) -> Case {
    let (number, text) = number(rest);
    let (name, directive) = match directive(text) {
        Some((at, directive)) => (&text[..at], Some(directive)),
        None => (text, None),
    };
    let name = name.trim();
    let name = name.strip_prefix('-').filter(|rest| !rest.starts_with(in_word)).unwrap_or(name);
    let name = short(&unescaped(name));
    Case { number, name, ok, directive, uuid: None, diagnostics: Vec::new(), depth }
}

/// `# SKIP reason` or `# TODO reason`, in any case, with where it begins: at the first `#` that
/// is not escaped, or there is none.
fn directive(text: &str) -> Option<(usize, Directive)> {
    let mut escaped = false;
    let (at, _) = text.char_indices().find(|&(_, c)| {
        let found = c == '#' && !escaped;
        escaped = c == '\\' && !escaped;
        found
    })?;
    let (word, reason) = text[at + 1..].trim_start().split_at_checked(4)?;
    if reason.starts_with(in_word) {
        return None;
    }
    let reason = short(&unescaped(reason));
    match word.to_ascii_uppercase().as_str() {
        "SKIP" => Some((at, Directive::Skip(reason))),
        "TODO" => Some((at, Directive::Todo(reason))),
        _ => None,
    }
}

/// The text that `\#` and `\\` stand for, as version 14 has them.
fn unescaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        let escaped = (c == '\\').then(|| rest.next_if(|next| matches!(next, '#' | '\\')));
        plain.push(escaped.flatten().unwrap_or(c));
    }
    plain
}

pub(super) fn short(text: &str) -> String {
    let text = text.trim();
    let end = (0..=text.len().min(MAX_TEXT)).rev().find(|&at| text.is_char_boundary(at));
    text[..end.unwrap_or(0)].to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn case_of(text: &str) -> Case {
        match read(text) {
            (_, Line::Case(case)) => case,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn cases_are_read() {
        let case = case_of("ok 3 Suite::test/0");
        assert_eq!((case.number, case.name.as_str(), case.ok), (Some(3), "Suite::test/0", true));
        let case = case_of("not ok 12 - execution - exit code 1");
        assert_eq!((case.number, case.name.as_str()), (Some(12), "execution - exit code 1"));
        assert_eq!(case_of("ok").name, "");
        assert_eq!(case_of("ok 1 -").name, "");
        assert_eq!(case_of("ok 1 -1 is negative").name, "-1 is negative");
        assert_eq!(case_of("ok: done").name, ": done");
        assert_eq!(case_of("ok 99999999999999999999").number, Some(u64::MAX));
        assert_eq!(case_of("    ok 1 inner").depth, 1);
        assert_eq!(case_of("      not ok 1 inner").depth, 1);
    }

    #[test]
    fn directives_are_read_in_all_spellings() {
        let skip = |reason: &str| Some(Directive::Skip(reason.into()));
        assert_eq!(case_of("ok 1 x # SKIP no vt").directive, skip("no vt"));
        assert_eq!(case_of("ok TAPOutput #SKIP why").directive, skip("why"));
        assert_eq!(case_of("ok 1 x # skip: why").directive, skip(": why"));
        assert_eq!(case_of(r"ok 1 a \\# SKIP b").directive, skip("b"));
        let todo = case_of(r"not ok 1 issue \#7 works # TODO later, \# 8");
        assert_eq!(todo.directive, Some(Directive::Todo("later, # 8".into())));
        assert_eq!(todo.name, "issue #7 works");
        for none in [r"ok 1 a \# SKIP b", "ok 1 issue #7 # TODO b", "ok 1 # SKIPPED b", "ok # a"] {
            assert_eq!(case_of(none).directive, None, "{none}");
        }
        assert_eq!(case_of(r"ok 1 a\\b \# c\d").name, r"a\b # c\d");
    }

    #[test]
    fn plans_and_the_rest_are_read() {
        assert_eq!(read("1..4").1, Line::Plan { count: 4, skip: None });
        assert_eq!(read("1..4 and more").1, Line::Plan { count: 4, skip: None });
        let skip = Some("- no hardware".to_owned());
        assert_eq!(read("1..0 # SKIP - no hardware").1, Line::Plan { count: 0, skip });
        assert_eq!(read("Bail out! power").1, Line::BailOut("power".into()));
        assert_eq!(read("    Bail out! power"), (1, Line::BailOut("power".into())));
        assert_eq!(read("# note").1, Line::Diagnostic("note".into()));
        let others = ["okay", "1..", "1..x", "TAP Version 13", "not okay", "", "nok 1", "ok_1"];
        for other in others.into_iter().chain([" ok 1", "  not ok 1", "   1..1", "1..0 # later"]) {
            assert_eq!(read(other).1, Line::Other, "{other}");
        }
    }

    proptest! {
        #[test]
        fn no_line_panics(text in "\\PC{0,80}") {
            read(&text);
            read(&format!("ok {text}"));
            read(&format!("1..{text}"));
            read(&format!("not ok 1 # {text}"));
        }
    }
}
