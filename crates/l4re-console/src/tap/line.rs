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

pub(super) fn read(line: &str) -> (u8, Line) {
    let text = line.trim_start_matches(' ');
    let depth = u8::try_from((line.len() - text.len()) / INDENT).unwrap_or(u8::MAX);
    let text = text.trim_end();
    (depth, content(text, depth))
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
    (rest.is_empty() || rest.starts_with(' ')).then(|| rest.trim_start())
}

fn plan(rest: &str) -> Option<Line> {
    let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let count = rest[..digits].parse().ok()?;
    let skip = match directive(&rest[digits..]) {
        Some((_, Directive::Skip(reason))) => Some(reason),
        _ => None,
    };
    Some(Line::Plan { count, skip })
}

fn case(ok: bool, rest: &str, depth: u8) -> Case {
    let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let after = &rest[digits..];
    // A description may begin with a digit: only a number of its own is one.
    let number = (after.is_empty() || after.starts_with(' ')).then(|| rest[..digits].parse().ok());
    let number = number.flatten();
    let text = if number.is_some() { after } else { rest };
    let (name, directive) = match directive(text) {
        Some((at, directive)) => (&text[..at], Some(directive)),
        None => (text, None),
    };
    let name = short(name.trim().trim_start_matches("- "));
    Case { number, name, ok, directive, uuid: None, diagnostics: Vec::new(), depth }
}

/// `# SKIP reason` or `# TODO reason`, in any case, with where it begins.
fn directive(text: &str) -> Option<(usize, Directive)> {
    text.match_indices('#').find_map(|(at, _)| {
        if text[..at].ends_with('\\') {
            return None;
        }
        let rest = text[at + 1..].trim_start();
        let (word, reason) = rest.split_at_checked(4)?;
        let reason = short(reason.trim_start_matches(|c: char| c.is_ascii_alphabetic()));
        match word.to_ascii_uppercase().as_str() {
            "SKIP" => Some((at, Directive::Skip(reason))),
            "TODO" => Some((at, Directive::Todo(reason))),
            _ => None,
        }
    })
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
        assert_eq!(case_of("ok 2fast").name, "2fast");
        assert_eq!(case_of("    ok 1 inner").depth, 1);
    }

    #[test]
    fn directives_are_read_in_all_spellings() {
        let skip = |reason: &str| Some(Directive::Skip(reason.into()));
        assert_eq!(case_of("ok 1 x # SKIP no vt").directive, skip("no vt"));
        assert_eq!(case_of("ok TAPOutput #SKIP why").directive, skip("why"));
        assert_eq!(case_of("ok 1 x # skipped: why").directive, skip(": why"));
        let todo = case_of("not ok 1 issue #7 works # TODO later");
        assert_eq!(todo.directive, Some(Directive::Todo("later".into())));
        assert_eq!(todo.name, "issue #7 works");
        assert_eq!(case_of(r"ok 1 a \# SKIP b").directive, None);
    }

    #[test]
    fn plans_and_the_rest_are_read() {
        assert_eq!(read("1..4").1, Line::Plan { count: 4, skip: None });
        let skip = Some("- no hardware".to_owned());
        assert_eq!(read("1..0 # SKIP - no hardware").1, Line::Plan { count: 0, skip });
        assert_eq!(read("Bail out! power").1, Line::BailOut("power".into()));
        assert_eq!(read("# note").1, Line::Diagnostic("note".into()));
        for other in ["okay", "1..", "1..x", "TAP Version 13", "not okay", "", "nok 1"] {
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
