//! Takes from console bytes what could harm a terminal.
//!
//! Passes: text, valid UTF-8, tab, newline, carriage return, backspace, colours (SGR), cursor
//! movement, erasing, saving and restoring the cursor, showing and hiding it. Everything else
//! is dropped or made visible: titles, clipboard and other strings (OSC, DCS, SOS, PM, APC),
//! queries (DA, DSR, DECRQSS, ENQ), modes, character sets, resets, repeats, C1 controls in
//! both forms. Other controls become their pictures (`␅`), other bytes `\xNN`.
//!
//! Invariants: the result does not depend on how the bytes are cut; a newline ends every
//! sequence, so that noise hides at most the rest of its line; a sequence is held back until
//! it is known to be harmless, in at most 64 bytes. Grammar: ECMA-48.

use crate::text::blocks_of;

const ESC: u8 = 0x1b;
const MAX_SEQUENCE: usize = 64;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Text,
    /// `held` is ESC and intermediate bytes.
    Escape,
    /// `held` is ESC `[` and parameters.
    Csi,
    /// A CSI that is too long or malformed: dropped to its end.
    BadCsi,
    /// In OSC, DCS, SOS, PM or APC: dropped.
    String,
    /// ESC within such a string.
    StringEscape,
    /// `held` is the start of a UTF-8 sequence.
    Utf8,
}

/// The streaming filter.
#[derive(Clone, Debug, Default)]
pub struct Sanitiser {
    state: State,
    held: Vec<u8>,
}

impl Sanitiser {
    /// Appends what of `raw` may reach a terminal to `safe`.
    pub fn push(&mut self, raw: &[u8], safe: &mut Vec<u8>) {
        safe.reserve(raw.len());
        let mut rest = raw;
        while let Some((&byte, next)) = rest.split_first() {
            rest = match self.state {
                State::Text => self.text(rest, safe),
                State::String => {
                    let Some(at) = memchr::memchr3(ESC, 0x07, b'\n', rest) else { return };
                    self.step(rest[at], safe);
                    &rest[at + 1..]
                }
                _ => {
                    self.step(byte, safe);
                    next
                }
            };
        }
    }

    /// Takes text and whole sequences up to one that is cut or odd. Gives what follows.
    fn text<'a>(&mut self, bytes: &'a [u8], safe: &mut Vec<u8>) -> &'a [u8] {
        let mut shown = [0; 4 * PIECE + MAX_SEQUENCE];
        let mut rest = bytes;
        while let Some(&first) = rest.first() {
            if first == 0 {
                // Runs of NULs are common on lines that are down.
                rest = &rest[blocks_of(rest, |byte| byte == 0)..];
            } else {
                let plain = blocks_of(rest, |byte| {
                    (byte.wrapping_sub(0x20) < 0x5f)
                        | (byte == b'\n')
                        | (byte == b'\r')
                        | (byte == b'\t')
                });
                safe.extend_from_slice(&rest[..plain]);
                rest = &rest[plain..];
            }
            let (taken, length) = show_piece(rest, &mut shown);
            safe.extend_from_slice(&shown[..length]);
            rest = &rest[taken..];
            if taken == 0
                && let Some((&byte, next)) = rest.split_first()
            {
                if byte == ESC {
                    self.begin_escape();
                } else {
                    // A UTF-8 sequence that these bytes do not hold to its end.
                    self.held.clear();
                    self.held.push(byte);
                    self.state = State::Utf8;
                }
                return next;
            }
        }
        rest
    }

    /// Shows an unfinished UTF-8 sequence and forgets an unfinished escape sequence: the
    /// stream is at its end.
    pub fn finish(&mut self, safe: &mut Vec<u8>) {
        if self.state == State::Utf8 {
            show_bytes(&self.held, safe);
        }
        self.held.clear();
        self.state = State::Text;
    }

    fn step(&mut self, byte: u8, safe: &mut Vec<u8>) {
        match self.state {
            State::Text => {
                self.text(&[byte], safe);
            }
            State::Utf8 => self.utf8(byte, safe),
            _ if byte == b'\n' => {
                self.held.clear();
                self.state = State::Text;
                safe.push(byte);
            }
            State::String => match byte {
                ESC => self.state = State::StringEscape,
                0x07 => self.state = State::Text,
                _ => {}
            },
            _ if byte == ESC => self.begin_escape(),
            State::Escape | State::StringEscape => self.escape(byte, safe),
            State::Csi => self.csi(byte, safe),
            State::BadCsi => {
                if (0x40..=0x7e).contains(&byte) {
                    self.state = State::Text;
                }
            }
        }
    }

    fn begin_escape(&mut self) {
        self.held.clear();
        self.held.push(ESC);
        self.state = State::Escape;
    }

    /// The byte after the start of a UTF-8 sequence.
    fn utf8(&mut self, byte: u8, safe: &mut Vec<u8>) {
        if is_follower(byte) {
            self.held.push(byte);
            if self.held.len() == sequence_length(self.held[0]) {
                show_sequence(&self.held, safe);
                self.held.clear();
                self.state = State::Text;
            }
            return;
        }
        show_bytes(&self.held, safe);
        self.held.clear();
        self.state = State::Text;
        self.step(byte, safe);
    }

    /// The byte after ESC, at the start or within a string.
    fn escape(&mut self, byte: u8, safe: &mut Vec<u8>) {
        let plain = self.state == State::Escape && self.held.len() == 1;
        self.state = match byte {
            b'[' => {
                self.held.clear();
                self.held.extend([ESC, b'[']);
                State::Csi
            }
            b']' | b'P' | b'X' | b'^' | b'_' => State::String,
            0x20..=0x2f => {
                self.held.truncate(1);
                self.held.push(byte);
                State::Escape
            }
            b'7' | b'8' if plain => {
                safe.extend([ESC, byte]);
                State::Text
            }
            0x00..0x20 => State::Escape,
            _ => State::Text,
        };
    }

    fn csi(&mut self, byte: u8, safe: &mut Vec<u8>) {
        self.held.push(byte);
        match byte {
            0x20..=0x3f if self.held.len() < MAX_SEQUENCE => {}
            0x40..=0x7e => {
                if harmless(&self.held[2..]) {
                    safe.extend_from_slice(&self.held);
                }
                self.held.clear();
                self.state = State::Text;
            }
            _ => {
                self.held.clear();
                self.state = State::BadCsi;
            }
        }
    }
}

/// Whether the CSI sequence with these parameters and final byte may pass.
fn harmless(sequence: &[u8]) -> bool {
    let Some((last, parameters)) = sequence.split_last() else { return false };
    let only = |allowed: fn(&u8) -> bool| parameters.iter().all(allowed);
    match last {
        b'm' => only(|byte| byte.is_ascii_digit() || matches!(byte, b';' | b':')),
        b'A'..=b'H' | b'J' | b'K' | b'd' | b'f' => {
            only(|byte| byte.is_ascii_digit() || *byte == b';')
        }
        b's' | b'u' => parameters.is_empty(),
        b'h' | b'l' => parameters == b"?25",
        _ => false,
    }
}

/// How long the UTF-8 sequence is that this byte begins.
fn sequence_length(first: u8) -> usize {
    match first {
        ..=0xdf => 2,
        0xe0..=0xef => 3,
        _ => 4,
    }
}

fn is_follower(byte: u8) -> bool {
    (0x80..0xc0).contains(&byte)
}

/// A whole sequence; surrogates, overlong forms and C1 controls are not text.
fn show_sequence(sequence: &[u8], safe: &mut Vec<u8>) {
    if is_shown(sequence) {
        safe.extend_from_slice(sequence);
    } else {
        show_bytes(sequence, safe);
    }
}

/// Whether a sequence of as many bytes as its first one wants is a character that is shown.
fn is_shown(sequence: &[u8]) -> bool {
    match (sequence[0], sequence[1]) {
        // Surrogates, overlong forms, and what is beyond Unicode.
        (0xe0, ..0xa0) | (0xed, 0xa0..) | (0xf0, ..0x90) | (0xf4, 0x90..) => false,
        // C1 controls.
        (0xc2, ..0xa0) => false,
        _ => true,
    }
}

fn show_bytes(bytes: &[u8], safe: &mut Vec<u8>) {
    for &byte in bytes {
        safe.extend_from_slice(&escaped(byte));
    }
}

const fn escaped(byte: u8) -> [u8; 4] {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    [b'\\', b'x', HEX[(byte >> 4) as usize], HEX[(byte & 15) as usize]]
}

/// In [`SHOWN`]: the byte may begin a UTF-8 sequence.
const LEAD: u64 = 1 << 40;
/// In [`SHOWN`]: the byte is ESC.
const ESCAPE: u64 = 1 << 41;

/// What each byte is shown as by itself, and as how many bytes: as nothing, as itself, as a
/// control's picture (U+2400 and following), or as its number. Bytes in the low half, their
/// count above them, then what else there is to know: one load for all of it.
static SHOWN: [u64; 256] = {
    let mut all = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let code = byte as u8;
        let (count, text, more) = match code {
            0 => (0, [0; 4], 0),
            ESC => (0, [0; 4], ESCAPE),
            0xc2..=0xf4 => (4, escaped(code), LEAD),
            b'\n' | b'\r' | b'\t' | 0x08 | 0x20..=0x7e => (1, [code, 0, 0, 0], 0),
            0x01..=0x1f => (3, [0xe2, 0x90, 0x80 + code, 0], 0),
            0x7f => (3, [0xe2, 0x90, 0xa1, 0], 0),
            _ => (4, escaped(code), 0),
        };
        all[byte] = u32::from_le_bytes(text) as u64 | count << 32 | more;
        byte += 1;
    }
    all
};

/// Bytes that are shown in one go; each as four at most.
const PIECE: usize = 128;

/// Shows bytes and whole sequences, up to one that is cut or odd. Says how many it took, and
/// how many `shown` begins with.
fn show_piece(bytes: &[u8], shown: &mut [u8; 4 * PIECE + MAX_SEQUENCE]) -> (usize, usize) {
    let (mut length, mut at) = (0, 0);
    while at < bytes.len().min(PIECE) {
        let entry = SHOWN[usize::from(bytes[at])];
        let next = bytes.get(at + 1).copied().unwrap_or(0x80);
        // Noise is full of bytes that might begin a sequence, and seldom do.
        let follows = if is_follower(next) { LEAD } else { 0 };
        if entry & (ESCAPE | follows) == 0 {
            // Four bytes at once are cheaper than a branch; the next ones overwrite the rest.
            #[expect(clippy::cast_possible_truncation, reason = "the text is the low half")]
            shown[length..length + 4].copy_from_slice(&(entry as u32).to_le_bytes());
            length += usize::from((entry >> 32) as u8);
            at += 1;
            continue;
        }
        let rest = &bytes[at..];
        let is_utf8 = entry & LEAD != 0;
        let sequence = if is_utf8 { utf8(rest) } else { escape_sequence(rest) };
        let Some((taken, passes)) = sequence else { break };
        if passes {
            shown[length..length + taken].copy_from_slice(&rest[..taken]);
            length += taken;
        } else if is_utf8 {
            for &byte in &rest[..taken] {
                shown[length..length + 4].copy_from_slice(&escaped(byte));
                length += 4;
            }
        }
        at += taken;
    }
    (at, length)
}

/// The length of the UTF-8 sequence at the start, and whether it may pass; `None` if it is cut.
fn utf8(bytes: &[u8]) -> Option<(usize, bool)> {
    let wanted = sequence_length(bytes[0]);
    let there = &bytes[..bytes.len().min(wanted)];
    let taken = 1 + there[1..].iter().take_while(|byte| is_follower(**byte)).count();
    if taken == wanted {
        return Some((taken, is_shown(there)));
    }
    (taken < there.len()).then_some((taken, false))
}

/// The length of the escape sequence at the start, and whether it may pass; `None` for one
/// that is cut or odd, which goes step by step.
fn escape_sequence(bytes: &[u8]) -> Option<(usize, bool)> {
    let inner = bytes.get(2..)?;
    match bytes[1] {
        b'[' => {
            let inner = &inner[..inner.len().min(MAX_SEQUENCE - 2)];
            let end = inner.iter().position(|byte| !(0x20..=0x3f).contains(byte))?;
            let whole = (0x40..=0x7e).contains(&inner[end]);
            whole.then(|| (2 + end + 1, harmless(&inner[..=end])))
        }
        b']' | b'P' | b'X' | b'^' | b'_' => {
            let end = memchr::memchr3(ESC, 0x07, b'\n', inner)?;
            match &inner[end..] {
                [0x07, ..] => Some((2 + end + 1, false)),
                [ESC, b'\\', ..] => Some((2 + end + 2, false)),
                // A newline is text again.
                [b'\n', ..] => Some((2 + end, false)),
                _ => None,
            }
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn safe(raw: &[u8]) -> String {
        let mut out = Vec::new();
        let mut sanitiser = Sanitiser::default();
        sanitiser.push(raw, &mut out);
        sanitiser.finish(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn text_colours_and_movement_pass() {
        for text in [
            "Hello World!\r\n\t",
            "\x1b[1;32mWelcome\x1b[0m",
            "\x1b[38;5;196mx\x1b[38:2::1:2:3mx",
            "\x1b[2J\x1b[01;01H\x1b[10A\x1b[K",
            "\x1b7\x1b8\x1b[s\x1b[u\x1b[?25l\x1b[?25h",
            "naïve — 日本 🦀",
            "10%\u{8}\u{8}\u{8}",
        ] {
            assert_eq!(safe(text.as_bytes()), text);
        }
    }

    #[test]
    fn titles_clipboard_queries_and_modes_do_not() {
        for bad in [
            "\x1b]0;title\x07",
            "\x1b]52;c;aGk=\x1b\\",
            "\x1bP$q\"p\x1b\\",
            "\x1b_apc\x1b\\",
            "\x1b^pm\x1b\\",
            "\x1bXsos\x1b\\",
            "\x1b[c",
            "\x1b[>c",
            "\x1b[6n",
            "\x1b[21t",
            "\x1b[?1049h",
            "\x1b[?1000h",
            "\x1b[=3h",
            "\x1b[4h",
            "\x1b[99999b",
            "\x1b[!p",
            "\x1bc",
            "\x1bZ",
            "\x1b(0",
            "\x1b#8",
            "\x1b[1;2r",
            "\x1b[0 q",
            "\0",
        ] {
            assert_eq!(safe(format!("a{bad}b").as_bytes()), "ab", "{bad:?}");
        }
    }

    #[test]
    fn controls_and_bytes_that_are_not_text_become_visible() {
        assert_eq!(safe(b"\x05\x07\x0e\x7f"), "␅␇␎␡");
        assert_eq!(safe(b"\x9b6n\xff"), r"\x9b6n\xff");
        assert_eq!(safe("\u{9b}6n".as_bytes()), r"\xc2\x9b6n");
        assert_eq!(safe(b"\xe6\x97x\xc3"), r"\xe6\x97x\xc3");
        assert_eq!(safe(b"\xed\xa0\x80"), r"\xed\xa0\x80");
        assert_eq!(safe(b"\xc3\x1b[c\xc3\n"), "\\xc3\\xc3\n");
    }

    #[test]
    fn what_never_ends_hides_one_line_at_most() {
        assert_eq!(safe(b"a\x1b]0;never\nb\x1b[1;\nc"), "a\nb\nc");
        let mut long = b"\x1b[".to_vec();
        long.extend([b'1'; 1000]);
        long.extend(b"mx");
        assert_eq!(safe(&long), "x");
    }

    /// An independent reading of what may come out.
    fn check(out: &str) -> Result<(), String> {
        let allowed = regex::Regex::new(
            r"^(?s:[\n\r\t\x08]|[^\x00-\x1f\x7f-\x{9f}]|\x1b(?:[78]|\[(?:[0-9;:]*m|[0-9;]*[A-HJKdf]|[su]|\?25[hl])))*$",
        );
        if allowed.unwrap().is_match(out) { Ok(()) } else { Err(format!("{out:?}")) }
    }

    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        let nasty = prop::sample::select(vec![
            b"\x1b[".to_vec(),
            b"\x1b]0;".to_vec(),
            b"\x1bP".to_vec(),
            b"\x1b".to_vec(),
            b"\x1b\\".to_vec(),
            b"\x07".to_vec(),
            b"\xc2".to_vec(),
            b"\x9b".to_vec(),
            b"6n".to_vec(),
            b"c".to_vec(),
            b"31m".to_vec(),
            b"\n".to_vec(),
            b"?25h".to_vec(),
            b"\x1b[c".to_vec(),
            b"\x1b(0".to_vec(),
            "é".as_bytes().to_vec(),
            b" ".to_vec(),
        ]);
        let part = prop_oneof![3 => nasty, 1 => proptest::collection::vec(any::<u8>(), 1..4)];
        proptest::collection::vec(part, 0..30).prop_map(|parts| parts.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn nothing_forbidden_comes_out(raw in bytes()) {
            if let Err(out) = check(&safe(&raw)) {
                return Err(TestCaseError::fail(out));
            }
        }

        #[test]
        fn cuts_do_not_matter(raw in bytes(), step in 1usize..5) {
            let mut out = Vec::new();
            let mut sanitiser = Sanitiser::default();
            for chunk in raw.chunks(step) {
                sanitiser.push(chunk, &mut out);
            }
            sanitiser.finish(&mut out);
            prop_assert_eq!(String::from_utf8(out).unwrap(), safe(&raw));
        }

        #[test]
        fn text_passes_unchanged(text in "[ -~\n]{0,200}") {
            prop_assert_eq!(safe(text.as_bytes()), text);
        }
    }
}
