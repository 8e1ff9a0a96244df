//! Outcomes for people and, as JSON lines, for programs.

use clap_cargo::style;
use l4re_console::follow::Report;
use l4re_console::tap::{Case, Outcome as CaseOutcome, TapVerdict};
use l4re_console::verdict::Verdict;
use serde_json::json;

use super::outcome::{Outcome, Status};
use super::tail;
use crate::shell::count;

/// Lines of a console that are shown of what failed.
const LINES: usize = 20;
/// Bytes of a log in which these are looked for.
const LOOKED_AT: u64 = 16 << 10;

/// An outcome in a line: `ok        tap       4 tests, 1 skipped    12.3 s`.
pub fn line(outcome: &Outcome, width: usize) -> String {
    let (word, style) = match outcome.status() {
        Status::Passed => ("ok", style::GOOD),
        Status::Skipped => ("skipped", style::WARN),
        Status::Failed => ("FAILED", style::ERROR),
        Status::TimedOut => ("TIME-OUT", style::ERROR),
        Status::Crashed => ("CRASHED", style::ERROR),
        Status::Interrupted => ("stopped", style::WARN),
        Status::Error => ("ERROR", style::ERROR),
    };
    let (run, seconds) = (&outcome.run, outcome.elapsed.as_secs_f64());
    let sentence = sentence(outcome);
    format!("{style}{word:<8}{style:#} {run:<width$}  {seconds:>7.1} s  {sentence}")
}

/// What is to be said of an outcome in few words.
fn sentence(outcome: &Outcome) -> String {
    match (&outcome.failure, outcome.skip_reason()) {
        (Some(failure), _) => failure.to_string(),
        (None, Some(reason)) => reason.to_owned(),
        (None, None) => outcome.report.as_ref().map(counts).unwrap_or_default(),
    }
}

/// `4 tests, 1 skipped`.
fn counts(report: &Report) -> String {
    let Some(tap) = &report.tap else { return "as expected".to_owned() };
    let number = |wanted| top(&tap.cases).filter(|case| case.outcome() == wanted).count();
    let total = top(&tap.cases).count();
    let mut text = count(total, "test");
    for (what, wanted) in [("skipped", CaseOutcome::Skipped), ("to do", CaseOutcome::Todo)] {
        if number(wanted) > 0 {
            text.push_str(&format!(", {} {what}", number(wanted)));
        }
    }
    text
}

/// The cases that count.
fn top(cases: &[Case]) -> impl Iterator<Item = &Case> {
    cases.iter().filter(|case| case.depth == 0)
}

/// What led to a failure: what the tests said, or the lines around it.
pub fn details(outcome: &Outcome) -> Option<String> {
    let failure = outcome.failure.as_ref().filter(|failure| !failure.is_told())?;
    let mut lines = vec![format!("\n---- {}: {failure}", outcome.run)];
    lines.extend(evidence(outcome).into_iter().map(|line| format!("     {line}")));
    lines.extend(hint(outcome).map(|hint| format!("     help: {hint}")));
    lines.extend(outcome.log.iter().map(|log| format!("     log: {log}")));
    Some(lines.join("\n"))
}

/// Why it stood where it stood.
fn hint(outcome: &Outcome) -> Option<&str> {
    match &outcome.report.as_ref()?.verdict {
        Verdict::TimedOut { hint, .. } | Verdict::Idle { hint, .. } => hint.as_deref(),
        _ => None,
    }
}

fn evidence(outcome: &Outcome) -> Vec<String> {
    let Some(report) = &outcome.report else { return Vec::new() };
    match &report.verdict {
        Verdict::Crashed { lines, .. } | Verdict::Looping { lines, .. } => lines.clone(),
        Verdict::Tested { .. } => failed_cases(report),
        _ => {
            let text = outcome.log.as_ref().map(|log| tail::text(log, LOOKED_AT));
            let text = text.unwrap_or_default();
            let lines: Vec<_> = text.lines().filter(|line| !line.trim().is_empty()).collect();
            let last = lines.len().saturating_sub(LINES);
            lines[last..].iter().map(|&line| line.to_owned()).collect()
        }
    }
}

/// Each failed case with what is said of it, then what else is wrong.
fn failed_cases(report: &Report) -> Vec<String> {
    let mut lines = Vec::new();
    for (case, said) in said(report) {
        if case.outcome() == CaseOutcome::Failed {
            lines.push(not_ok(case));
            lines.extend(said.into_iter().map(|text| format!("  {text}")));
        }
    }
    lines.extend(beside_cases(report));
    lines
}

fn not_ok(case: &Case) -> String {
    match (case.name.as_str(), case.number) {
        ("", Some(number)) => format!("not ok: test {number}"),
        (name, _) => format!("not ok: {name}"),
    }
}

/// The cases that count, each with what is said of it: what failed of its subtests, which come
/// before it, and what stands below it.
pub(super) fn said(report: &Report) -> Vec<(&Case, Vec<String>)> {
    let mut all = Vec::new();
    let mut inner = Vec::new();
    for case in report.tap.iter().flat_map(|tap| &tap.cases) {
        if case.depth == 0 {
            let mut said = std::mem::take(&mut inner);
            said.extend(case.diagnostics.iter().cloned());
            all.push((case, said));
        } else if case.outcome() == CaseOutcome::Failed {
            inner.push(not_ok(case));
            inner.extend(case.diagnostics.iter().map(|text| format!("  {text}")));
        }
    }
    all
}

/// What is wrong with the tests beside cases that failed: plans that were not kept and the like.
pub(super) fn beside_cases(report: &Report) -> Vec<String> {
    match &report.verdict {
        Verdict::Tested { tests: TapVerdict::Failed { problems } } => {
            problems.iter().filter(|problem| !problem.starts_with("not ok")).cloned().collect()
        }
        _ => Vec::new(),
    }
}

/// An outcome for programs.
pub fn message(outcome: &Outcome) -> serde_json::Value {
    json!({
        "entry": outcome.entry,
        "run": outcome.run,
        "status": outcome.status(),
        "exit_code": outcome.failure.as_ref().map_or(0, |failure| failure.exit_code()),
        "error": outcome.failure.as_ref().map(ToString::to_string),
        "elapsed_s": outcome.elapsed.as_secs_f64(),
        "log": outcome.log,
        "report": outcome.report,
    })
}

#[cfg(test)]
mod tests {
    use super::super::outcome::tests::{failed, followed, outcome, timed_out};
    use super::*;

    #[test]
    fn what_failed_within_a_case_is_told_with_it_and_plans_behind_all() {
        let tap = "TAP TEST START\n    ok 1 x\n    not ok 2 in\n    # why\n    1..2\n\
            not ok 1 - out\n# sum\nnot ok 2\n1..3\nTAP TEST FINISHED\n";
        let report = followed(tap.as_bytes().to_vec());
        let mut outcome = outcome("tap", failed(report.verdict.clone()));
        outcome.report = Some(report);
        let details = details(&outcome).unwrap();
        let lines: Vec<_> = details.lines().skip(1).map(|line| &line[5..]).collect();
        let plan = "3 tests were planned and 2 ran";
        let of_out = ["not ok: out", "  not ok: in", "    why", "  sum"];
        assert_eq!(lines[1..], [&of_out[..], &["not ok: test 2", plan]].concat());
    }

    #[test]
    fn an_outcome_is_a_line() {
        let plain = |outcome: &Outcome| {
            anstream::adapter::strip_str(&line(outcome, 5)).to_string().trim_end().to_owned()
        };
        assert_eq!(plain(&outcome("tap", None)), "ok       tap        1.5 s");
        let late = outcome("late", timed_out());
        assert_eq!(
            plain(&late),
            "TIME-OUT late       1.5 s  time-out after 5 s without any output; `login:` was not seen"
        );
        assert!(details(&late).unwrap().starts_with("\n---- late: time-out"));
        assert_eq!(message(&late)["status"], "timed-out");
        assert_eq!(message(&late)["exit_code"], 8);
    }
}
