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
    /// Appends `raw`, undoubled where it is doubled, to `out`.
    pub fn push(&mut self, raw: &[u8], out: &mut Vec<u8>) {
        let mut rest = raw;
        while let Some((&byte, next)) = rest.split_first() {
            if std::mem::take(&mut self.newline_due) && byte == b'\n' {
                rest = next;
            } else if self.passing {
                let line = memchr::memchr(b'\n', rest).map_or(rest.len(), |newline| newline + 1);
                self.passing = rest[line - 1] != b'\n';
                out.extend_from_slice(&rest[..line]);
                rest = &rest[line..];
            } else if self.held.is_empty() {
                rest = self.line_start(rest, out);
            } else {
                self.hold(byte, out);
                rest = next;
            }
        }
    }

    /// Takes the beginning of a line, or all of it. Gives what follows.
    fn line_start<'a>(&mut self, rest: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
        match rest {
            [b'\n', ..] => {
                let blank = rest.iter().take_while(|byte| **byte == b'\n').count();
                out.extend_from_slice(&rest[..blank]);
                return &rest[blank..];
            }
            [a, b, ..] if a != b && *b != b'\n' => {
                self.passing = true;
                return rest;
            }
            _ => {}
        }
        let window = &rest[..rest.len().min(MAX_HELD)];
        match memchr::memchr(b'\n', window) {
            Some(newline) => {
                self.line(&window[..newline], out);
                &rest[newline + 1..]
            }
            None => {
                self.hold(rest[0], out);
                &rest[1..]
            }
        }
    }

    /// Takes a whole line without its newline.
    fn line(&mut self, line: &[u8], out: &mut Vec<u8>) {
        if is_doubled(line) {
            out.extend(halves(line));
            self.newline_due = true;
        } else {
            out.extend_from_slice(line);
        }
        out.push(b'\n');
    }

    /// Lets go what is held back.
    pub fn flush(&mut self, out: &mut Vec<u8>) {
        if !self.held.is_empty() {
            out.append(&mut self.held);
            self.passing = true;
        }
    }

    fn hold(&mut self, byte: u8, out: &mut Vec<u8>) {
        if byte == b'\n' {
            let line = std::mem::take(&mut self.held);
            self.line(&line, out);
            return;
        }
        let pairs = self.held.len().is_multiple_of(2) || self.held.last() == Some(&byte);
        self.held.push(byte);
        if !pairs || self.held.len() > MAX_HELD {
            self.flush(out);
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
                undoubler.push(chunk, &mut out);
            }
            undoubler.flush(&mut out);
            let want = "EFI: x\r\nL4 Boot\r\n  RRAAMM\r\r\n\nplain\r\n\r\n==\r\nxx";
            assert_eq!(String::from_utf8_lossy(&out), want.replace("  RRAAMM\r\r\n\n", " RAM\r\n"));
        }
    }
}
