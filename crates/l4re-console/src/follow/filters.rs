//! What of a chunk may be shown, made on two processors where that pays.
//!
//! Invariant: the result is that of one filter for the whole stream. A newline ends what a
//! filter remembers, so that a chunk can be cut behind one: each piece but the first begins
//! with a filter that remembers nothing. What may continue a doubled newline is no place to
//! cut.

use std::sync::{Mutex, PoisonError};

use crate::sanitise::{Sanitiser, Sequences};
use crate::text::Undoubler;

/// Bytes of a piece, at least.
const PIECE: usize = 64 * 1024;

/// Bytes from which on a thread costs less than it gains.
const LARGE: usize = 64 * 1024;

#[derive(Debug)]
struct Filter {
    undoubler: Undoubler,
    sanitiser: Sanitiser,
}

impl Filter {
    fn new(sequences: Sequences) -> Self {
        Self { undoubler: Undoubler::default(), sanitiser: Sanitiser::new(sequences) }
    }

    fn push(&mut self, undouble: bool, raw: &[u8], safe: &mut Vec<u8>) {
        let Self { undoubler, sanitiser } = self;
        match undouble {
            true => undoubler.push(raw, |piece| sanitiser.push(piece, safe)),
            false => sanitiser.push(raw, safe),
        }
    }
}

/// The filters of a stream.
#[derive(Debug)]
pub(super) struct Filters {
    undouble: bool,
    sequences: Sequences,
    /// The one that goes on with the stream.
    filter: Filter,
    /// What may be shown, in pieces that are kept for their memory.
    safe: Vec<Vec<u8>>,
}

impl Filters {
    pub(super) fn new(undouble: bool, sequences: Sequences) -> Self {
        Self { undouble, sequences, filter: Filter::new(sequences), safe: Vec::new() }
    }

    /// Takes bytes, after `before`, and does something else meanwhile.
    pub(super) fn push<A: Send, B>(
        &mut self,
        raw: &[u8],
        before: impl FnOnce() -> A + Send,
        meanwhile: impl FnOnce() -> B,
    ) -> (A, B) {
        if raw.len() < LARGE {
            let before = before();
            self.filter.push(self.undouble, raw, place(&mut self.safe, 0));
            return (before, meanwhile());
        }
        self.push_pieces(&pieces(raw, PIECE), before, meanwhile)
    }

    fn push_pieces<A: Send, B>(
        &mut self,
        pieces: &[&[u8]],
        before: impl FnOnce() -> A + Send,
        meanwhile: impl FnOnce() -> B,
    ) -> (A, B) {
        let mut filters: Vec<Filter> = pieces.iter().map(|_| Filter::new(self.sequences)).collect();
        std::mem::swap(&mut filters[0], &mut self.filter);
        place(&mut self.safe, pieces.len() - 1);
        let work = Mutex::new(pieces.iter().zip(&mut filters).zip(&mut self.safe));
        let next = || work.lock().unwrap_or_else(PoisonError::into_inner).next();
        let undouble = self.undouble;
        let run = || {
            while let Some(((piece, filter), safe)) = next() {
                filter.push(undouble, piece, safe);
            }
        };
        let results = std::thread::scope(|scope| {
            let other = scope.spawn(|| {
                let before = before();
                run();
                before
            });
            let meanwhile = meanwhile();
            run();
            match other.join() {
                Ok(before) => (before, meanwhile),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        });
        if let Some(last) = filters.pop() {
            self.filter = last;
        }
        results
    }

    /// Lets go what is held back for bytes that may never come.
    pub(super) fn flush(&mut self) {
        let Filter { undoubler, sanitiser } = &mut self.filter;
        let safe = place(&mut self.safe, 0);
        undoubler.flush(|piece| sanitiser.push(piece, safe));
    }

    /// The same where none will: what follows does not continue it.
    pub(super) fn finish(&mut self) {
        self.flush();
        self.filter.sanitiser.finish(place(&mut self.safe, 0));
    }

    /// Gives what may be shown, once.
    pub(super) fn take<E>(
        &mut self,
        mut show: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let shown = self.safe.iter().filter(|safe| !safe.is_empty()).try_for_each(|s| show(s));
        self.safe.iter_mut().for_each(Vec::clear);
        shown
    }
}

/// A place in a row that is made long enough.
fn place(row: &mut Vec<Vec<u8>>, index: usize) -> &mut Vec<u8> {
    if row.len() <= index {
        row.resize_with(index + 1, Vec::new);
    }
    &mut row[index]
}

/// Cuts bytes into pieces of at least `least`.
fn pieces(mut rest: &[u8], least: usize) -> Vec<&[u8]> {
    let mut all = Vec::new();
    while rest.len() > 2 * least {
        let mut cuts = memchr::memchr_iter(b'\n', &rest[least..]).map(|at| least + at + 1);
        let may_be_cut = |cut: &usize| rest.get(*cut).is_some_and(|next| *next != b'\n');
        let Some(cut) = cuts.find(may_be_cut) else { break };
        let (piece, next) = rest.split_at(cut);
        all.push(piece);
        rest = next;
    }
    all.push(rest);
    all
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(filters: &mut Filters) -> Vec<u8> {
        let mut out = Vec::new();
        let Ok(()) = filters.take::<std::convert::Infallible>(|safe| {
            out.extend_from_slice(safe);
            Ok(())
        });
        out
    }

    proptest! {
        #[test]
        fn pieces_do_not_matter(
            raw in proptest::collection::vec(
                prop::sample::select(b"\n\n\n\raabb\x1b[]m\x07\xc3\xa4\0".to_vec()), 1..200),
            least in 1usize..20,
            undouble: bool,
            sequences in prop::sample::select(vec![Sequences::Harmless, Sequences::None]),
        ) {
            let mut one = Filters::new(undouble, sequences);
            one.push(&raw, || (), || ());
            let mut several = Filters::new(undouble, sequences);
            let cut = pieces(&raw, least);
            prop_assert_eq!(cut.concat(), raw.clone());
            several.push_pieces(&cut, || (), || ());
            prop_assert_eq!(shown(&mut one), shown(&mut several));
            one.finish();
            several.finish();
            prop_assert_eq!(shown(&mut one), shown(&mut several));
        }
    }

    #[test]
    fn large_chunks_are_cut_behind_newlines() {
        let line = [&[b'x'; 99][..], b"\n"].concat();
        let cut = |raw: &[u8]| pieces(raw, PIECE).len();
        assert_eq!(cut(&line.repeat(10_000)), 15);
        assert_eq!(cut(&[b'x'; 1_000_000]), 1);
        assert_eq!(cut(&[b'\n'; 1_000_000]), 1);
    }

    #[test]
    fn something_else_is_done_meanwhile() {
        let mut filters = Filters::new(false, Sequences::Harmless);
        for size in [1, LARGE, 10 * LARGE] {
            assert_eq!(filters.push(&vec![b'x'; size], || 'a', || size), ('a', size));
            assert_eq!(shown(&mut filters).len(), size);
            assert_eq!(shown(&mut filters), b"");
        }
    }
}
