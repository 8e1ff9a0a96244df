//! Outcomes as JUnit XML: a suite for each run, a case for each test that TAP names.
//!
//! A run without TAP is one case. What went wrong beside the tests (a plan that was not kept, a
//! time-out, a crash) is a case of the run's own name, so that no failure is without one.
//!
//! Invariant: the file holds by the schema of Jenkins's xUnit plugin (`junit-10.xsd`), the
//! strictest that is in use: no properties in cases, no `skipped` on the whole.

use std::time::Duration;

use camino::Utf8Path;
use l4re_console::tap::{Case, Directive, Outcome as CaseOutcome};
use quick_junit::{NonSuccessKind, Property, Report, TestCase, TestCaseStatus, TestSuite};

use super::outcome::{Outcome, Status};
use super::{tail, told};

/// Bytes of a console that go into the report.
const CONSOLE: u64 = 64 << 10;

/// Writes the report, whole or not at all.
pub fn write(path: &Utf8Path, outcomes: &[Outcome], elapsed: Duration) -> std::io::Result<()> {
    let text = text(outcomes, elapsed)?;
    if let Some(folder) = path.parent() {
        fs_err::create_dir_all(folder)?;
    }
    l4re_image::write_whole(path, text.as_bytes())
}

/// Takes away what an earlier run wrote, which must not pass for this one's if it never gets to
/// its end. A link stays, its file is emptied; a pipe or a device has nothing of an earlier run.
pub fn forget(path: &Utf8Path) -> std::io::Result<()> {
    match (fs_err::symlink_metadata(path), fs_err::metadata(path)) {
        (Ok(named), _) if named.is_file() => fs_err::remove_file(path),
        (Ok(_), Ok(meant)) if meant.is_file() => fs_err::write(path, b""),
        (Err(error), _) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The report as XML. What is no character in XML and yet left by the writer is replaced, an
/// attribute that the schema does not have is taken away.
fn text(outcomes: &[Outcome], elapsed: Duration) -> std::io::Result<String> {
    let text = report(outcomes, elapsed).to_string().map_err(std::io::Error::other)?;
    let text = text.replace(['\u{fffe}', '\u{ffff}'], "\u{fffd}");
    let (head, suites) = text.split_once("<testsuite ").unwrap_or((&text, ""));
    let head = match head.split_once(" skipped=\"") {
        Some((before, rest)) => {
            format!("{before}{}", rest.split_once('"').map_or("", |(_, after)| after))
        }
        None => head.to_owned(),
    };
    Ok(if suites.is_empty() { head } else { format!("{head}<testsuite {suites}") })
}

fn report(outcomes: &[Outcome], elapsed: Duration) -> Report {
    let mut report = Report::new("cargo l4re test");
    report.set_time(elapsed);
    report.add_test_suites(outcomes.iter().map(suite));
    report
}

fn suite(outcome: &Outcome) -> TestSuite {
    let mut suite = TestSuite::new(&outcome.run);
    suite.set_time(outcome.elapsed);
    suite.add_property(Property::new("entry", &outcome.entry));
    let cases: Vec<_> = outcome.report.iter().flat_map(told::said).collect();
    suite.add_test_cases(cases.iter().map(|(tested, said)| case(outcome, tested, said)));
    let uuids = cases.iter().filter_map(|(tested, _)| Some((&tested.name, tested.uuid.as_ref()?)));
    for (name, uuid) in uuids {
        suite.add_property(Property::new(format!("uuid of {name}"), uuid));
    }
    let any_failed = cases.iter().any(|(tested, _)| tested.outcome() == CaseOutcome::Failed);
    let is_more =
        outcome.report.as_ref().is_some_and(|report| !told::beside_cases(report).is_empty());
    let is_told = outcome.status() == Status::Failed && any_failed && !is_more;
    if cases.is_empty() || (outcome.failure.is_some() && !is_told) {
        suite.add_test_case(whole(outcome));
    }
    if let Some(log) = &outcome.log {
        suite.add_property(Property::new("log", log));
        if outcome.failure.is_some() {
            suite.set_system_out(tail::text(log, CONSOLE));
        }
    }
    suite
}

/// A case of TAP. Its time is not known: a console says when a test is over, not when it began.
fn case(outcome: &Outcome, tested: &Case, said: &[String]) -> TestCase {
    let status = match (tested.outcome(), &tested.directive) {
        (CaseOutcome::Failed, _) => {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            status.set_message("not ok").set_type("tap");
            status.set_description(said.join("\n"));
            status
        }
        (_, Some(Directive::Skip(reason))) => skipped(reason),
        (_, Some(Directive::Todo(reason))) => skipped(&format!("TODO {reason}")),
        _ => TestCaseStatus::success(),
    };
    let mut case = TestCase::new(&tested.name, status);
    case.set_classname(&outcome.run);
    case
}

/// The run itself as a case.
fn whole(outcome: &Outcome) -> TestCase {
    let failed = |kind, type_: &str| {
        let mut status = TestCaseStatus::non_success(kind);
        let message = outcome.failure.as_ref().map(ToString::to_string).unwrap_or_default();
        status.set_message(message).set_type(type_);
        status.set_description(told::details(outcome).unwrap_or_default().trim_start());
        status
    };
    let status = match outcome.status() {
        Status::Passed => TestCaseStatus::success(),
        Status::Skipped => skipped(outcome.skip_reason().unwrap_or_default()),
        Status::Interrupted => skipped("interrupted"),
        Status::Failed => failed(NonSuccessKind::Failure, "expectation"),
        Status::TimedOut => failed(NonSuccessKind::Error, "time-out"),
        Status::Crashed => failed(NonSuccessKind::Error, "crash"),
        Status::Error => failed(NonSuccessKind::Error, "error"),
    };
    let mut case = TestCase::new(&outcome.run, status);
    case.set_classname(&outcome.run).set_time(outcome.elapsed);
    case
}

fn skipped(reason: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::skipped();
    status.set_message(reason);
    status
}

#[cfg(test)]
mod tests {
    use l4re_console::verdict::Verdict;

    use super::super::outcome::tests::{failed, followed, outcome, timed_out};
    use super::*;

    #[test]
    fn only_a_file_of_an_earlier_run_is_taken_away() {
        let dir = camino_tempfile::tempdir().unwrap();
        let [file, link, socket] = ["file", "link", "socket"].map(|name| dir.path().join(name));
        fs_err::write(&file, b"old").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        let _listening = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        forget(&link).unwrap();
        assert!(link.is_symlink() && fs_err::read(&file).unwrap().is_empty());
        forget(&file).unwrap();
        assert!(!file.exists());
        for kept in [&link, &socket] {
            forget(kept).unwrap();
            assert!(fs_err::symlink_metadata(kept).is_ok(), "{kept}");
        }
        forget(&file).unwrap();
    }

    #[test]
    fn every_run_has_a_case_and_each_is_counted() {
        let dir = camino_tempfile::tempdir().unwrap();
        let path = dir.path().join("out/junit.xml");
        let outcomes = [outcome("good", None), outcome("l<ate", timed_out())];
        write(&path, &outcomes, Duration::from_secs(3)).unwrap();
        let text = fs_err::read_to_string(&path).unwrap();
        assert!(text.contains("tests=\"2\" failures=\"0\" errors=\"1\""), "{text}");
        assert!(text.contains("<testsuite name=\"l&lt;ate\""), "{text}");
        assert!(text.contains("type=\"time-out\""), "{text}");
        let left = fs_err::read_dir(path.parent().unwrap()).unwrap().count();
        assert_eq!(left, 1);
    }

    #[test]
    fn cases_have_no_properties_and_the_whole_no_number_of_skipped_ones() {
        let tap = "TAP TEST START\nok 1 a # SKIP b\n# Test-uuid: 1-2\n1..1\nTAP TEST FINISHED\n";
        let mut skipped = outcome("x", None);
        skipped.report = Some(followed(tap.as_bytes().to_vec()));
        let text = text(&[skipped], Duration::ZERO).unwrap();
        let head = text.split_once("<testsuite ").unwrap().0;
        assert!(!head.contains("skipped") && text.contains(" skipped=\"1\""), "{text}");
        assert!(text.contains("<property name=\"uuid of a\" value=\"1-2\"/>"), "{text}");
        let cases = text.split_once("<testcase").unwrap().1;
        assert!(!cases.contains("<propert"), "{text}");
    }

    #[test]
    fn what_is_wrong_beside_cases_is_a_case_of_its_own() {
        let of = |plan: &str| {
            let tap = format!("TAP TEST START\nnot ok 1 a\n# why\n{plan}\nTAP TEST FINISHED\n");
            let report = followed(tap.into_bytes());
            let mut outcome = outcome("x", failed(report.verdict.clone()));
            outcome.report = Some(report);
            text(&[outcome], Duration::ZERO).unwrap()
        };
        assert!(of("1..1").contains("tests=\"1\" failures=\"1\""), "{}", of("1..1"));
        assert!(of("1..2").contains("tests=\"2\" failures=\"2\""), "{}", of("1..2"));
        assert!(of("1..2").contains("2 tests were planned and 1 ran"), "{}", of("1..2"));
    }

    #[test]
    fn hostile_names_make_no_other_markup() {
        let name = "a\u{1}\u{1b}[31mb\u{fffe}]]>\"'</testcase>&amp;\u{ffff}\u{202e}";
        let tap = format!("x\nTAP TEST START\nnot ok 1 {name}\n# {name}\n1..1\nTAP TEST FINISH\n");
        let mut hostile = outcome(name, failed(Verdict::Left));
        hostile.report = Some(followed(tap.into_bytes()));
        let text = text(&[hostile], Duration::ZERO).unwrap();
        let is_char = |c: char| c >= ' ' && !matches!(c, '\u{fffe}' | '\u{ffff}') || c == '\n';
        assert!(text.chars().all(is_char), "{text:?}");
        let read = Report::deserialize_from_str(&text).unwrap();
        let suite = &read.test_suites[0];
        let safe = "ab\u{fffd}]]>\"'</testcase>&amp;\u{fffd}\u{202e}";
        assert_eq!((suite.name.as_str(), suite.test_cases[0].name.as_str()), (safe, safe));
    }
}
