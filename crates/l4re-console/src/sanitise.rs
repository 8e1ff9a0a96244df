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
            if self.state == State::Text {
                rest = self.text_run(rest, safe);
            } else if self.state == State::String {
                let Some(at) = memchr::memchr3(ESC, 0x07, b'\n', rest) else { return };
                self.step(rest[at], safe);
                rest = &rest[at + 1..];
            } else {
                self.step(byte, safe);
                rest = next;
            }
        }
    }

    /// Takes bytes as long as they are text; at least one. Gives what follows.
    fn text_run<'a>(&mut self, bytes: &'a [u8], safe: &mut Vec<u8>) -> &'a [u8] {
        let mut rest = bytes;
        while !rest.is_empty() && self.state == State::Text {
            let plain = plain_blocks(rest);
            safe.extend_from_slice(&rest[..plain]);
            rest = single_bytes(&rest[plain..], safe);
            let Some((&byte, next)) = rest.split_first() else { break };
            match SHOWN[usize::from(byte)].0 {
                SPECIAL if byte == ESC => {
                    self.begin_escape();
                    rest = next;
                }
                SPECIAL => rest = self.sequence(rest, safe),
                _ => {}
            }
        }
        rest
    }

    /// Takes a UTF-8 sequence, or what there is of one. Gives what follows.
    fn sequence<'a>(&mut self, bytes: &'a [u8], safe: &mut Vec<u8>) -> &'a [u8] {
        let length = sequence_length(bytes[0]);
        let there = bytes.len().min(length);
        let followers = bytes[1..there].iter().take_while(|byte| is_follower(**byte)).count();
        let (sequence, rest) = bytes.split_at(1 + followers);
        if sequence.len() == length {
            show_sequence(sequence, safe);
        } else if rest.is_empty() {
            self.held.clear();
            self.held.extend_from_slice(sequence);
            self.state = State::Utf8;
        } else {
            show_bytes(sequence, safe);
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
                self.text_run(&[byte], safe);
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
    match std::str::from_utf8(sequence) {
        Ok(text) if !text.chars().any(char::is_control) => safe.extend_from_slice(sequence),
        _ => show_bytes(sequence, safe),
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

/// Marks bytes in [`SHOWN`] that are not shown by themselves.
const SPECIAL: u8 = u8::MAX;

/// How many bytes of what each byte is shown as, by itself: nothing, itself, a control's
/// picture (U+2400 and following), or its number.
static SHOWN: [(u8, [u8; 4]); 256] = {
    let mut all = [(SPECIAL, [0; 4]); 256];
    let mut byte = 0;
    while byte < 256 {
        let code = byte as u8;
        all[byte] = match code {
            0 => (0, [0; 4]),
            ESC | 0xc2..=0xf4 => (SPECIAL, [0; 4]),
            b'\n' | b'\r' | b'\t' | 0x08 | 0x20..=0x7e => (1, [code, 0, 0, 0]),
            0x01..=0x1f => (3, [0xe2, 0x90, 0x80 + code, 0]),
            0x7f => (3, [0xe2, 0x90, 0xa1, 0]),
            _ => (4, escaped(code)),
        };
        byte += 1;
    }
    all
};

/// Shows bytes by themselves, up to a special one or some that may pass at once.
fn single_bytes<'a>(bytes: &'a [u8], safe: &mut Vec<u8>) -> &'a [u8] {
    let mut shown = [0; 4 * BLOCK + 4];
    let mut length = 0;
    let mut taken = 0;
    for &byte in bytes.iter().take(BLOCK) {
        let (count, text) = SHOWN[usize::from(byte)];
        if count == SPECIAL {
            break;
        }
        // Four bytes at once are cheaper than a branch; the next ones overwrite the rest.
        shown[length..length + 4].copy_from_slice(&text);
        length += usize::from(count);
        taken += 1;
    }
    safe.extend_from_slice(&shown[..length]);
    &bytes[taken..]
}

const BLOCK: usize = 32;

/// How many bytes at the start, in whole blocks, pass by themselves.
fn plain_blocks(bytes: &[u8]) -> usize {
    // Without short circuits, so that whole blocks are compared at once.
    let plain = |byte: u8| {
        (byte.wrapping_sub(0x20) < 0x5f) | (byte == b'\n') | (byte == b'\r') | (byte == b'\t')
    };
    let (blocks, _) = bytes.as_chunks::<BLOCK>();
    let all = |block: &&[u8; BLOCK]| block.iter().fold(true, |all, &byte| all & plain(byte));
    blocks.iter().take_while(all).count() * BLOCK
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
