//! The incremental parser over raw console bytes.

use super::line::{self, Line};
use super::{Case, Outcome, TapReport, TapVerdict};
use crate::text::{Block, BlockEnd, split_line};

/// Cases kept; more are counted, and make the run a failed one.
pub const MAX_CASES: usize = 10_000;

/// Lines of diagnostics kept for a case.
const MAX_DIAGNOSTICS: usize = 50;

/// Problems kept.
const MAX_PROBLEMS: usize = 100;

/// What the present block has come to.
#[derive(Debug)]
struct Open {
    /// What every line of the block begins with.
    prefix: Vec<u8>,
    plan: Option<u64>,
    skip: Option<String>,
    /// Cases of the block itself, without those of subtests.
    seen: u64,
    /// Within the YAML block of the last case.
    yaml: bool,
    /// Cases and problems of the blocks before.
    before: (usize, usize),
}

/// A line of the tests themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The tests are complete with it.
    pub complete: bool,
}

/// Reads TAP from the lines of a console, up to the end of the tests.
#[derive(Debug, Default)]
pub struct TapParser {
    open: Option<Open>,
    cases: Vec<Case>,
    cases_lost: u64,
    problems: Vec<String>,
    skips: Vec<String>,
    bailed_out: Option<String>,
    blocks: u64,
    blocks_skipped: u64,
    /// Bytes are missing since the block began: what comes then may be shown again.
    gap: bool,
    in_bundle: bool,
    bundle_over: bool,
    expected_blocks: Option<u64>,
}

impl TapParser {
    /// Whether the tests have come to their end: a block outside a bundle, a bundle, or a bail
    /// out.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        let blocks_over = self.open.is_none() && self.blocks > 0;
        self.bailed_out.is_some() || if self.in_bundle { self.bundle_over } else { blocks_over }
    }

    /// Bytes are missing here.
    pub fn gap(&mut self) {
        self.gap = self.open.is_some();
    }

    /// The mark that must come next, in tests that are not complete.
    #[must_use]
    pub fn awaits(&self) -> &'static str {
        match (&self.open, self.in_bundle) {
            (Some(_), _) => "TAP TEST FINISH",
            (None, true) => "BUNDLE TEST FINISH",
            (None, false) => "TAP TEST START",
        }
    }

    /// What the tests came to so far; without an end the verdict is incomplete.
    #[must_use]
    pub fn report(&self) -> TapReport {
        TapReport { verdict: self.verdict(), cases: self.cases.clone(), blocks: self.blocks }
    }

    /// Takes a block of plain lines. Lines of the tests are told with their start in the block;
    /// what comes after the tests' end is none.
    pub fn block(&mut self, block: Block<'_>, sink: &mut dyn FnMut(usize, Progress)) {
        let text = block.text;
        let mut rest = match (block.end, block.continued) {
            (BlockEnd::Partial, _) => return,
            (_, false) => text,
            // The rest of a line whose start was taken for all of it.
            (BlockEnd::Newline, true) => split_line(text).1,
            (BlockEnd::Cut, true) => return,
        };
        while !rest.is_empty() && !self.is_complete() {
            if self.open.is_none() {
                // Outside of blocks only markers count, and all hold this.
                match memchr::memmem::find(rest, b" TEST ") {
                    Some(at) => {
                        let start = memchr::memrchr(b'\n', &rest[..at]).map_or(0, |n| n + 1);
                        rest = &rest[start..];
                    }
                    None => return,
                }
            }
            let at = text.len() - rest.len();
            let (line, next) = split_line(rest);
            rest = next;
            if self.line(line) {
                sink(at, Progress { complete: self.is_complete() });
            }
        }
    }

    /// Takes a line. Says whether it is one of the tests.
    fn line(&mut self, line: &[u8]) -> bool {
        let find = |needle: &[u8]| memchr::memmem::find(line, needle);
        match &self.open {
            Some(open) if self.gap && find(b"TAP TEST START").is_some() => {
                // The block from its start: what was seen of it before is all in here.
                self.cases.truncate(open.before.0);
                self.problems.truncate(open.before.1);
                self.start(line)
            }
            Some(_) if find(b"TAP TEST FINISH").is_some() => self.finish(),
            Some(_) if self.in_bundle && find(b"BUNDLE TEST FINISH").is_some() => {
                self.problem("a block has no end".to_owned());
                self.open = None;
                self.bundle(line)
            }
            // Lines of other tasks, printed in between, have no part in the block.
            Some(open) => match line.strip_prefix(open.prefix.as_slice()) {
                Some(text) => self.tap(&String::from_utf8_lossy(text)),
                None => false,
            },
            None => self.start(line) || self.bundle(line),
        }
    }

    /// Begins a block, if the line does.
    fn start(&mut self, line: &[u8]) -> bool {
        let Some(at) = memchr::memmem::find(line, b"TAP TEST START") else { return false };
        let (prefix, before) = (line[..at].to_vec(), (self.cases.len(), self.problems.len()));
        self.open = Some(Open { prefix, plan: None, skip: None, seen: 0, yaml: false, before });
        self.gap = false;
        true
    }

    fn bundle(&mut self, line: &[u8]) -> bool {
        let find = |needle: &[u8]| memchr::memmem::find(line, needle);
        const COUNT: &[u8] = b"BUNDLE TEST EXPECT TEST COUNT ";
        if find(b"BUNDLE TEST START").is_some() {
            self.in_bundle = true;
        } else if find(b"BUNDLE TEST FINISH").is_some() {
            self.bundle_over = self.in_bundle;
        } else if let Some(at) = find(COUNT) {
            let count = String::from_utf8_lossy(&line[at + COUNT.len()..]);
            let digits = count.trim_start_matches(|c: char| c.is_ascii_digit());
            match count[..count.len() - digits.len()].parse() {
                Ok(count) => self.expected_blocks = Some(count),
                Err(_) => self.problem("the bundle's number of tests cannot be read".to_owned()),
            }
        } else {
            return false;
        }
        true
    }

    fn tap(&mut self, text: &str) -> bool {
        let Some(open) = &mut self.open else { return false };
        let (depth, line) = line::read(text);
        // A block that is not indented, or any more, is none.
        if open.yaml && text.starts_with(' ') {
            open.yaml = text.trim() != "...";
            if open.yaml {
                self.diagnostic(line::short(text));
            }
            return true;
        }
        open.yaml = open.seen > 0 && text.starts_with(' ') && text.trim() == "---";
        let is_tap = line != Line::Other;
        match line {
            Line::Plan { count, skip } if depth == 0 => self.plan(count, skip),
            Line::Case(case) => self.case(case),
            Line::Diagnostic(text) => self.diagnostic(text),
            Line::BailOut(reason) => self.bailed_out = Some(reason),
            Line::Plan { .. } | Line::Other => {}
        }
        is_tap
    }

    fn plan(&mut self, count: u64, skip: Option<String>) {
        let Some(open) = &mut self.open else { return };
        if open.plan.is_some() {
            self.problem("a block has two plans".to_owned());
        } else {
            (open.plan, open.skip) = (Some(count), skip);
        }
    }

    fn case(&mut self, case: Case) {
        if let Some(open) = &mut self.open
            && case.depth == 0
        {
            open.seen += 1;
            let (due, number) = (open.seen, case.number.unwrap_or(open.seen));
            if case.outcome() == Outcome::Failed {
                self.problem(match case.name.as_str() {
                    "" => format!("not ok: test {number}"),
                    name => format!("not ok: {name}"),
                });
            }
            // As TAP's own harness has it: one may be there twice, another be missing.
            if number != due {
                self.problem(format!("test {number} came where test {due} was due"));
            }
        }
        if self.cases.len() < MAX_CASES {
            self.cases.push(case);
        } else {
            self.cases_lost += 1;
        }
    }

    fn diagnostic(&mut self, text: String) {
        let Some(case) = self.cases.last_mut() else { return };
        match text.strip_prefix("Test-uuid:") {
            Some(uuid) => case.uuid = Some(uuid.trim().to_owned()),
            None if case.diagnostics.len() < MAX_DIAGNOSTICS => case.diagnostics.push(text),
            None => {}
        }
    }

    fn finish(&mut self) -> bool {
        let Some(open) = self.open.take() else { return false };
        self.blocks += 1;
        match (open.plan, open.skip) {
            (Some(0), reason) if open.seen == 0 => {
                self.blocks_skipped += 1;
                self.skips.extend(reason);
            }
            (Some(planned), _) if planned != open.seen => {
                self.problem(format!("{planned} tests were planned and {} ran", open.seen));
            }
            (Some(_), _) => {}
            (None, _) => self.problem("a block has no plan".to_owned()),
        }
        true
    }

    fn problem(&mut self, problem: String) {
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(problem);
        }
    }

    fn verdict(&self) -> TapVerdict {
        if let Some(reason) = &self.bailed_out {
            return TapVerdict::BailedOut { reason: reason.clone() };
        }
        if !self.is_complete() {
            return TapVerdict::Incomplete;
        }
        let mut problems = self.problems.clone();
        if self.in_bundle && self.expected_blocks != Some(self.blocks) {
            let expected = self.expected_blocks.map_or("no number".to_owned(), |n| n.to_string());
            problems
                .push(format!("the bundle expects {expected} of tests and {} ran", self.blocks));
        }
        if self.cases_lost > 0 {
            problems.push(format!("{} cases more than can be kept", self.cases_lost));
        }
        if !problems.is_empty() {
            return TapVerdict::Failed { problems };
        }
        if self.blocks_skipped == self.blocks {
            return TapVerdict::Skipped { reason: self.skips.join("; ") };
        }
        TapVerdict::Passed
    }
}

#[cfg(test)]
mod tests;
