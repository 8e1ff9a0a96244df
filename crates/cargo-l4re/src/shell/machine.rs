//! What one of several machines says: a live line of its own on a terminal, lines that carry
//! its name elsewhere.
//!
//! Lines of a console are put out whole, so that those of several machines do not mix.

use std::sync::{Mutex, PoisonError};

use anstyle::Style;
use clap_cargo::style;
use indicatif::ProgressBar;

use super::Progress;
use super::harmless::harmless;

/// Bytes after which a line without an end is put out all the same.
const LONG: usize = 4096;

/// One of several machines.
#[derive(Debug)]
pub(super) struct Machine {
    /// Its name, as it stands in front of its lines.
    pub(super) name: String,
    width: usize,
    /// Whether the lines of its console are put out.
    pub(super) shows_console: bool,
    bar: ProgressBar,
    /// Bars that its steps ask for are not drawn: its line says what it does.
    pub(super) no_bars: Progress,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The unfinished line.
    partial: Vec<u8>,
    phase: &'static str,
}

impl Machine {
    /// A machine whose live line is among `bars`. `width` is that of the longest name.
    pub(super) fn new(name: &str, width: usize, shows_console: bool, bars: &Progress) -> Self {
        Self {
            name: name.to_owned(),
            width,
            shows_console,
            bar: bars.waiting("Testing", name.to_owned()),
            no_bars: Progress::hidden(),
            state: Mutex::default(),
        }
    }

    /// Says on the live line what happens.
    pub(super) fn doing(&self, text: impl std::fmt::Display) {
        let text = text.to_string();
        let text = harmless(&text);
        self.bar.set_message(format!("{:width$}  {text}", self.name, width = self.width));
    }

    /// The boot has come to a phase.
    pub(super) fn phase(&self, phase: &'static str) {
        self.state().phase = phase;
        self.doing(phase);
    }

    /// Takes bytes of its console, which move no cursor; gives what is to be put out.
    pub(super) fn console(&self, bytes: &[u8]) -> Vec<u8> {
        let mut state = self.state();
        state.partial.extend_from_slice(bytes);
        let whole = match memchr_newline(&state.partial) {
            Some(end) => end,
            None if state.partial.len() > LONG => state.partial.len(),
            None => return Vec::new(),
        };
        let rest = state.partial.split_off(whole);
        let lines = std::mem::replace(&mut state.partial, rest);
        let phase = state.phase;
        drop(state);
        let text = String::from_utf8_lossy(&lines);
        if let Some(last) = text.lines().rfind(|line| !line.trim().is_empty()) {
            let last = anstream::adapter::strip_str(last.trim()).to_string();
            self.doing(format_args!("{phase}: {last}"));
        }
        if self.shows_console { self.named(&text) } else { Vec::new() }
    }

    /// Takes the live line off the screen.
    pub(super) fn end(&self) {
        self.bar.finish_and_clear();
    }

    /// The unfinished line, at the end of the console.
    pub(super) fn last_line(&self) -> Vec<u8> {
        let partial = std::mem::take(&mut self.state().partial);
        match partial.is_empty() || !self.shows_console {
            true => Vec::new(),
            false => self.named(&String::from_utf8_lossy(&partial)),
        }
    }

    /// Each line with the name in front, its colours ending with it.
    fn named(&self, text: &str) -> Vec<u8> {
        let (name, width, reset) = (&self.name, self.width, anstyle::Reset);
        let of_name: Style = style::TRANSIENT;
        let line = |line: &str| {
            let line = line.replace('\u{8}', "");
            format!("{of_name}{name:width$}{of_name:#} | {line}{reset}\n")
        };
        text.lines().flat_map(written_over).map(line).collect::<String>().into_bytes()
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.end();
    }
}

/// What a terminal would show one after the other in a line, carriage returns between.
fn written_over(line: &str) -> Vec<&str> {
    let mut all: Vec<&str> = line.split('\r').filter(|text| !text.is_empty()).collect();
    if all.is_empty() {
        all.push("");
    }
    all
}

/// Where the last whole line ends.
fn memchr_newline(bytes: &[u8]) -> Option<usize> {
    bytes.iter().rposition(|byte| *byte == b'\n').map(|at| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(bytes: &[u8]) -> String {
        anstream::adapter::strip_bytes(bytes).into_vec().into_iter().map(char::from).collect()
    }

    #[test]
    fn lines_are_put_out_whole_and_with_the_name() {
        let machine = Machine::new("tap", 5, true, &Progress::hidden());
        assert_eq!(machine.console(b"TAP TE"), b"");
        assert_eq!(plain(&machine.console(b"ST START\r\nok")), "tap   | TAP TEST START\n");
        assert_eq!(plain(&machine.last_line()), "tap   | ok\n");
        assert_eq!(machine.last_line(), b"");
    }

    #[test]
    fn nothing_stands_on_a_line_without_the_name() {
        let machine = Machine::new("a", 1, true, &Progress::hidden());
        let shown = machine.console(b"10%\r20%\x08\x08\r\n\r\n");
        assert_eq!(plain(&shown), "a | 10%\na | 20%\na | \n");
    }

    #[test]
    fn a_console_without_lines_is_put_out_in_parts() {
        let machine = Machine::new("a", 1, true, &Progress::hidden());
        let all: usize = (0..100).map(|_| machine.console(&[b'x'; 100]).len()).sum();
        assert!(all >= 2 * LONG, "{all}");
    }

    #[test]
    fn a_console_that_is_not_shown_is_only_on_the_live_line() {
        let machine = Machine::new("tap", 3, false, &Progress::hidden());
        machine.phase("kernel");
        assert_eq!(machine.console(b"one\n\x1b[31mtwo\x1b[m\n\n"), b"");
        assert_eq!(machine.bar.message(), "tap  kernel: two");
    }
}
