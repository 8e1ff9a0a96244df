//! What the filter lets through, for readers that are no terminal: without any sequence.

use super::piece::ESC;

/// Appends `safe` to `plain` without the control sequences that [`super::Sanitiser`] lets
/// through. They must be whole, as they are in what one call of it gives.
pub fn without_sequences(safe: &[u8], plain: &mut Vec<u8>) {
    let mut rest = safe;
    while let Some(at) = memchr::memchr(ESC, rest) {
        plain.extend_from_slice(&rest[..at]);
        let sequence = &rest[at + 1..];
        let length = match sequence {
            [b'[', inner @ ..] => {
                let last = inner.iter().position(|byte| (0x40..=0x7e).contains(byte));
                last.map_or(sequence.len(), |last| last + 2)
            }
            _ => sequence.len().min(1),
        };
        rest = &sequence[length..];
    }
    plain.extend_from_slice(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_left() {
        let mut plain = Vec::new();
        without_sequences("a\x1b[1;32mb\x1b[m\x1b7\x1b8é\r\n\x1b[?25h".as_bytes(), &mut plain);
        assert_eq!(String::from_utf8(plain).unwrap(), "abé\r\n");
        for cut in ["\x1b", "\x1b[", "\x1b[1"] {
            let mut plain = Vec::new();
            without_sequences(cut.as_bytes(), &mut plain);
            assert_eq!(plain, b"");
        }
    }
}
