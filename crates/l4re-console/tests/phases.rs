//! Phase tables of recorded consoles: `real-*` are recordings of L4Re under QEMU (hello, programs
//! that fault on purpose, scripts and modules that are wrong, too little memory), `twin-*` of
//! the demo tree on the twin (failures were made there: no network, objects that are gone or
//! not what they were, entries that break); `made-*` were written by hand after the sources'
//! wording, for failures that were not recorded.
//!
//! Each line of a log counts as a millisecond, so that tables show where phases begin.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::fmt::Write as _;
use std::time::Duration;

use l4re_console::phase::{Recogniser, Sighting, Start};

fn table(raw: &[u8]) -> String {
    let mut recogniser = Recogniser::new(Start::Boot);
    let mut out = String::new();
    for (number, line) in raw.split_inclusive(|&byte| byte == b'\n').enumerate() {
        let at = Duration::from_millis(number as u64 + 1);
        recogniser.push(line, at, &mut |sighting| describe(&mut out, at, &sighting));
    }
    let end = Duration::from_millis(raw.split(|&byte| byte == b'\n').count() as u64);
    recogniser.finish(end, &mut |sighting| describe(&mut out, end, &sighting));
    let state = recogniser.state();
    writeln!(out, "image {:?}", state.image()).unwrap();
    for line in state.lines_around_fault() {
        writeln!(out, "around | {line}").unwrap();
    }
    out
}

fn describe(out: &mut String, at: Duration, sighting: &Sighting) {
    let line = at.as_millis();
    match sighting {
        Sighting::Phase(phase) => writeln!(out, "{line:4} {phase}"),
        Sighting::Boot(number) => writeln!(out, "{line:4} boot {number}"),
        Sighting::Mark(mark) => writeln!(out, "{line:4} mark {:?} {:?}", mark.stage, mark.values),
        Sighting::Application(first) => writeln!(out, "{line:4} first line `{}`", first.text),
        Sighting::Fault(fault) => writeln!(
            out,
            "{line:4} {}{}: {} ({})",
            fault.kind.name(),
            if fault.kind.is_final() { "" } else { " (not final)" },
            fault.line,
            fault.explanation
        ),
    }
    .unwrap();
}

/// What is recognised when the log comes in chunks of `step` bytes, without times.
fn sightings(raw: &[u8], step: usize) -> Vec<String> {
    let mut recogniser = Recogniser::new(Start::Boot);
    let mut out = Vec::new();
    let mut take = |sighting: Sighting| out.push(format!("{sighting:?}"));
    for chunk in raw.chunks(step) {
        recogniser.push(chunk, Duration::ZERO, &mut take);
    }
    recogniser.finish(Duration::ZERO, &mut take);
    out.push(format!("{:?}", recogniser.state().lines_around_fault()));
    out
}

#[test]
fn recorded_consoles_have_their_tables() {
    insta::glob!("fixtures/*.log", |path| {
        let raw = fs_err::read(path).unwrap();
        insta::assert_snapshot!(table(&raw));
    });
}

#[test]
fn recorded_consoles_are_recognised_however_they_are_cut() {
    insta::glob!("fixtures/*.log", |path| {
        let raw = fs_err::read(path).unwrap();
        let whole = sightings(&raw, raw.len());
        for step in [1, 2, 3, 7, 64, 1000] {
            assert_eq!(sightings(&raw, step), whole, "{} by {step}", path.display());
        }
    });
}
