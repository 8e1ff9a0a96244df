//! All that xtask says. People read stderr, in cargo's manner: a right-aligned word, then
//! what it is about. Results that a program may want go to stdout.
//!
//! A closed pipe is no reason to fail a test run: what cannot be written is dropped.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use crate::environment;

const GREEN: &str = "\u{1b}[1;32m";
const RED: &str = "\u{1b}[1;31m";
const BOLD: &str = "\u{1b}[1m";
const PLAIN: &str = "\u{1b}[0m";

/// A right-aligned word of status and what it is about.
pub(crate) fn status(word: &str, about: &str) {
    to_people(&format!("{} {about}", paint(GREEN, &format!("{word:>12}"))));
}

/// A heading before the output of a step.
pub(crate) fn heading(text: &str) {
    to_people(&format!("\n{}", paint(BOLD, &format!("== {text}"))));
}

/// What went wrong.
pub(crate) fn error(message: &str) {
    to_people(&format!("{}: {message}", paint(RED, "error")));
}

/// A line of plain text for people.
pub(crate) fn say(line: &str) {
    to_people(line);
}

/// A line of result: findings, tables, a child's own output.
pub(crate) fn result(line: &str) {
    let mut out = std::io::stdout().lock();
    let _closed_pipe = writeln!(out, "{line}");
}

/// A duration as people say it.
pub(crate) fn seconds(time: Duration) -> String {
    let all = time.as_secs_f64();
    if all < 10.0 {
        format!("{all:.1} s")
    } else if all < 120.0 {
        format!("{all:.0} s")
    } else {
        format!("{} min {:02} s", time.as_secs() / 60, time.as_secs() % 60)
    }
}

fn to_people(line: &str) {
    let mut err = std::io::stderr().lock();
    let _closed_pipe = writeln!(err, "{line}");
}

fn paint(colour: &str, text: &str) -> String {
    if std::io::stderr().is_terminal() && !environment::no_color() {
        format!("{colour}{text}{PLAIN}")
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_well() {
        assert_eq!(seconds(Duration::from_millis(1234)), "1.2 s");
        assert_eq!(seconds(Duration::from_secs(61)), "61 s");
        assert_eq!(seconds(Duration::from_secs(605)), "10 min 05 s");
    }
}
