//! Takes escape sequences, carriage returns and NULs out of console bytes.
//!
//! Invariant: the result does not depend on how the bytes are cut. A newline ends every
//! sequence, so that noise on the line never swallows more than the rest of its line.
//! Grammar: ECMA-48, 7-bit forms; bytes above 0x7f pass, they may be UTF-8.

const ESC: u8 = 0x1b;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Text,
    /// After ESC, and any intermediate bytes.
    Escape,
    /// After ESC `[`.
    Csi,
    /// In OSC, DCS, SOS, PM or APC.
    String,
    /// ESC within such a string.
    StringEscape,
}

/// The streaming filter.
#[derive(Clone, Debug, Default)]
pub struct Plain {
    state: State,
}

impl Plain {
    /// Appends the plain text of `raw` to `out`.
    pub fn push(&mut self, raw: &[u8], out: &mut Vec<u8>) {
        let mut rest = raw;
        while !rest.is_empty() {
            rest = match self.state {
                State::Text => self.text(rest, out),
                // Long inner parts of sequences are skipped at once.
                State::String => self.last_of(rest, memchr::memchr3(ESC, 0x07, b'\n', rest), out),
                State::Csi => {
                    let ends = |byte: &u8| matches!(*byte, 0x40..=0x7e | b'\n' | ESC);
                    self.last_of(rest, rest.iter().position(ends), out)
                }
                State::Escape | State::StringEscape => self.last_of(rest, Some(0), out),
            };
        }
    }

    /// Drops what stands before `at`, takes that byte, and gives what follows it.
    fn last_of<'a>(&mut self, rest: &'a [u8], at: Option<usize>, out: &mut Vec<u8>) -> &'a [u8] {
        let Some(at) = at else { return &[] };
        self.step(rest[at], out);
        &rest[at + 1..]
    }

    /// Copies text up to the next byte that is not; returns what follows it.
    fn text<'a>(&mut self, rest: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
        let Some(at) = memchr::memchr3(ESC, b'\r', 0, rest) else {
            out.extend_from_slice(rest);
            return &[];
        };
        out.extend_from_slice(&rest[..at]);
        // Runs of NULs and carriage returns are common on broken lines.
        let run = rest[at..].iter().take_while(|&&byte| byte == 0 || byte == b'\r').count();
        let rest = &rest[at + run..];
        if run == 0 {
            self.state = State::Escape;
            return &rest[1..];
        }
        rest
    }

    fn step(&mut self, byte: u8, out: &mut Vec<u8>) {
        if byte == b'\n' {
            out.push(byte);
            self.state = State::Text;
            return;
        }
        self.state = match (self.state, byte) {
            (State::String, ESC) => State::StringEscape,
            (State::String, 0x07) => State::Text,
            (State::String, _) => State::String,
            (_, ESC) => State::Escape,
            // ESC ends a string, with `\` as its second half or with a sequence of its own.
            (State::Escape | State::StringEscape, b'[') => State::Csi,
            (State::Escape | State::StringEscape, b']' | b'P' | b'X' | b'^' | b'_') => {
                State::String
            }
            (State::Escape | State::StringEscape, 0x00..=0x2f) => State::Escape,
            (State::Csi, 0x00..=0x3f | 0x7f..) => State::Csi,
            _ => State::Text,
        };
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn plain(raw: &[u8]) -> String {
        let mut out = Vec::new();
        Plain::default().push(raw, &mut out);
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn colours_cursor_and_returns_go() {
        assert_eq!(plain(b"\x1b[1mPanic: \x1b[mx\r\r\n"), "Panic: x\n");
        assert_eq!(plain(b"\x1b[2J\x1b[01;01H\x1b[=3h\x1b(Bok"), "ok");
        assert_eq!(plain(b"a\0\0\r\0b"), "ab");
    }

    #[test]
    fn strings_end_at_bel_st_or_newline() {
        assert_eq!(plain(b"a\x1b]0;title\x07b\x1b]52;c;x\x1b\\c"), "abc");
        assert_eq!(plain(b"a\x1bPnever ended\nb"), "a\nb");
    }

    #[test]
    fn an_escape_within_a_sequence_starts_anew() {
        assert_eq!(plain(b"\x1b[3\x1b[31mred"), "red");
        assert_eq!(plain(b"\x1b]0;t\x1b[31mred"), "red");
    }

    proptest! {
        #[test]
        fn cuts_do_not_matter(
            raw in proptest::collection::vec(
                prop::sample::select(b"\x1b\x1b[]P\\m;1\x07\r\n\0ab\xff".to_vec()), 0..60),
            cut in 0usize..60,
        ) {
            let cut = cut.min(raw.len());
            let mut whole = Vec::new();
            Plain::default().push(&raw, &mut whole);
            let mut parts = Vec::new();
            let mut filter = Plain::default();
            filter.push(&raw[..cut], &mut parts);
            filter.push(&raw[cut..], &mut parts);
            prop_assert_eq!(whole, parts);
        }

        #[test]
        fn no_escape_or_return_is_left(raw in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut out = Vec::new();
            Plain::default().push(&raw, &mut out);
            prop_assert!(!out.iter().any(|byte| matches!(byte, 0x1b | b'\r' | 0)));
        }
    }
}
