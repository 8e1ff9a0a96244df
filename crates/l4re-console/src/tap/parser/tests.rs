//! The parser on blocks as L4Re's tests print them, whole and broken.

use proptest::prelude::*;

use super::*;
use crate::tap::Directive;
use crate::text::{Lines, MAX_LINE};

/// A parser with the lines that it reads.
#[derive(Default)]
struct Run {
    lines: Lines,
    parser: TapParser,
    progress: Vec<Progress>,
}

impl Run {
    fn push(&mut self, raw: &[u8]) {
        let Self { lines, parser, progress } = self;
        lines.push(raw, |block| parser.block(block, &mut |_, made| progress.push(made)));
    }
}

fn report(raw: &str) -> TapReport {
    let mut run = Run::default();
    run.push(raw.replace('\n', "\r\n").as_bytes());
    run.parser.report()
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
    let mut run = Run::default();
    run.push(part.as_bytes());
    run.parser.gap();
    run.push(format!("other\n{again}TAP TEST FINISH\n").as_bytes());
    let report = run.parser.report();
    assert_eq!((report.verdict, report.cases.len()), (TapVerdict::Passed, 2));
    // Without a gap a block does not begin twice.
    let twice = format!("{again}{again}TAP TEST FINISH\n");
    assert!(failed(&twice).contains(&"a block has two plans".to_owned()));
}

#[test]
fn it_is_known_what_comes_next() {
    let mut run = Run::default();
    let mut after = |raw: &str| {
        run.push(raw.as_bytes());
        (run.parser.awaits(), run.progress.len(), run.progress.last().is_some_and(|p| p.complete))
    };
    assert_eq!(after("boot\n"), ("TAP TEST START", 0, false));
    let begun = "BUNDLE TEST START\nTAP TEST START\nok 1\nother\n";
    assert_eq!(after(begun), ("TAP TEST FINISH", 3, false));
    assert_eq!(after("1..1\nTAP TEST FINISH\n"), ("BUNDLE TEST FINISH", 5, false));
    assert!(after("BUNDLE TEST FINISH\nTAP TEST START\nok 1\n").2);
    assert_eq!(run.progress.len(), 6);
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
fn a_bundle_that_ends_within_a_block_has_failed() {
    let raw = "BUNDLE TEST START\nTAP TEST START\nok 1\n1..1\n\
        BUNDLE TEST EXPECT TEST COUNT 1 of these\nBUNDLE TEST FINISH\n";
    let problems = failed(raw);
    assert_eq!(problems[0], "a block has no end");
    assert_eq!(problems.len(), 2);
}

#[test]
fn what_comes_after_the_end_is_not_judged() {
    let raw = "TAP TEST START\nok 1\n1..1\nTAP TEST FINISH\n";
    assert_eq!(report(&raw.repeat(2)).blocks, 1);
    assert_eq!(
        report(&format!("{raw}{}", raw.replace("ok", "not ok"))).verdict,
        TapVerdict::Passed
    );
}

#[test]
fn what_says_not_ok_has_failed_even_if_it_was_skipped() {
    let block = |case: &str| report(&format!("TAP TEST START\n{case}\n1..1\nTAP TEST FINISH\n"));
    assert_eq!(block("ok 1 # SKIP a").cases[0].outcome(), Outcome::Skipped);
    assert_eq!(block("not ok 1 # TODO a").cases[0].outcome(), Outcome::Todo);
    assert_eq!(block("not ok 1 # SKIP a").cases[0].outcome(), Outcome::Failed);
    assert!(!block("not ok 1 # SKIP a").verdict.is_good());
}

#[test]
fn a_line_too_long_to_be_one_is_known_by_its_start() {
    let long = "ok 2 not ok 3 ".repeat(MAX_LINE / 5);
    let raw = format!("TAP TEST START\nok 1 {long}\n1..1\nTAP TEST FINISH\n");
    assert_eq!(report(&raw).verdict, TapVerdict::Passed);
    let raw = raw.replace("ok 1 ok", "not ok 1 ok");
    assert_eq!(failed(&raw).len(), 1);
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
        let mut run = Run::default();
        for chunk in KERNEL.as_bytes().chunks(step) {
            run.push(chunk);
        }
        prop_assert_eq!(run.parser.report(), report(KERNEL));
    }
}
