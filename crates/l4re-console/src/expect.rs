//! What must come, in order, and what must not.
//!
//! Patterns are tried on single lines without escape sequences and carriage returns; one that
//! asks for what no line has is refused. Each expectation takes up the text that it matched: the
//! next one looks behind it, in the same line or later. In a line that holds both, what must not
//! come counts first. Lines longer than [`crate::text::MAX_LINE`] count as several. Invariant:
//! apart from partial lines, which are tried when the console is quiet, the outcome does not
//! depend on how bytes were cut.

use regex::bytes::{Regex, RegexBuilder};
use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Class, Hir, HirKind};

use crate::text::{Block, BlockEnd, split_line};

/// A pattern that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PatternError {
    /// It is no regular expression.
    #[error("pattern `{pattern}`: {source}")]
    Syntax {
        /// The pattern as given.
        pattern: String,
        /// What is wrong with it.
        source: Box<regex::Error>,
    },
    /// It matches nothing that is in a line.
    #[error("pattern `{pattern}`: it asks for a line break or an escape sequence")]
    NeverInLine {
        /// The pattern as given.
        pattern: String,
    },
}

/// One compiled pattern.
#[derive(Clone, Debug)]
struct Pattern {
    source: String,
    regex: Regex,
    /// Anchors to the whole haystack make sense for single lines only.
    line_by_line: bool,
}

/// Ordered expectations and patterns that must not come.
#[derive(Clone, Debug, Default)]
pub struct Expectations {
    expect: Vec<Pattern>,
    fail_on: Vec<Pattern>,
    next: usize,
    /// Bytes at the start of the next block that earlier matches took up.
    taken: usize,
}

/// What a look at new text brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The expectation with this index was met.
    Met(usize),
    /// The last expectation, with this index, was met.
    AllMet(usize),
    /// A line came that must not come.
    Failed {
        /// The pattern as given.
        pattern: String,
        /// The line.
        line: String,
    },
}

/// Bytes shown of a line that must not come.
const SHOWN: usize = 512;

impl Pattern {
    fn new(source: &str) -> Result<Self, PatternError> {
        let compiled = RegexBuilder::new(source).multi_line(true).unicode(true).build();
        let pattern = source.to_owned();
        let regex = compiled.map_err(|error| PatternError::Syntax {
            pattern: pattern.clone(),
            source: Box::new(error),
        })?;
        let parsed = ParserBuilder::new().multi_line(true).utf8(false).build().parse(source);
        if parsed.is_ok_and(|parsed| wants_what_no_line_has(&parsed)) {
            return Err(PatternError::NeverInLine { pattern });
        }
        let line_by_line = source.contains("\\A") || source.contains("\\z");
        Ok(Self { source: source.to_owned(), regex, line_by_line })
    }

    /// The first match within one line of `text` at or after `from`, with its line's start.
    ///
    /// A match that spans lines is no match, but may hide one that starts in the same line.
    fn find(&self, text: &[u8], mut from: usize) -> Option<Hit> {
        loop {
            let inside =
                if self.line_by_line { from } else { self.regex.find_at(text, from)?.start() };
            let line_start =
                memchr::memrchr(b'\n', &text[..inside]).map_or(0, |newline| newline + 1);
            if line_start >= text.len() {
                return None; // Behind the last newline there is no line.
            }
            let (line, after) = split_line(&text[line_start..]);
            let within = from.saturating_sub(line_start);
            if let Some(hit) = self.regex.find_at(line, within) {
                return Some(Hit { line_start, end: line_start + hit.end() });
            }
            from = text.len() - after.len();
            if after.is_empty() {
                return None;
            }
        }
    }
}

/// Whether every match holds a character that no line of plain text has.
fn wants_what_no_line_has(pattern: &Hir) -> bool {
    let lost = |byte: u32| matches!(byte, 0x00 | 0x0a | 0x0d | 0x1b);
    match pattern.kind() {
        HirKind::Empty | HirKind::Look(_) => false,
        HirKind::Literal(literal) => literal.0.iter().any(|byte| lost(u32::from(*byte))),
        HirKind::Class(Class::Unicode(class)) => {
            let all = |c: char| lost(u32::from(c));
            class.iter().all(|range| (range.start()..=range.end()).all(all))
        }
        HirKind::Class(Class::Bytes(class)) => {
            let all = |byte: u8| lost(u32::from(byte));
            class.iter().all(|range| (range.start()..=range.end()).all(all))
        }
        HirKind::Repetition(repeated) => repeated.min > 0 && wants_what_no_line_has(&repeated.sub),
        HirKind::Capture(captured) => wants_what_no_line_has(&captured.sub),
        HirKind::Concat(all) => all.iter().any(wants_what_no_line_has),
        HirKind::Alternation(any) => any.iter().all(wants_what_no_line_has),
    }
}

#[derive(Clone, Copy, Debug)]
struct Hit {
    line_start: usize,
    end: usize,
}

impl Expectations {
    /// Compiles patterns: `expect` in order, `fail_on` at any time.
    pub fn new<E: AsRef<str>, F: AsRef<str>>(
        expect: &[E],
        fail_on: &[F],
    ) -> Result<Self, PatternError> {
        Ok(Self {
            expect: expect.iter().map(|p| Pattern::new(p.as_ref())).collect::<Result<_, _>>()?,
            fail_on: fail_on.iter().map(|p| Pattern::new(p.as_ref())).collect::<Result<_, _>>()?,
            next: 0,
            taken: 0,
        })
    }

    /// Whether anything must come.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.expect.is_empty()
    }

    /// The first expectation that is still open.
    #[must_use]
    pub fn missing(&self) -> Option<&str> {
        self.expect.get(self.next).map(|pattern| pattern.source.as_str())
    }

    /// The expectation with this index, as given.
    #[must_use]
    pub fn pattern(&self, index: usize) -> Option<&str> {
        self.expect.get(index).map(|pattern| pattern.source.as_str())
    }

    /// Looks at a block of plain lines; nothing is looked at after a failure or the last
    /// expectation. Outcomes come with the start of their line in the block.
    pub fn block(&mut self, block: Block<'_>, sink: &mut dyn FnMut(usize, Outcome)) {
        let text = block.text;
        let mut from = self.taken.min(text.len());
        // Not at the very start of a continued line, where `^` would match a cut.
        if block.continued {
            from = from.max(1.min(text.len()));
        }
        let failure = self.failure(text, usize::from(block.continued));
        while let Some(pattern) = self.expect.get(self.next) {
            let Some(hit) = pattern.find(text, from) else { break };
            if failure.as_ref().is_some_and(|(at, _)| *at <= hit.line_start) {
                break;
            }
            // An empty match must take up something, or one line would meet them all.
            from = if hit.end > from { hit.end } else { next_line(text, hit.end) };
            let met = self.next;
            self.next += 1;
            if self.next == self.expect.len() {
                sink(hit.line_start, Outcome::AllMet(met));
                return;
            }
            sink(hit.line_start, Outcome::Met(met));
        }
        self.taken = match block.end {
            BlockEnd::Newline => 0,
            BlockEnd::Partial => from,
            BlockEnd::Cut => from.saturating_sub(text.len() - crate::text::OVERLAP),
        };
        if let Some((at, outcome)) = failure {
            sink(at, outcome);
        }
    }

    /// The first line that must not come, and where it starts.
    fn failure(&self, text: &[u8], from: usize) -> Option<(usize, Outcome)> {
        let first = |pattern: &Pattern| {
            let hit = pattern.find(text, from.min(text.len()))?;
            let (line, _) = split_line(&text[hit.line_start..]);
            let line = String::from_utf8_lossy(&line[..line.len().min(SHOWN)]).into_owned();
            Some((hit.line_start, Outcome::Failed { pattern: pattern.source.clone(), line }))
        };
        self.fail_on.iter().filter_map(first).min_by_key(|(at, _)| *at)
    }
}

fn next_line(text: &[u8], from: usize) -> usize {
    memchr::memchr(b'\n', &text[from..]).map_or(text.len(), |newline| from + newline + 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::text::Lines;

    struct Run {
        lines: Lines,
        expectations: Expectations,
        outcomes: Vec<Outcome>,
    }

    impl Run {
        fn new(expect: &[&str], fail_on: &[&str]) -> Self {
            let expectations = Expectations::new(expect, fail_on).unwrap();
            Self { lines: Lines::default(), expectations, outcomes: Vec::new() }
        }

        fn push(&mut self, raw: &[u8]) {
            let (lines, outcomes) = (&mut self.lines, &mut self.outcomes);
            lines.push(raw, |block| self.expectations.block(block, &mut |_, o| outcomes.push(o)));
        }

        fn settle(&mut self) {
            let (lines, outcomes) = (&mut self.lines, &mut self.outcomes);
            lines.settle(|block| self.expectations.block(block, &mut |_, o| outcomes.push(o)));
        }
    }

    fn outcomes(expect: &[&str], fail_on: &[&str], raw: &str) -> Vec<Outcome> {
        let mut run = Run::new(expect, fail_on);
        run.push(raw.as_bytes());
        run.outcomes
    }

    fn failed(pattern: &str, line: &str) -> Outcome {
        Outcome::Failed { pattern: pattern.into(), line: line.into() }
    }

    #[test]
    fn expectations_are_met_in_order() {
        let got = outcomes(&["one", "two"], &[], "two\none\n\x1b[1mtw\x1b[mo\r\n");
        assert_eq!(got, [Outcome::Met(0), Outcome::AllMet(1)]);
        assert_eq!(outcomes(&["one", "two"], &[], "two\none\n"), [Outcome::Met(0)]);
    }

    #[test]
    fn each_takes_up_its_match() {
        assert_eq!(outcomes(&["a", "a"], &[], "a\n"), [Outcome::Met(0)]);
        assert_eq!(outcomes(&["a", "a"], &[], "aa\n"), [Outcome::Met(0), Outcome::AllMet(1)]);
        assert_eq!(outcomes(&["x*", "x*"], &[], "\n"), [Outcome::Met(0)]);
    }

    #[test]
    fn anchors_mean_lines_and_matches_stay_in_one() {
        assert_eq!(outcomes(&["^two$"], &[], "one two\ntwo\n"), [Outcome::AllMet(0)]);
        assert_eq!(outcomes(&[r"\Atwo\z"], &[], "one\ntwo\nx\n"), [Outcome::AllMet(0)]);
        assert_eq!(outcomes(&[r"one\s+two"], &[], "one\ntwo\n"), []);
        assert_eq!(outcomes(&[r"b\s*c|c"], &[], "ab\ncd\n"), [Outcome::AllMet(0)]);
    }

    #[test]
    fn what_must_not_come_counts_by_its_place() {
        assert_eq!(outcomes(&["ok"], &["bad"], "bad\nok\n"), [failed("bad", "bad")]);
        assert_eq!(outcomes(&["ok"], &["bad"], "ok\nbad\n"), [Outcome::AllMet(0)]);
        assert_eq!(outcomes(&["ok"], &["bad"], "ok bad\n"), [failed("bad", "ok bad")]);
        assert_eq!(outcomes(&[], &["y", "x"], "x\ny\n"), [failed("x", "x")]);
    }

    #[test]
    fn a_prompt_is_met_when_the_console_is_quiet_and_only_once() {
        let mut run = Run::new(&["login: $", "login:", "root"], &[]);
        run.push(b"login: ");
        assert_eq!(run.outcomes, []);
        run.settle();
        assert_eq!(run.outcomes, [Outcome::Met(0)]);
        run.push(b"root\n");
        assert_eq!(run.outcomes, [Outcome::Met(0)]);
        run.push(b"login: root\n");
        assert_eq!(run.outcomes, [Outcome::Met(0), Outcome::Met(1), Outcome::AllMet(2)]);
    }

    #[test]
    fn a_match_across_the_cut_of_an_endless_line_is_found_once() {
        let mut run = Run::new(&["needle", "needle"], &["^needle"]);
        run.push(&vec![b'x'; crate::text::MAX_LINE - 3]);
        run.push(b"needle");
        run.push(&vec![b'x'; crate::text::MAX_LINE]);
        assert_eq!(run.outcomes, [Outcome::Met(0)]);
    }

    #[test]
    fn a_bad_pattern_is_named() {
        let error = Expectations::new(&["("], &[] as &[&str]).unwrap_err();
        assert!(error.to_string().starts_with("pattern `(`"), "{error}");
    }

    #[test]
    fn a_pattern_that_no_line_can_match_is_refused() {
        let new = |pattern| Expectations::new(&[] as &[&str], &[pattern]);
        for never in [r"one\ntwo", r"login:\r$", r"\x1b\[31m", r"a(b\n|c[\r\n])+", "a\nb"] {
            let error = new(never).unwrap_err().to_string();
            assert!(error.ends_with("a line break or an escape sequence"), "{never}: {error}");
        }
        for maybe in [r"one\s+two", r"[^\n]*", r"a\r?$", r"\n|a", r"(\n)*", "", r"(?-u:\xff)"] {
            new(maybe).unwrap();
        }
    }

    proptest! {
        #[test]
        fn cuts_do_not_matter(
            raw in proptest::collection::vec(prop::sample::select(b"ab\n\r".to_vec()), 0..60),
            step in 1usize..20,
        ) {
            let mut whole = Run::new(&["ab", "b+a", "^a"], &["^bbb$", "aaaa"]);
            whole.push(&raw);
            let mut parts = Run::new(&["ab", "b+a", "^a"], &["^bbb$", "aaaa"]);
            for chunk in raw.chunks(step) {
                parts.push(chunk);
            }
            let ended = |outcomes: &[Outcome]| {
                let end = outcomes.iter().position(|o| !matches!(o, Outcome::Met(_)));
                outcomes[..end.map_or(outcomes.len(), |end| end + 1)].to_vec()
            };
            prop_assert_eq!(ended(&whole.outcomes), ended(&parts.outcomes));
        }
    }
}
