//! What the filter lets through, for readers that are no terminal: without any sequence; and
//! for lines that stand beside others: without those that move the cursor.

use super::piece::ESC;

/// `safe` without the control sequences that [`super::Sanitiser`] lets through: itself where
/// there are none, else what `plain` holds then. They must be whole, as they are in what one
/// call of the filter gives.
pub fn without_sequences<'a>(safe: &'a [u8], plain: &'a mut Vec<u8>) -> &'a [u8] {
    with_sequences(safe, plain, |_| false)
}

/// The same with the colours left in it.
pub fn only_colours<'a>(safe: &'a [u8], plain: &'a mut Vec<u8>) -> &'a [u8] {
    with_sequences(safe, plain, |sequence| sequence.ends_with(b"m"))
}

fn with_sequences<'a>(
    safe: &'a [u8],
    plain: &'a mut Vec<u8>,
    stays: impl Fn(&[u8]) -> bool,
) -> &'a [u8] {
    let mut rest = safe;
    plain.clear();
    while let Some(at) = memchr::memchr(ESC, rest) {
        let (text, escape) = rest.split_at(at);
        plain.extend_from_slice(text);
        let sequence = &escape[1..];
        let length = match sequence {
            [b'[', inner @ ..] => {
                let last = inner.iter().position(|byte| (0x40..=0x7e).contains(byte));
                last.map_or(sequence.len(), |last| last + 2)
            }
            _ => sequence.len().min(1),
        };
        let (sequence, next) = escape.split_at(1 + length);
        if stays(sequence) {
            plain.extend_from_slice(sequence);
        }
        rest = next;
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

    #[test]
    fn colours_are_left_where_they_are_wanted() {
        let mut memory = Vec::new();
        let safe = b"\x1b[2J\x1b[1;1Ha\x1b[1;32mb\x1b[m\x1b7c\x1b[K";
        assert_eq!(only_colours(safe, &mut memory), b"a\x1b[1;32mb\x1b[mc");
    }
}
