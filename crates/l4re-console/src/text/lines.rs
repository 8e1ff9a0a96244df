//! Cuts plain text into blocks of whole lines, for scanning many lines at once.
//!
//! Invariants: blocks do not depend on how the raw bytes were cut, except that a partial
//! line is shown when asked for; memory is bounded by [`MAX_LINE`] and the size of one
//! chunk. A longer line is taken as several, each of which starts with the last
//! [`OVERLAP`] bytes of the one before, so that no match across the cut is lost.

use super::Plain;

/// The longest line that is seen as one.
pub const MAX_LINE: usize = 64 * 1024;

/// How much of a cut line is seen again.
pub(crate) const OVERLAP: usize = 4 * 1024;

/// How a block ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockEnd {
    /// With a newline, which is part of the text.
    Newline,
    /// In a line that is longer than [`MAX_LINE`].
    Cut,
    /// In a line that is not finished yet; the next block starts with the same bytes.
    Partial,
}

/// Some text that starts at a line's start or continues a cut line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block<'a> {
    /// Lines.
    pub text: &'a [u8],
    /// How many bytes at the start were shown before.
    pub seen: usize,
    /// Whether the first line is the rest of a cut one.
    pub continued: bool,
    /// How it ends.
    pub end: BlockEnd,
}

/// The line cutter.
#[derive(Clone, Debug, Default)]
pub struct Lines {
    plain: Plain,
    buffer: Vec<u8>,
    /// Bytes of `buffer` that are known to hold no newline.
    scanned: usize,
    /// Bytes of `buffer` that were shown before.
    seen: usize,
    continued: bool,
}

impl Lines {
    /// Takes raw bytes and shows the blocks that they complete.
    pub fn push(&mut self, raw: &[u8], mut show: impl FnMut(Block<'_>)) {
        self.plain.push(raw, &mut self.buffer);
        let mut start = 0;
        while self.buffer.len() - start > MAX_LINE {
            start += self.long_step(start, &mut show);
        }
        let from = start.max(self.scanned.min(self.buffer.len()));
        if let Some(at) = memchr::memrchr(b'\n', &self.buffer[from..]) {
            let end = from + at + 1;
            self.show(start, end, BlockEnd::Newline, &mut show);
            start = end;
        }
        self.buffer.drain(..start);
        self.scanned = self.buffer.len();
    }

    /// Shows the unfinished line, if there is one with bytes that were not shown yet.
    pub fn settle(&mut self, mut show: impl FnMut(Block<'_>)) {
        if self.seen < self.buffer.len() {
            self.show_only(0, self.buffer.len(), BlockEnd::Partial, &mut show);
            self.seen = self.buffer.len();
        }
    }

    /// Shows the unfinished line as if it were finished: the stream is at its end.
    pub fn finish(&mut self, mut show: impl FnMut(Block<'_>)) {
        if !self.buffer.is_empty() {
            self.show(0, self.buffer.len(), BlockEnd::Newline, &mut show);
            self.buffer.clear();
            self.scanned = 0;
        }
    }

    /// Shows at least a line's worth of a buffer that holds more; says how far it came.
    fn long_step(&mut self, start: usize, show: &mut impl FnMut(Block<'_>)) -> usize {
        let window = &self.buffer[start..start + MAX_LINE];
        if let Some(at) = memchr::memrchr(b'\n', window) {
            self.show(start, start + at + 1, BlockEnd::Newline, show);
            return at + 1;
        }
        self.show_only(start, start + MAX_LINE, BlockEnd::Cut, show);
        self.seen = OVERLAP;
        self.continued = true;
        MAX_LINE - OVERLAP
    }

    fn show(&mut self, from: usize, to: usize, end: BlockEnd, show: &mut impl FnMut(Block<'_>)) {
        self.show_only(from, to, end, show);
        self.seen = 0;
        self.continued = false;
    }

    fn show_only(&self, from: usize, to: usize, end: BlockEnd, show: &mut impl FnMut(Block<'_>)) {
        let text = &self.buffer[from..to];
        show(Block { text, seen: self.seen, continued: self.continued, end });
    }
}

/// The first line of `text` and what follows it; the newline belongs to neither.
pub(crate) fn split_line(text: &[u8]) -> (&[u8], &[u8]) {
    match memchr::memchr(b'\n', text) {
        Some(at) => (&text[..at], &text[at + 1..]),
        None => (text, &[]),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn blocks(chunks: &[&[u8]]) -> Vec<(String, BlockEnd)> {
        let mut lines = Lines::default();
        let mut out = Vec::new();
        for chunk in chunks {
            lines.push(chunk, |block| {
                out.push((String::from_utf8_lossy(block.text).into_owned(), block.end));
            });
        }
        lines.finish(|block| {
            out.push((String::from_utf8_lossy(block.text).into_owned(), block.end));
        });
        out
    }

    #[test]
    fn whole_lines_come_together() {
        let got = blocks(&[b"one\r\ntwo\nthr", b"ee\n", b"end"]);
        let want = [("one\ntwo\n"), ("three\n"), ("end")].map(|t| (t.into(), BlockEnd::Newline));
        assert_eq!(got, want);
    }

    #[test]
    fn a_partial_line_is_shown_once_when_asked_for_and_again_when_complete() {
        let mut lines = Lines::default();
        lines.push(b"jdb: ", |_| panic!("nothing is complete"));
        let mut seen = Vec::new();
        lines.settle(|block| seen.push((block.text.to_vec(), block.seen, block.end)));
        lines.settle(|_| panic!("nothing new"));
        lines.push(b"g\n", |block| seen.push((block.text.to_vec(), block.seen, block.end)));
        assert_eq!(
            seen,
            [
                (b"jdb: ".to_vec(), 0, BlockEnd::Partial),
                (b"jdb: g\n".to_vec(), 5, BlockEnd::Newline)
            ]
        );
    }

    #[test]
    fn an_endless_line_is_cut_with_overlap_and_bounded_memory() {
        let mut lines = Lines::default();
        let mut new_bytes = 0;
        for _ in 0..100 {
            lines.push(&[b'x'; 10_000], |block| {
                assert!(block.text.len() <= MAX_LINE);
                new_bytes += block.text.len() - block.seen;
            });
        }
        assert!(lines.buffer.capacity() < 4 * MAX_LINE);
        lines.finish(|block| new_bytes += block.text.len() - block.seen);
        assert_eq!(new_bytes, 1_000_000);
    }

    /// Lines and cuts as they come out, with the bytes that were new in them.
    fn pieces(chunks: &[&[u8]]) -> Vec<(Vec<u8>, bool)> {
        let mut lines = Lines::default();
        let mut out = Vec::new();
        let mut take = |block: Block<'_>| {
            let mut rest = block.text;
            let mut continued = block.continued;
            while !rest.is_empty() {
                let (line, next) = split_line(rest);
                out.push((line.to_vec(), continued));
                continued = false;
                rest = next;
            }
        };
        for chunk in chunks {
            lines.push(chunk, &mut take);
        }
        lines.finish(&mut take);
        out
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn cuts_do_not_matter(
            runs in proptest::collection::vec((0usize..100_000, any::<bool>()), 0..4),
            step in 1usize..70_000,
        ) {
            let mut raw = Vec::new();
            for (index, (length, newline)) in runs.iter().enumerate() {
                raw.extend((0..*length).map(|i| b'a' + ((i / 7 + index) % 26) as u8));
                if *newline { raw.push(b'\n'); }
            }
            let chunks: Vec<&[u8]> = raw.chunks(step).collect();
            prop_assert!(pieces(&chunks) == pieces(&[&raw]));
        }
    }
}
