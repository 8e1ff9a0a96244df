//! What single bytes and whole sequences are shown as, without a state between calls.

pub(super) const ESC: u8 = 0x1b;
/// The longest control sequence that is let through.
pub(super) const MAX_SEQUENCE: usize = 64;

/// Control sequences that pass the filter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sequences {
    /// Colours (SGR), cursor movement, erasing, saving and restoring the cursor, showing and
    /// hiding it: for a terminal that is the console's own.
    #[default]
    Harmless,
    /// Colours: for lines that stand beside others, from which nothing may move the cursor.
    Colours,
    /// None: for readers that are no terminal.
    None,
}

/// Whether the CSI sequence with these parameters and final byte may pass.
pub(super) fn passes(sequence: &[u8], sequences: Sequences) -> bool {
    let Some((last, parameters)) = sequence.split_last() else { return false };
    match sequences {
        Sequences::None => return false,
        Sequences::Colours if *last != b'm' => return false,
        Sequences::Colours | Sequences::Harmless => {}
    }
    let only = |allowed: fn(&u8) -> bool| parameters.iter().all(allowed);
    match last {
        b'm' => only(|byte| byte.is_ascii_digit() || matches!(byte, b';' | b':')),
        // What a terminal keeps to be scrolled back to is not the machine's to erase (3).
        b'J' => matches!(parameters, b"" | b"0" | b"1" | b"2"),
        b'A'..=b'H' | b'K' | b'd' | b'f' => only(|byte| byte.is_ascii_digit() || *byte == b';'),
        b's' | b'u' => parameters.is_empty(),
        b'h' | b'l' => parameters == b"?25",
        _ => false,
    }
}

/// How long the UTF-8 sequence is that this byte begins.
pub(super) fn sequence_length(first: u8) -> usize {
    match first {
        ..=0xdf => 2,
        0xe0..=0xef => 3,
        _ => 4,
    }
}

pub(super) fn is_follower(byte: u8) -> bool {
    (0x80..0xc0).contains(&byte)
}

/// A whole sequence; surrogates, overlong forms and C1 controls are not text.
pub(super) fn show_sequence(sequence: &[u8], safe: &mut Vec<u8>) {
    if is_shown(sequence) {
        safe.extend_from_slice(sequence);
    } else {
        show_bytes(sequence, safe);
    }
}

/// Whether a sequence of as many bytes as its first one wants is a character that is shown.
pub(super) fn is_shown(sequence: &[u8]) -> bool {
    match (sequence[0], sequence[1]) {
        // Surrogates, overlong forms, and what is beyond Unicode.
        (0xe0, ..0xa0) | (0xed, 0xa0..) | (0xf0, ..0x90) | (0xf4, 0x90..) => false,
        // C1 controls.
        (0xc2, ..0xa0) => false,
        _ => true,
    }
}

pub(super) fn show_bytes(bytes: &[u8], safe: &mut Vec<u8>) {
    for &byte in bytes {
        safe.extend_from_slice(&escaped(byte));
    }
}

pub(super) const fn escaped(byte: u8) -> [u8; 4] {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    [b'\\', b'x', HEX[(byte >> 4) as usize], HEX[(byte & 15) as usize]]
}

/// In [`SHOWN`]: the byte may begin a UTF-8 sequence.
pub(super) const LEAD: u64 = 1 << 40;
/// In [`SHOWN`]: the byte is ESC.
pub(super) const ESCAPE: u64 = 1 << 41;

/// In [`SHOWN`], so many bits above [`LEAD`]: the byte may go on with one.
const FOLLOWS: u32 = 2;

/// What each byte is shown as by itself, and as how many bytes: as nothing, as itself, as a
/// control's picture (U+2400 and following), or as its number. Bytes in the low half, their
/// count above them, then what else there is to know: one load for all of it.
pub(super) static SHOWN: [u64; 256] = {
    let mut all = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let code = byte as u8;
        let (count, text, more) = match code {
            0 => (0, [0; 4], 0),
            ESC => (0, [0; 4], ESCAPE),
            0xc2..=0xf4 => (4, escaped(code), LEAD),
            0x80..0xc0 => (4, escaped(code), LEAD << FOLLOWS),
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
pub(super) const PIECE: usize = 128;

/// Shows bytes and whole sequences, up to one that is cut or odd. Says how many it took, and
/// how many `shown` begins with.
pub(super) fn show_piece(
    bytes: &[u8],
    sequences: Sequences,
    shown: &mut [u8; 4 * PIECE + MAX_SEQUENCE],
) -> (usize, usize) {
    let (mut length, mut at) = (0, 0);
    while at < bytes.len().min(PIECE) {
        let entry = SHOWN[usize::from(bytes[at])];
        let next = bytes.get(at + 1).copied().unwrap_or(0x80);
        // Noise is full of bytes that might begin a sequence, and seldom do: no branch on that.
        let follows = SHOWN[usize::from(next)] >> FOLLOWS & LEAD;
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
        let sequence = if is_utf8 { utf8(rest) } else { escape_sequence(rest, sequences) };
        let Some((taken, shows)) = sequence else { break };
        if shows {
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
pub(super) fn utf8(bytes: &[u8]) -> Option<(usize, bool)> {
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
fn escape_sequence(bytes: &[u8], sequences: Sequences) -> Option<(usize, bool)> {
    let inner = bytes.get(2..)?;
    match bytes[1] {
        b'[' => {
            let inner = &inner[..inner.len().min(MAX_SEQUENCE - 2)];
            let end = inner.iter().position(|byte| !(0x20..=0x3f).contains(byte))?;
            let whole = (0x40..=0x7e).contains(&inner[end]);
            whole.then(|| (2 + end + 1, passes(&inner[..=end], sequences)))
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
