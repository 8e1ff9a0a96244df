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

/// Where a session may have begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beginning {
    Nowhere,
    /// There, and nowhere else.
    Certain(usize),
    /// There most likely: both end together, or nearly so.
    Likely(usize),
}

/// The places at or after `floor` where `window` and `live` agree as far as both go.
///
/// Text repeats itself, and a few bytes agree by chance: without doubt is only one place on
/// which at least [`CERTAIN`] bytes agree, or where all that is new in the window, which begins
/// at `next`, is all that was seen live.
pub(super) fn beginning(window: &[u8], floor: usize, next: usize, live: &[u8]) -> Beginning {
    if live.is_empty() || floor > window.len() {
        return Beginning::Nowhere;
    }
    let mut certain = agreements(&window[floor..], live).map(|at| at + floor).peekable();
    let together = window.len().checked_sub(live.len());
    let together = together.filter(|&at| at >= floor && window[at..] == *live);
    match (certain.next(), certain.peek(), together) {
        (Some(only), None, _) => Beginning::Certain(only),
        (None, _, Some(at)) if at == next && live.len() >= LIKELY => Beginning::Certain(at),
        (_, _, Some(at)) => Beginning::Likely(at),
        (Some(first), ..) => {
            let ends_apart = |at: &usize| (window.len() - at).abs_diff(live.len());
            Beginning::Likely(
                certain
                    .min_by_key(ends_apart)
                    .map_or(first, |at| std::cmp::min_by_key(first, at, ends_apart)),
            )
        }
        (None, ..) => Beginning::Nowhere,
    }
}

/// All places where both agree, as far as both go, on at least [`CERTAIN`] bytes; in order.
fn agreements(window: &[u8], live: &[u8]) -> impl Iterator<Item = usize> {
    let pattern = &live[..live.len().min(window.len())];
    // No place for a pattern that is too short.
    let window = if pattern.len() < CERTAIN { &[] } else { window };
    let borders = borders(pattern);
    let mut places = Vec::new();
    let mut matched = 0;
    for (at, &byte) in window.iter().enumerate() {
        while matched > 0 && (matched == pattern.len() || pattern[matched] != byte) {
            matched = borders[matched - 1];
        }
        if pattern[matched] == byte {
            matched += 1;
        }
        if matched == pattern.len() {
            places.push(at + 1 - matched);
        }
    }
    // What is cut by the window's end; a whole one there is known already.
    if matched > 0 && matched == pattern.len() {
        matched = borders[matched - 1];
    }
    while matched >= CERTAIN {
        places.push(window.len() - matched);
        matched = borders[matched - 1];
    }
    places.into_iter()
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
        use Beginning::{Certain, Likely, Nowhere};
        let window = b"0123456789 abcdefghijklmnop qrstuvwxyz";
        assert_eq!(beginning(window, 0, 0, b"abcdefghijklmnop qr"), Certain(11));
        assert_eq!(beginning(window, 12, 12, b"abcdefghijklmnop qr"), Nowhere);
        assert_eq!(beginning(window, 0, 0, b"abcdefghijklmnop qX"), Nowhere);
        assert_eq!(beginning(window, 0, 28, b"qrstuvwxyz and more"), Nowhere);
        assert_eq!(beginning(window, 0, 28, b"qrstuvwxyz"), Certain(28));
        assert_eq!(beginning(window, 0, 20, b"qrstuvwxyz"), Likely(28));
        assert_eq!(beginning(window, 0, 0, b"qrs"), Nowhere);
        assert_eq!(beginning(window, 0, window.len(), b""), Nowhere);
        let lines = b"start\nHello World!\nHello World!\nHello World!\n";
        assert_eq!(beginning(lines, 0, 0, &lines[19..]), Likely(19));
        assert_eq!(beginning(lines, 20, 20, &lines[19..]), Nowhere);
        assert_eq!(
            beginning(lines, 0, 0, b"Hello World!\nHello World!\nHello World!\nHe"),
            Likely(6)
        );
    }

    proptest! {
        #[test]
        fn all_agreements_are_found(
            window in proptest::collection::vec(0u8..2, 0..80),
            live in proptest::collection::vec(0u8..2, 0..60),
            from in 0usize..80,
        ) {
            let live = [window.get(from..).unwrap_or_default(), &live[..]].concat();
            let agrees = |&at: &usize| {
                let common = live.len().min(window.len() - at);
                common >= CERTAIN && window[at..at + common] == live[..common]
            };
            let slow: Vec<_> = (0..window.len()).filter(agrees).collect();
            prop_assert_eq!(agreements(&window, &live).collect::<Vec<_>>(), slow);
        }

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
