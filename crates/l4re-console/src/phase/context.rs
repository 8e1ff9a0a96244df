//! Keeps the lines around a fault.
//!
//! Invariant: memory is bounded by a few dozen lines of at most 1 KiB.

use std::collections::VecDeque;

use crate::text::{Block, split_line, undouble};

/// Lines kept before a fault.
const BEFORE: usize = 10;
/// Lines kept after it.
const AFTER: usize = 20;
/// Bytes shown of a line.
const SHOWN: usize = 512;
/// Bytes that these may be made of: doubled ones.
const LOOKED_AT: usize = 2 * SHOWN;

/// A line as it is shown in reports.
pub(super) fn shown(line: &[u8]) -> String {
    let line = &line[..line.len().min(LOOKED_AT)];
    let undoubled = undouble(line);
    let line = undoubled.as_deref().unwrap_or(line);
    String::from_utf8_lossy(&line[..line.len().min(SHOWN)]).into_owned()
}

#[derive(Debug, Default)]
pub(super) struct Context {
    /// As they came: few of them are ever shown.
    recent: VecDeque<Vec<u8>>,
    around: Vec<String>,
    /// What a system printed before firmware came again.
    last_words: Option<VecDeque<Vec<u8>>>,
    faulted: bool,
    after_left: usize,
    /// The block that is being looked at holds the fault.
    in_this_block: bool,
}

impl Context {
    pub(super) fn around(&self) -> &[String] {
        &self.around
    }

    /// Whether a final fault was noted.
    pub(super) fn is_faulted(&self) -> bool {
        self.faulted
    }

    /// The last lines before one in whose block these stand before it, oldest first.
    pub(super) fn latest(&self, before: &[u8]) -> Vec<String> {
        let mut with = Self { recent: self.recent.clone(), ..Self::default() };
        with.remember(before);
        with.recent.iter().map(|line| shown(line)).collect()
    }

    /// Notes the first final fault: `before` and `after` are what its block holds around it.
    /// What comes after a reset is of the next boot and says nothing.
    pub(super) fn fault(&mut self, before: &[u8], line: &[u8], after: &[u8], reset: bool) {
        if self.faulted {
            return;
        }
        self.faulted = true;
        if self.around.is_empty() {
            self.around = self.latest(before);
        }
        self.around.push(shown(line));
        self.after_left = if reset { 0 } else { AFTER };
        self.append(after);
        self.in_this_block = true;
    }

    /// Firmware or iPXE comes after a system ran: what stands here may be why.
    pub(super) fn last_words(&mut self, before: &[u8]) {
        if self.last_words.is_none() {
            let recent = self.recent.clone();
            self.remember(before);
            self.last_words = Some(std::mem::replace(&mut self.recent, recent));
        }
    }

    /// The second boot is there: shows the first one's last words instead of firmware's.
    pub(super) fn restore_last_words(&mut self) {
        if let Some(words) = self.last_words.take()
            && self.around.is_empty()
        {
            self.around.extend(words.iter().map(|line| shown(line)));
        }
    }

    pub(super) fn forget_last_words(&mut self) {
        self.last_words = None;
    }

    /// A block was looked at.
    pub(super) fn note(&mut self, block: Block<'_>) {
        if !std::mem::take(&mut self.in_this_block) && self.after_left > 0 {
            self.append(&block.text[if block.continued { block.seen } else { 0 }..]);
        }
        self.remember(block.text);
    }

    fn append(&mut self, text: &[u8]) {
        let mut rest = text;
        while self.after_left > 0 && !rest.is_empty() {
            let (line, next) = split_line(rest);
            rest = next;
            if !line.trim_ascii().is_empty() {
                self.around.push(shown(line.trim_ascii_end()));
                self.after_left -= 1;
            }
        }
    }

    /// Takes the last lines of `text` that are not blank.
    fn remember(&mut self, text: &[u8]) {
        let mut found = Vec::new();
        let mut rest = text.trim_ascii_end();
        while !rest.is_empty() && found.len() < BEFORE {
            let start = memchr::memrchr(b'\n', rest).map_or(0, |newline| newline + 1);
            let line = &rest[start..];
            found.push(line[..line.len().min(LOOKED_AT)].to_vec());
            rest = rest[..start].trim_ascii_end();
        }
        self.recent.extend(found.into_iter().rev());
        let excess = self.recent.len().saturating_sub(BEFORE);
        self.recent.drain(..excess);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::BlockEnd;

    fn block(text: &str) -> Block<'_> {
        Block { text: text.as_bytes(), seen: 0, continued: false, end: BlockEnd::Newline }
    }

    #[test]
    fn lines_come_from_before_within_and_after_the_block() {
        let mut context = Context::default();
        context.note(block("one\n\ntwo\n"));
        context.fault(b"three\n", b"Panic", b"four\n", false);
        context.note(block("three\nPanic\nfour\n"));
        context.note(block("five\n\n"));
        assert_eq!(context.around(), ["one", "two", "three", "Panic", "four", "five"]);
    }

    #[test]
    fn lines_before_a_fault_do_not_depend_on_blank_ones_and_earlier_faults() {
        let mut context = Context::default();
        context.fault(b"old\n", b"Panic", b"", false);
        context.note(block(&format!("old\nPanic\n{}new\n", "\n".repeat(100))));
        assert_eq!(context.latest(b"x\n\n"), ["old", "Panic", "new", "x"]);
    }

    #[test]
    fn only_the_nearest_lines_are_kept() {
        let mut context = Context::default();
        for number in 0..100 {
            context.note(block(&format!("{number}\n")));
        }
        context.fault(b"", b"Panic", &b"x\n".repeat(100), false);
        context.fault(b"", b"a second fault", b"", false);
        assert_eq!(context.around().len(), BEFORE + 1 + AFTER);
        assert_eq!(context.around()[0], "90");
    }
}
