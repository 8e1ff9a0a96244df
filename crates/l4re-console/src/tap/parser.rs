//! The incremental parser over raw console bytes.

use super::line::{self, Line};
use super::{Case, Outcome, TapReport, TapVerdict};
use crate::text::{Block, BlockEnd, Lines, split_line};

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

/// Reads TAP from a console.
#[derive(Debug, Default)]
pub struct TapParser {
    lines: Lines,
    state: State,
}

#[derive(Debug, Default)]
struct State {
    open: Option<Open>,
    cases: Vec<Case>,
    cases_lost: u64,
    problems: Vec<String>,
    skips: Vec<String>,
    bailed_out: Option<String>,
    blocks: u64,
    blocks_skipped: u64,
    lines: u64,
    /// Bytes are missing since the block began: what comes then may be shown again.
    gap: bool,
    in_bundle: bool,
    bundle_over: bool,
    expected_blocks: Option<u64>,
}

impl TapParser {
    /// Takes raw bytes.
    pub fn push(&mut self, raw: &[u8]) {
        self.lines.push(raw, |block| self.state.block(block));
    }

    /// Whether the tests have come to their end: a block outside a bundle, a bundle, or a bail
    /// out.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.state.is_complete()
    }

    /// Bytes are missing here.
    pub fn gap(&mut self) {
        self.state.gap = self.state.open.is_some();
    }

    /// Lines of the tests themselves that were read.
    #[must_use]
    pub fn lines_read(&self) -> u64 {
        self.state.lines
    }

    /// The mark that must come next, in tests that are not complete.
    #[must_use]
    pub fn awaits(&self) -> &'static str {
        match (&self.state.open, self.state.in_bundle) {
            (Some(_), _) => "TAP TEST FINISH",
            (None, true) => "BUNDLE TEST FINISH",
            (None, false) => "TAP TEST START",
        }
    }

    /// What the tests came to so far; without an end the verdict is incomplete.
    #[must_use]
    pub fn report(&self) -> TapReport {
        TapReport {
            verdict: self.state.verdict(),
            cases: self.state.cases.clone(),
            blocks: self.state.blocks,
        }
    }
}

impl State {
    fn block(&mut self, block: Block<'_>) {
        if block.end != BlockEnd::Newline {
            return; // Lines of TAP are short and end.
        }
        let mut rest = block.text;
        while !rest.is_empty() {
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
            let (line, next) = split_line(rest);
            rest = next;
            self.line(line);
        }
    }

    fn line(&mut self, line: &[u8]) {
        let find = |needle: &[u8]| memchr::memmem::find(line, needle);
        match &self.open {
            Some(open) if self.gap && find(b"TAP TEST START").is_some() => {
                // The block from its start: what was seen of it before is all in here.
                self.cases.truncate(open.before.0);
                self.problems.truncate(open.before.1);
                self.start(line);
            }
            Some(_) if find(b"TAP TEST FINISH").is_some() => self.finish(),
            Some(open) => {
                // Lines of other tasks, printed in between, have no part in the block.
                if let Some(text) = line.strip_prefix(open.prefix.as_slice()) {
                    self.tap(&String::from_utf8_lossy(text));
                }
            }
            None => {
                if !self.start(line) {
                    self.bundle(line);
                }
            }
        }
    }

    /// Begins a block, if the line does.
    fn start(&mut self, line: &[u8]) -> bool {
        let Some(at) = memchr::memmem::find(line, b"TAP TEST START") else { return false };
        let (prefix, before) = (line[..at].to_vec(), (self.cases.len(), self.problems.len()));
        self.open = Some(Open { prefix, plan: None, skip: None, seen: 0, yaml: false, before });
        self.gap = false;
        self.lines += 1;
        true
    }

    fn bundle(&mut self, line: &[u8]) {
        let find = |needle: &[u8]| memchr::memmem::find(line, needle);
        const COUNT: &[u8] = b"BUNDLE TEST EXPECT TEST COUNT ";
        if find(b"BUNDLE TEST START").is_some() {
            self.in_bundle = true;
        } else if find(b"BUNDLE TEST FINISH").is_some() {
            self.bundle_over = self.in_bundle;
        } else if let Some(at) = find(COUNT) {
            let count = String::from_utf8_lossy(&line[at + COUNT.len()..]).trim().parse();
            match count {
                Ok(count) => self.expected_blocks = Some(count),
                Err(_) => self.problem("the bundle's number of tests cannot be read".to_owned()),
            }
        }
    }

    fn tap(&mut self, text: &str) {
        let Some(open) = &mut self.open else { return };
        let (depth, line) = line::read(text);
        // A block that is not indented, or any more, is none.
        if open.yaml && text.starts_with(' ') {
            open.yaml = text.trim() != "...";
            if open.yaml {
                self.diagnostic(line::short(text));
            }
            return;
        }
        open.yaml = open.seen > 0 && text.starts_with(' ') && text.trim() == "---";
        if line != Line::Other {
            self.lines += 1;
        }
        match line {
            Line::Plan { count, skip } if depth == 0 => self.plan(count, skip),
            Line::Case(case) => self.case(case),
            Line::Diagnostic(text) => self.diagnostic(text),
            Line::BailOut(reason) => self.bailed_out = Some(reason),
            Line::Plan { .. } | Line::Other => {}
        }
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

    fn finish(&mut self) {
        let Some(open) = self.open.take() else { return };
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
    }

    fn problem(&mut self, problem: String) {
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(problem);
        }
    }

    fn is_complete(&self) -> bool {
        let blocks_over = self.open.is_none() && self.blocks > 0;
        self.bailed_out.is_some() || if self.in_bundle { self.bundle_over } else { blocks_over }
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
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::tap::Directive;

    fn report(raw: &str) -> TapReport {
        let mut parser = TapParser::default();
        parser.push(raw.replace('\n', "\r\n").as_bytes());
        parser.report()
    }

    fn failed(raw: &str) -> Vec<String> {
        match report(raw).verdict {
            TapVerdict::Failed { problems } => problems,
            other => panic!("{other:?}"),
        }
    }

    const KERNEL: &str = "boot\n\nKUT TAP TEST START\nKUT # note\n\nKUT ok 1 Suite::one\n\
        KUT # Test-uuid: 1-2-3\nCPU1: something else\nnot ok 9 not ours\nKUT ok 2 Suite::two # SKIP no IOMMU\n\
        KUT not ok 3 three # TODO later\nKUT 1..3\n\nKUT TAP TEST FINISHED\n";

    #[test]
    fn blocks_of_the_kernels_unit_tests_are_read() {
        let report = report(KERNEL);
        assert_eq!(report.verdict, TapVerdict::Passed);
        let outcomes: Vec<_> = report.cases.iter().map(Case::outcome).collect();
        assert_eq!(outcomes, [Outcome::Passed, Outcome::Skipped, Outcome::Todo]);
        assert_eq!(report.cases[0].uuid.as_deref(), Some("1-2-3"));
        assert_eq!(report.cases[1].directive, Some(Directive::Skip("no IOMMU".into())));
    }

    #[test]
    fn colours_of_log_tags_do_not_matter() {
        let raw = "\x1b[33mtest    | \x1b[mTAP TEST START\n\x1b[33mtest    | \x1b[mok 1 a\n\
            \x1b[33mtest    | \x1b[m    ok 1 inner\n\x1b[33mtest    | \x1b[m1..1\n\
            \x1b[33mtest    | \x1b[mTAP TEST FINISH\n";
        let report = report(raw);
        assert_eq!(report.verdict, TapVerdict::Passed);
        assert_eq!(report.cases.iter().map(|case| case.depth).collect::<Vec<_>>(), [0, 1]);
    }

    #[test]
    fn failures_and_broken_plans_are_named() {
        let block = |body: &str| format!("TAP TEST START\n{body}TAP TEST FINISH\n");
        assert_eq!(failed(&block("not ok 1 a\n# why\n1..1\n")), ["not ok: a"]);
        assert_eq!(failed(&block("not ok 1\n1..1\n")), ["not ok: test 1"]);
        assert_eq!(failed(&block("ok 1\nok 1\n1..2\n")), ["test 1 came where test 2 was due"]);
        assert_eq!(failed(&block("ok 1\n1..0 # SKIP no\n")), ["0 tests were planned and 1 ran"]);
        assert_eq!(failed(&block("ok 1 a\n1..2\n")), ["2 tests were planned and 1 ran"]);
        assert_eq!(failed(&block("ok 1 a\n")), ["a block has no plan"]);
        assert_eq!(failed(&block("1..1\n1..1\nok 1\n")), ["a block has two plans"]);
    }

    #[test]
    fn what_stands_below_a_case_belongs_to_it() {
        let raw = "TAP TEST START\nnot ok 1 a\n  ---\n  message: expected 2\n  ok: no case\n  ...\n\
            # and why\nok 2 b\n  ---\n  at: x\nok 3 c\n1..3\nTAP TEST FINISH\n";
        let report = report(raw);
        assert_eq!(report.verdict, TapVerdict::Failed { problems: vec!["not ok: a".into()] });
        assert_eq!(report.cases[0].diagnostics, ["message: expected 2", "ok: no case", "and why"]);
        assert_eq!(report.cases[1].diagnostics, ["at: x"]);
        assert_eq!(report.cases.len(), 3);
    }

    #[test]
    fn what_is_shown_again_after_a_gap_counts_once() {
        let part = "TAP TEST START\nnot ok 1 a\nok 2 b\n1..2\n";
        let again = part.replace("not ", "");
        let mut parser = TapParser::default();
        parser.push(part.as_bytes());
        parser.gap();
        parser.push(format!("other\n{again}TAP TEST FINISH\n").as_bytes());
        let report = parser.report();
        assert_eq!((report.verdict, report.cases.len()), (TapVerdict::Passed, 2));
        // Without a gap a block does not begin twice.
        let twice = format!("{again}{again}TAP TEST FINISH\n");
        assert!(failed(&twice).contains(&"a block has two plans".to_owned()));
    }

    #[test]
    fn it_is_known_what_comes_next() {
        let mut parser = TapParser::default();
        assert_eq!((parser.awaits(), parser.lines_read()), ("TAP TEST START", 0));
        parser.push(b"BUNDLE TEST START\nTAP TEST START\nok 1\nother\n");
        assert_eq!((parser.awaits(), parser.lines_read()), ("TAP TEST FINISH", 2));
        parser.push(b"1..1\nTAP TEST FINISH\n");
        assert_eq!((parser.awaits(), parser.lines_read()), ("BUNDLE TEST FINISH", 3));
    }

    #[test]
    fn skips_and_bail_outs_are_verdicts_of_their_own() {
        let skipped = "TAP TEST START\n1..0 # SKIP - no network\nTAP TEST FINISH\n";
        assert_eq!(report(skipped).verdict, TapVerdict::Skipped { reason: "- no network".into() });
        let bailed = "TAP TEST START\nok 1\nBail out! no power\n";
        assert_eq!(report(bailed).verdict, TapVerdict::BailedOut { reason: "no power".into() });
        assert_eq!(report("TAP TEST START\nok 1\n").verdict, TapVerdict::Incomplete);
        assert_eq!(report("").verdict, TapVerdict::Incomplete);
    }

    #[test]
    fn bundles_hold_as_many_blocks_as_they_say() {
        let block = "TAP TEST START\nok 1 a\n1..1\nTAP TEST FINISH\n";
        let bundle = |count: u32, blocks: &str| {
            format!(
                "BUNDLE TEST START\nBUNDLE TEST EXPECT TEST COUNT {count}\n{blocks}BUNDLE TEST FINISH\n"
            )
        };
        assert_eq!(report(&bundle(2, &block.repeat(2))).verdict, TapVerdict::Passed);
        assert_eq!(failed(&bundle(3, block)).len(), 1);
        let unfinished = format!("BUNDLE TEST START\n{block}");
        assert_eq!(report(&unfinished).verdict, TapVerdict::Incomplete);
    }

    #[test]
    fn hostile_numbers_of_cases_are_bounded() {
        let raw = format!("TAP TEST START\n{}1..1\nTAP TEST FINISH\n", "ok 1 x\n".repeat(20_000));
        let report = report(&raw);
        assert_eq!(report.cases.len(), MAX_CASES);
        assert!(matches!(report.verdict, TapVerdict::Failed { .. }));
    }

    proptest! {
        #[test]
        fn cuts_do_not_matter(step in 1usize..60) {
            let mut parser = TapParser::default();
            for chunk in KERNEL.as_bytes().chunks(step) {
                parser.push(chunk);
            }
            prop_assert_eq!(parser.report(), report(KERNEL));
        }
    }
}
