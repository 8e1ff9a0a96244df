//! What the filter lets through, for readers that are no terminal: without any sequence.

use super::piece::ESC;

/// `safe` without the control sequences that [`super::Sanitiser`] lets through: itself where
/// there are none, else what `plain` holds then. They must be whole, as they are in what one
/// call of the filter gives.
pub fn without_sequences<'a>(safe: &'a [u8], plain: &'a mut Vec<u8>) -> &'a [u8] {
    let mut rest = safe;
    plain.clear();
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
    if rest.len() == safe.len() {
        return safe;
    }
    plain.extend_from_slice(rest);
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_left() {
        let mut memory = b"what was there before".to_vec();
        let mut plain = |safe: &str| {
            let plain = without_sequences(safe.as_bytes(), &mut memory);
            String::from_utf8(plain.to_vec()).unwrap()
        };
        assert_eq!(plain("a\x1b[1;32mb\x1b[m\x1b7\x1b8é\r\n\x1b[?25h"), "abé\r\n");
        assert_eq!(plain("nothing but text"), "nothing but text");
        for cut in ["\x1b", "\x1b[", "\x1b[1"] {
            assert_eq!(plain(cut), "");
        }
    }
}
