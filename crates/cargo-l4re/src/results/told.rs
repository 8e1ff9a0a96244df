//! Outcomes for people and, as JSON lines, for programs.

use clap_cargo::style;
use l4re_console::follow::Report;
use l4re_console::tap::{Case, Outcome as CaseOutcome};
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
pub(super) fn top(cases: &[Case]) -> impl Iterator<Item = &Case> {
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

/// Each failed case with what stands below it.
fn failed_cases(report: &Report) -> Vec<String> {
    let mut lines = Vec::new();
    let cases = report.tap.as_ref().map(|tap| tap.cases.as_slice()).unwrap_or_default();
    for case in top(cases).filter(|case| case.outcome() == CaseOutcome::Failed) {
        lines.push(format!("not ok: {}", case.name));
        lines.extend(case.diagnostics.iter().map(|text| format!("  {text}")));
    }
    lines
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
    use super::super::outcome::tests::{outcome, timed_out};
    use super::*;

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
