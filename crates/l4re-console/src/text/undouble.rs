//! Undoubles what L4Re's bootstrapper prints on x86 under UEFI.
//!
//! Until it leaves boot services it prints each character to the firmware's console, which
//! mirrors to the serial port, and to the UART itself: `LL44  BBoooottssttrraappppeerr`.

use super::lines::{Block, BlockEnd, split_line};

/// The line with each pair of equal bytes made one, if the whole line is such pairs.
///
/// A line of fewer than four bytes could be anything and is not touched.
#[must_use]
pub fn undouble(line: &[u8]) -> Option<Vec<u8>> {
    is_doubled(line).then(|| halves(line).collect())
}

fn is_doubled(line: &[u8]) -> bool {
    let (pairs, odd) = line.as_chunks::<2>();
    // Most lines are told by their first pair.
    pairs.len() >= 2 && odd.is_empty() && is_pair(&pairs[0]) && pairs.iter().all(is_pair)
}

fn is_pair([a, b]: &[u8; 2]) -> bool {
    a == b
}

fn halves(line: &[u8]) -> impl Iterator<Item = u8> {
    line.as_chunks::<2>().0.iter().map(|[a, _]| *a)
}

/// Held back at most, while a line may still turn out to be doubled.
const MAX_HELD: usize = 1024;

/// Undoubles the lines of a raw stream, with the newlines that are doubled too.
///
/// Holds back the beginning of a line for as long as it consists of pairs; [`Self::flush`]
/// lets it go when the console is quiet.
#[derive(Clone, Debug, Default)]
pub struct Undoubler {
    held: Vec<u8>,
    /// This line is not doubled.
    passing: bool,
    /// The second half of a doubled newline is due.
    newline_due: bool,
}

impl Undoubler {
    /// Shows `raw`, undoubled where it is doubled, in as few pieces as that allows.
    pub fn push(&mut self, raw: &[u8], mut show: impl FnMut(&[u8])) {
        // What is between these is shown as it is.
        let (mut from, mut at) = (0, 0);
        while at < raw.len() {
            let rest = &raw[at..];
            let second_newline = std::mem::take(&mut self.newline_due) && rest[0] == b'\n';
            let unchanged = if second_newline { 0 } else { self.unchanged(rest) };
            if unchanged > 0 {
                at += unchanged;
                continue;
            }
            show(&raw[from..at]);
            at += if second_newline { 1 } else { self.changed(rest, &mut show) };
            from = at;
        }
        show(&raw[from..at]);
    }

    /// How many bytes at the start are known to be shown as they are.
    fn unchanged(&mut self, rest: &[u8]) -> usize {
        if !self.held.is_empty() {
            return 0;
        }
        self.passing |= matches!(rest, [a, b, ..] if a != b && *a != b'\n' && *b != b'\n');
        if self.passing {
            let line = memchr::memchr(b'\n', rest).map_or(rest.len(), |newline| newline + 1);
            self.passing = rest[line - 1] != b'\n';
            return line;
        }
        let blank = rest.iter().take_while(|byte| **byte == b'\n').count();
        match memchr::memchr(b'\n', &rest[..rest.len().min(MAX_HELD)]) {
            Some(newline) if blank == 0 && !is_doubled(&rest[..newline]) => newline + 1,
            _ => blank,
        }
    }

    /// Takes a doubled line, or a byte of one that may be. Says how many bytes these are.
    fn changed(&mut self, rest: &[u8], show: &mut impl FnMut(&[u8])) -> usize {
        if self.held.is_empty()
            && let Some(newline) = memchr::memchr(b'\n', &rest[..rest.len().min(MAX_HELD)])
        {
            self.line(&rest[..newline], show);
            return newline + 1;
        }
        self.hold(rest[0], show);
        1
    }

    /// Takes a whole line without its newline.
    fn line(&mut self, line: &[u8], show: &mut impl FnMut(&[u8])) {
        self.newline_due = is_doubled(line);
        match self.newline_due {
            true => show(&halves(line).collect::<Vec<u8>>()),
            false => show(line),
        }
        show(b"\n");
    }

    /// Lets go what is held back.
    pub fn flush(&mut self, mut show: impl FnMut(&[u8])) {
        if !self.held.is_empty() {
            show(&self.held);
            self.held.clear();
            self.passing = true;
        }
    }

    fn hold(&mut self, byte: u8, show: &mut impl FnMut(&[u8])) {
        if byte == b'\n' {
            let line = std::mem::take(&mut self.held);
            self.line(&line, show);
            return;
        }
        let pairs = self.held.len().is_multiple_of(2) || self.held.last() == Some(&byte);
        self.held.push(byte);
        if !pairs || self.held.len() > MAX_HELD {
            self.flush(show);
        }
    }
}

/// The bootstrapper's first line, doubled.
const BANNER: &[u8] = b"LL44  BBoooottssttrraappppeerr";

/// Lines behind it that may be doubled, too: it prints some dozens.
const MAX_LINES: usize = 1000;

/// Undoubles the lines of blocks, from the bootstrapper's doubled banner on.
///
/// Elsewhere a line of pairs is taken for what it is, and blocks cost no more than a search.
#[derive(Clone, Debug, Default)]
pub(crate) struct UndoubledLines {
    /// Lines that may still be doubled.
    left: usize,
    /// The second half of a doubled newline is due.
    newline_due: bool,
    text: Vec<u8>,
}

impl UndoubledLines {
    /// The same block without doubled lines. What is no whole line is left as it is.
    pub(crate) fn block<'a>(&'a mut self, block: Block<'a>) -> Block<'a> {
        if block.end != BlockEnd::Newline || block.continued {
            return block;
        }
        let text = block.text;
        let from = match self.left {
            0 => match memchr::memmem::find(text, BANNER) {
                Some(at) => memchr::memrchr(b'\n', &text[..at]).map_or(0, |newline| newline + 1),
                None => return block,
            },
            _ => 0,
        };
        self.text.clear();
        self.text.extend_from_slice(&text[..from]);
        self.left = self.left.max(1);
        let mut rest = &text[from..];
        while self.left > 0 && !rest.is_empty() {
            let (line, next) = split_line(rest);
            self.line(line, rest.len() > line.len());
            rest = next;
        }
        self.text.extend_from_slice(rest);
        Block { text: &self.text, seen: block.seen.min(self.text.len()), ..block }
    }

    fn line(&mut self, line: &[u8], ended: bool) {
        if std::mem::take(&mut self.newline_due) && line.is_empty() {
            return;
        }
        self.left = if line.starts_with(BANNER) { MAX_LINES } else { self.left - 1 };
        self.newline_due = is_doubled(line);
        match self.newline_due {
            true => self.text.extend(halves(line)),
            false => self.text.extend_from_slice(line),
        }
        if ended {
            self.text.push(b'\n');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubled_lines_are_halved() {
        assert_eq!(undouble(b"LL44  BBoooottssttrraappppeerr").unwrap(), b"L4 Bootstrapper");
    }

    #[test]
    fn other_lines_are_left_alone() {
        for line in [&b"L4 Bootstrapper"[..], b"", b"==", b"aab", b"LL44  BBooootx"] {
            assert_eq!(undouble(line), None, "{line:?}");
        }
    }

    #[test]
    fn streams_are_undoubled_line_by_line_however_they_are_cut() {
        let raw = b"EFI: x\r\nLL44  BBoooott\r\r\n\n  RRAAMM\r\r\n\nplain\r\n\r\n==\r\nxx";
        for step in 1..raw.len() {
            let (mut undoubler, mut out) = (Undoubler::default(), Vec::new());
            for chunk in raw.chunks(step) {
                undoubler.push(chunk, |piece| out.extend_from_slice(piece));
            }
            undoubler.flush(|piece| out.extend_from_slice(piece));
            let want = "EFI: x\r\nL4 Boot\r\n  RRAAMM\r\r\n\nplain\r\n\r\n==\r\nxx";
            assert_eq!(String::from_utf8_lossy(&out), want.replace("  RRAAMM\r\r\n\n", " RAM\r\n"));
        }
    }

    #[test]
    fn lines_are_undoubled_from_the_banner_on() {
        let mut lines = UndoubledLines::default();
        let mut shown = |text: &str| {
            let block =
                Block { text: text.as_bytes(), seen: 0, continued: false, end: BlockEnd::Newline };
            String::from_utf8_lossy(lines.block(block).text).into_owned()
        };
        assert_eq!(shown("aabb\n\n"), "aabb\n\n");
        let doubled = "EEFF\n\nLL44  BBoooottssttrraappppeerr\n\n  CCPPUU\n";
        assert_eq!(shown(doubled), "EEFF\n\nL4 Bootstrapper\n CPU\n");
        assert_eq!(shown("\naabb\n\n\nabc\naabb"), "ab\n\nabc\nab");
        assert_eq!(shown(&"x\n".repeat(MAX_LINES)).len(), 2 * MAX_LINES);
        assert_eq!(shown("aabb\n"), "aabb\n");
    }
}
