//! Finds where a window continues a stream.
//!
//! All searches are linear in the sizes of window and history.

/// How many bytes must agree before text counts as the same text.
pub(super) const CERTAIN: usize = 16;

/// How many bytes must agree where beginning and end fit too.
const LIKELY: usize = 4;

/// Where a history ends, counted from the start of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// May lie behind the window's end when the window is older.
    pub(super) end: usize,
    /// Whether the two surely have text in common, so that nothing is missing between them.
    pub(super) certain: bool,
}

/// Finds the end of `history` in `window`; zero where they have nothing in common.
///
/// `whole` says that `history` is all that was handed over without a gap: then the window may
/// also begin before it.
pub(super) fn place(history: &[u8], whole: bool, window: &[u8]) -> Place {
    let certain = |end| Place { end, certain: true };
    if whole && !history.is_empty() && window.starts_with(history) {
        return certain(history.len());
    }
    let continued = longest_prefix_at_end(window, history);
    if continued >= CERTAIN {
        return certain(continued);
    }
    if whole && history.starts_with(window) {
        return certain(history.len());
    }
    if window.len() >= CERTAIN
        && let Some(at) = memchr::memmem::rfind(history, window)
    {
        return certain(history.len() - at);
    }
    if whole && !history.is_empty() {
        if let Some(at) = memchr::memmem::rfind(window, history) {
            return Place { end: at + history.len(), certain: history.len() >= CERTAIN };
        }
        let older = longest_prefix_at_end(history, window);
        if older >= CERTAIN {
            return certain(window.len() - older + history.len());
        }
    }
    Place { end: continued, certain: false }
}

/// The length of the longest prefix of `pattern` that `text` ends with (Knuth, Morris, Pratt).
fn longest_prefix_at_end(pattern: &[u8], text: &[u8]) -> usize {
    if pattern.is_empty() {
        return 0;
    }
    let borders = borders(pattern);
    let text = &text[text.len().saturating_sub(pattern.len())..];
    let mut matched = 0;
    for &byte in text {
        while matched > 0 && (matched == pattern.len() || pattern[matched] != byte) {
            matched = borders[matched - 1];
        }
        if pattern[matched] == byte {
            matched += 1;
        }
    }
    matched
}

/// For each prefix the length of its longest proper border.
fn borders(pattern: &[u8]) -> Vec<usize> {
    let mut borders = vec![0; pattern.len()];
    let mut matched = 0;
    for at in 1..pattern.len() {
        while matched > 0 && pattern[matched] != pattern[at] {
            matched = borders[matched - 1];
        }
        if pattern[matched] == pattern[at] {
            matched += 1;
        }
        borders[at] = matched;
    }
    borders
}

/// The first place at or after `floor` where `window` and `live` agree as far as both go.
///
/// Agreement on fewer than [`CERTAIN`] bytes counts only where all that is new in the window,
/// which begins at `next`, is all that was seen live.
pub(super) fn live_start(window: &[u8], floor: usize, next: usize, live: &[u8]) -> Option<usize> {
    let agrees = |at: usize| {
        let common = live.len().min(window.len() - at);
        common >= CERTAIN && window[at..at + common] == live[..common]
    };
    let certain = live.get(..CERTAIN).and_then(|start| {
        memchr::memmem::find_iter(window.get(floor..)?, start)
            .map(|at| at + floor)
            .find(|&at| agrees(at))
    });
    let all_new = || next >= floor && live.len() >= LIKELY && window[next..] == *live;
    certain.or_else(|| all_new().then_some(next))
}

/// Whether `window` begins within `live` for certain.
pub(super) fn begins_within(window: &[u8], live: &[u8]) -> bool {
    window.len() >= CERTAIN
        && (memchr::memmem::find(live, window).is_some()
            || longest_prefix_at_end(window, live) >= CERTAIN)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn end(history: &[u8], whole: bool, window: &[u8]) -> usize {
        place(history, whole, window).end
    }

    #[test]
    fn windows_continue_histories() {
        assert_eq!(end(b"one two", false, b"two three"), 3);
        assert_eq!(end(b"one", false, b"two"), 0);
        assert_eq!(end(b"", true, b"two"), 0);
        assert_eq!(end(b"aaaa", false, b"aaaaaa"), 4);
        assert_eq!(end(b"ab", true, b"abab"), 2);
        assert_eq!(place(b"x", true, b"axbxc"), Place { end: 4, certain: false });
    }

    #[test]
    fn windows_may_begin_before_histories_and_end_before_them() {
        let history = b"a line that is long enough\n";
        let window = [&b"before\n"[..], history, b"after\n"].concat();
        assert_eq!(end(history, true, &window), window.len() - 6);
        assert_eq!(end(history, false, &history[2..20]), history.len() - 2);
        assert_eq!(end(history, true, &history[..3]), history.len());
        let older = [&b"before\n"[..], &history[..20]].concat();
        assert_eq!(end(history, true, &older), 7 + history.len());
    }

    #[test]
    fn live_bytes_are_found_in_windows() {
        let window = b"0123456789 abcdefghijklmnop qrstuvwxyz";
        assert_eq!(live_start(window, 0, 0, b"abcdefghijklmnop qr"), Some(11));
        assert_eq!(live_start(window, 12, 12, b"abcdefghijklmnop qr"), None);
        assert_eq!(live_start(window, 0, 0, b"abcdefghijklmnop qX"), None);
        assert_eq!(live_start(window, 0, 28, b"qrstuvwxyz and more"), None);
        assert_eq!(live_start(window, 0, 28, b"qrstuvwxyz"), Some(28));
        assert_eq!(live_start(window, 0, 0, b"qrs"), None);
        assert_eq!(live_start(window, 0, window.len(), b"x"), None);
    }

    proptest! {
        #[test]
        fn the_longest_repeat_is_found(
            history in proptest::collection::vec(0u8..2, 0..12),
            window in proptest::collection::vec(0u8..2, 0..12),
        ) {
            let slow = (0..=window.len().min(history.len()))
                .rev().find(|&n| history.ends_with(&window[..n])).unwrap();
            prop_assert_eq!(longest_prefix_at_end(&window, &history), slow);
        }
    }
}
