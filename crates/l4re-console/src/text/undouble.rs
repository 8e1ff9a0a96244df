//! Undoubles what L4Re's bootstrapper prints on x86 under UEFI.
//!
//! Until it leaves boot services it prints each character to the firmware's console, which
//! mirrors to the serial port, and to the UART itself: `LL44  BBoooottssttrraappppeerr`.

/// The line with each pair of equal bytes made one, if the whole line is such pairs.
///
/// A line of fewer than four bytes could be anything and is not touched.
#[must_use]
pub fn undouble(line: &[u8]) -> Option<Vec<u8>> {
    if line.len() < 4 || !line.len().is_multiple_of(2) {
        return None;
    }
    let (pairs, _) = line.as_chunks::<2>();
    pairs.iter().all(|[a, b]| a == b).then(|| pairs.iter().map(|[a, _]| *a).collect())
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
}
