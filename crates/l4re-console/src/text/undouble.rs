//! Undoubles what L4Re's bootstrapper prints on x86 under UEFI.
//!
//! Until it leaves boot services it prints each character to the firmware's console, which
//! mirrors to the serial port, and to the UART itself: `LL44  BBoooottssttrraappppeerr`.

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
}
