//! What is missing at a gap, and how its size is told.
//!
//! Nothing that is asked counts what was printed: neither a session nor the kept output. So a
//! size in bytes is known only when one window shows the text on both sides of the gap, and is
//! told then, once.

use memchr::memmem;

use super::overlap::{Beginning, CERTAIN, Place, beginning, place};

/// What a window holds at most: one of fewer bytes has all that was printed.
pub(super) const WINDOW: usize = 64 * 1024;

/// Windows that are looked at for its size; a machine may print little meanwhile.
const WINDOWS: u32 = 300;

/// The same of those that could show more than the ones before.
const GROWN: u32 = 30;

/// Why bytes are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Missing {
    /// The kept output begins later than the machine.
    Before,
    /// A session began, and no kept output came in time to tell what was printed before.
    Unseen,
    /// More was printed between two windows than one holds: so much at least.
    Overrun {
        /// The bytes of the second window, all of them new.
        #[serde(rename = "printed_at_least")]
        printed: u64,
    },
    /// No window joined a session to what came before, in time.
    Unjoined,
}

/// A gap whose size a window may still tell.
#[derive(Debug)]
pub(super) struct Unsized {
    /// What was handed over before it, since the start or another gap.
    before: Vec<u8>,
    /// A size that is likely, and how much came after the gap when it was found.
    likely: Option<(usize, usize)>,
    windows: u32,
    /// Windows with more after the gap than before them, and how much that was.
    grown: (u32, usize),
}

impl Unsized {
    /// The gap after `before`. No window tells the size of one that windows have overrun.
    pub(super) fn after(before: &[u8], missing: Missing) -> Option<Self> {
        let kept = &before[before.len().saturating_sub(WINDOW)..];
        matches!(missing, Missing::Unseen | Missing::Unjoined).then(|| Self {
            before: kept.to_vec(),
            likely: None,
            windows: 0,
            grown: (0, 0),
        })
    }

    /// How many bytes are missing between the text before and `after`, if `window` shows both.
    /// Where text repeats itself two windows must say so, with more text after it in the second.
    pub(super) fn size(&mut self, window: &[u8], after: &[u8]) -> Option<u64> {
        self.windows += 1;
        if after.len() > self.grown.1 {
            self.grown = (self.grown.0 + 1, after.len());
        }
        let floor = self.end_of_before(window)?;
        let size = match beginning(window, floor, floor, after) {
            Beginning::Certain(at) => at - floor,
            Beginning::Likely(at) => match self.likely {
                Some((size, length)) if size == at - floor && length < after.len() => size,
                Some((size, _)) if size == at - floor => return None,
                _ => {
                    self.likely = Some((at - floor, after.len()));
                    return None;
                }
            },
            Beginning::Nowhere => return None,
        };
        u64::try_from(size).ok()
    }

    fn end_of_before(&self, window: &[u8]) -> Option<usize> {
        if self.before.is_empty() {
            return (window.len() < WINDOW).then_some(0);
        }
        if self.before.len() < CERTAIN {
            return None;
        }
        // What comes several times could be any of them.
        let once = |text: &[u8], at| memmem::rfind(window, text) == Some(at);
        if let Some(at) = memmem::find(window, &self.before) {
            return once(&self.before, at).then_some(at + self.before.len());
        }
        let Place { end, certain } = place(&self.before, false, window);
        (certain && end <= window.len() && once(&window[..end], 0)).then_some(end)
    }

    /// Whether a later window may tell what this one did not.
    pub(super) fn may_be_told(&self) -> bool {
        self.windows < WINDOWS && self.grown.0 < GROWN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gap(before: &[u8]) -> Unsized {
        Unsized::after(before, Missing::Unjoined).unwrap()
    }

    #[test]
    fn a_window_that_shows_both_sides_tells_the_size() {
        let window = b"line 1 before the gap\nline 2 lost\nline 3 after the gap\nline 4\n";
        let mut it = gap(&window[..22]);
        assert_eq!(it.size(&window[..40], b"line 3 after the gap\n"), None);
        assert_eq!(it.size(window, b"line 3 after the gap\n"), Some(12));
        assert_eq!(it.size(&window[30..], b"line 3 after the gap\n"), None);
    }

    #[test]
    fn what_was_before_a_session_is_counted_while_the_window_has_it_all() {
        let start = || Unsized::after(b"", Missing::Unseen).unwrap();
        assert_eq!(start().size(b"12345 a long line\n", b"a long line of\n"), None);
        assert_eq!(start().size(b"12345 a line that is long\n", b"a line that is long\n"), Some(6));
        let full = [&vec![b'x'; WINDOW][..], b"a line that is long\n"].concat();
        assert_eq!(start().size(&full, b"a line that is long\n"), None);
    }

    #[test]
    fn text_that_repeats_itself_must_grow_to_tell() {
        let boot = b"a machine that boots\n";
        let lines = b"Hello World, again\n".repeat(9);
        let printed = |count: usize| [&boot[..], &lines[..count * 19]].concat();
        let mut it = gap(&printed(1));
        for _ in 0..2 {
            assert_eq!(it.size(&printed(6), &lines[..2 * 19]), None);
        }
        assert_eq!(it.size(&printed(7), &lines[..3 * 19]), Some(3 * 19));
        // Where it begins before the window its place is known, too.
        let mut it = gap(&[&b"firmware, iPXE\n"[..], &printed(1)].concat());
        let other = b"another line that is long\n";
        let window = [&printed(2)[3..], other].concat();
        assert_eq!(it.size(&window, other), Some(19));
        // Between two gaps nothing but the same: it could be anywhere.
        let mut it = gap(&lines[..2 * 19]);
        assert_eq!(it.size(&[&printed(6)[..], other].concat(), other), None);
    }

    #[test]
    fn it_is_not_asked_for_for_ever() {
        let after = b"and another one".repeat(100);
        for (growing, windows) in [(0, WINDOWS), (1, GROWN)] {
            let mut it = gap(b"a line before the gap\n");
            while it.may_be_told() {
                let length = 20 + growing * it.windows as usize;
                assert_eq!(it.size(b"another line", &after[..length]), None);
            }
            assert_eq!(it.windows, windows);
        }
    }

    #[test]
    fn what_a_window_overran_is_in_no_window() {
        let before = b"long enough to be found";
        assert!(Unsized::after(before, Missing::Overrun { printed: 1 }).is_none());
    }
}
