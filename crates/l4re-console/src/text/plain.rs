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
        out.reserve(raw.len());
        let mut rest = raw;
        while !rest.is_empty() {
            rest = match self.state {
                State::Text => self.text(rest, out),
                // The inner parts of strings may be long, and are skipped at once.
                State::String => match memchr::memchr3(ESC, 0x07, b'\n', rest) {
                    Some(at) => self.some(&rest[at..], out),
                    None => return,
                },
                // Within a sequence NULs have no effect.
                State::Escape | State::Csi if rest[0] == 0 => {
                    self.some(&rest[blocks_of(rest, |byte| byte == 0)..], out)
                }
                _ => self.some(rest, out),
            };
        }
    }

    /// Copies text up to a sequence that is cut or odd. Gives what follows.
    fn text<'a>(&mut self, bytes: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
        let mut rest = bytes;
        while let Some(&first) = rest.first() {
            rest = match first {
                ESC => match sequence(rest) {
                    Some(taken) => &rest[taken..],
                    None => {
                        self.state = State::Escape;
                        return &rest[1..];
                    }
                },
                b'\r' => &rest[1..],
                // Runs of NULs are common on lines that are down.
                0 => &rest[blocks_of(rest, |byte| byte == 0).max(1)..],
                _ => {
                    let text = find3([ESC, b'\r', 0], rest).unwrap_or(rest.len());
                    out.extend_from_slice(&rest[..text]);
                    &rest[text..]
                }
            };
        }
        rest
    }

    /// Takes some bytes one by one by the table. Gives what follows.
    fn some<'a>(&mut self, rest: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
        let (now, later) = rest.split_at(rest.len().min(BLOCK));
        let mut text = [0; BLOCK];
        let (mut length, mut state) = (0, self.state);
        for &byte in now {
            let (next, shown) = STEPS[state as usize][usize::from(byte)];
            // Written in any case, which is cheaper than a branch; the next one overwrites it.
            text[length] = byte;
            length += usize::from(shown);
            state = next;
        }
        out.extend_from_slice(&text[..length]);
        self.state = state;
        later
    }
}

/// Bytes that are looked at together.
const BLOCK: usize = 32;

/// Where one of three bytes comes first. Where sequences are dense it is near, which is found
/// faster without a call.
pub(crate) fn find3([a, b, c]: [u8; 3], bytes: &[u8]) -> Option<usize> {
    let (near, far) = bytes.split_at(bytes.len().min(8));
    let here = near.iter().position(|byte| *byte == a || *byte == b || *byte == c);
    here.or_else(|| memchr::memchr3(a, b, c, far).map(|at| at + near.len()))
}

/// How many bytes at the start, in whole blocks, are all of a kind.
pub(crate) fn blocks_of(bytes: &[u8], kind: impl Fn(u8) -> bool) -> usize {
    let (blocks, _) = bytes.as_chunks::<BLOCK>();
    // Without short circuits, so that whole blocks are compared at once.
    let all = |block: &&[u8; BLOCK]| block.iter().fold(true, |all, &byte| all & kind(byte));
    blocks.iter().take_while(all).count() * BLOCK
}

/// The length of the sequence at the start, if these bytes hold it to its end.
fn sequence(bytes: &[u8]) -> Option<usize> {
    let inner = bytes.get(2..)?;
    match bytes[1] {
        b'[' => {
            let end = inner.iter().position(|byte| matches!(*byte, 0x40..=0x7e | b'\n' | ESC))?;
            // A newline and what ESC begins are no part of it.
            Some(2 + end + usize::from(!matches!(inner[end], b'\n' | ESC)))
        }
        b']' | b'P' | b'X' | b'^' | b'_' => {
            let end = find3([ESC, 0x07, b'\n'], inner)?;
            match &inner[end..] {
                [0x07, ..] => Some(2 + end + 1),
                [ESC, b'\\', ..] => Some(2 + end + 2),
                [b'\n', ..] => Some(2 + end),
                _ => None,
            }
        }
        _ => None,
    }
}

/// By state and byte: the next state, and whether the byte is text.
static STEPS: [[(State, bool); 256]; 5] = {
    let states = [State::Text, State::Escape, State::Csi, State::String, State::StringEscape];
    let mut all = [[(State::Text, false); 256]; 5];
    let mut state = 0;
    while state < 5 {
        let mut byte = 0;
        while byte < 256 {
            all[state][byte] = step(states[state], byte as u8);
            byte += 1;
        }
        state += 1;
    }
    all
};

const fn step(state: State, byte: u8) -> (State, bool) {
    let next = match (state, byte) {
        (_, b'\n') => return (State::Text, true),
        (State::Text, b'\r' | 0) => State::Text,
        (State::Text, 0x01..ESC | 0x1c..) => return (State::Text, true),
        (State::String, ESC) => State::StringEscape,
        (State::String, 0x07) => State::Text,
        (State::String, _) => State::String,
        (_, ESC) => State::Escape,
        // ESC ends a string, with `\` as its second half or with a sequence of its own.
        (State::Escape | State::StringEscape, b'[') => State::Csi,
        (State::Escape | State::StringEscape, b']' | b'P' | b'X' | b'^' | b'_') => State::String,
        (State::Escape | State::StringEscape, 0x00..=0x2f) => State::Escape,
        (State::Csi, 0x00..=0x3f | 0x7f..) => State::Csi,
        _ => State::Text,
    };
    (next, false)
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
    fn floods_of_nuls_change_nothing_wherever_they_come() {
        let flood = "\0".repeat(1000);
        for (start, end) in
            [("a\x1b", "[31mb"), ("a\x1b[3", "1mb"), ("a\x1b]0;", "\x07b"), ("a", "b")]
        {
            let few = plain(format!("{start}\0{end}").as_bytes());
            assert_eq!(plain(format!("{start}{flood}{end}").as_bytes()), few);
        }
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
