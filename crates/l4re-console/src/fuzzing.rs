//! What fuzz targets call (`fuzz/` at the root), and the test that runs their corpora.
//!
//! Invariant: no function here panics, hangs, or takes memory beyond proportion, whatever the
//! bytes. Not part of the crate's interface.

use std::time::Duration;

use crate::phase::{Recogniser, Sighting, Start};
use crate::sanitise::{Sanitiser, Sequences};
use crate::tap::{TapParser, TapReport};
use crate::text::{Lines, UndoubledLines};

/// A target: its name, and what it does with bytes. The first byte says how the others are cut.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: [Target; 3] = [("sanitise", sanitise), ("recognise", recognise), ("tap", tap)];

/// What comes of the bytes is the same in one piece and in many.
fn same<T: PartialEq + std::fmt::Debug>(
    bytes: &[u8],
    read: impl Fn(&mut dyn Iterator<Item = &[u8]>) -> T,
) {
    let Some((&step, bytes)) = bytes.split_first() else { return };
    let whole = read(&mut std::iter::once(bytes));
    assert_eq!(read(&mut bytes.chunks(usize::from(step).max(1))), whole);
}

/// What reaches a terminal.
pub fn sanitise(bytes: &[u8]) {
    for sequences in [Sequences::None, Sequences::Colours, Sequences::Harmless] {
        same(bytes, |pieces| {
            let (mut sanitiser, mut safe) = (Sanitiser::new(sequences), Vec::new());
            for piece in pieces {
                sanitiser.push(piece, &mut safe);
            }
            sanitiser.finish(&mut safe);
            check(&safe, sequences);
            safe
        });
    }
}

/// What came out is text, and of controls only those that every terminal may have.
fn check(safe: &[u8], sequences: Sequences) {
    let text = std::str::from_utf8(safe).expect("text");
    for (at, control) in text.char_indices().filter(|(_, letter)| letter.is_control()) {
        let after = text[at..].chars().nth(1);
        let allowed = match control {
            '\n' | '\r' | '\t' | '\u{8}' => true,
            '\u{1b}' => match sequences {
                Sequences::None => false,
                Sequences::Colours => after == Some('['),
                Sequences::Harmless => matches!(after, Some('[' | '7' | '8')),
            },
            _ => false,
        };
        assert!(allowed, "{control:?} in {text:?}");
    }
}

/// What is recognised of a boot.
pub fn recognise(bytes: &[u8]) {
    for start in [Start::Boot, Start::Attached] {
        same(bytes, |pieces| {
            let mut recogniser = Recogniser::new(start);
            let mut seen: Vec<Sighting> = Vec::new();
            for piece in pieces {
                recogniser.push(piece, Duration::ZERO, &mut |sighting| seen.push(sighting));
            }
            recogniser.finish(Duration::ZERO, &mut |sighting| seen.push(sighting));
            let state = recogniser.state();
            (seen, state.phases().clone(), state.image().clone(), state.stuck())
        });
    }
}

/// What tests came to.
pub fn tap(bytes: &[u8]) {
    same(bytes, |pieces| -> TapReport {
        let (mut lines, mut tap) = (Lines::default(), TapParser::default());
        let mut undoubled = UndoubledLines::default();
        for piece in pieces {
            lines.push(piece, |block| tap.block(undoubled.block(block), &mut |_, _| ()));
        }
        lines.finish(|block| tap.block(undoubled.block(block), &mut |_, _| ()));
        tap.report()
    });
}

#[cfg(test)]
mod tests {
    use camino::Utf8Path;

    use super::*;

    #[test]
    fn corpora_do_no_harm() {
        let root = Utf8Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
        for (name, target) in TARGETS {
            let mut count = 0;
            for entry in root.join(name).read_dir_utf8().unwrap() {
                target(&fs_err::read(entry.unwrap().path()).unwrap());
                count += 1;
            }
            assert!(count > 0, "{name} has no corpus");
        }
    }

    #[test]
    fn recorded_consoles_come_to_the_same_however_they_are_cut() {
        let root = Utf8Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
        for entry in root.read_dir_utf8().unwrap() {
            let recorded = fs_err::read(entry.unwrap().path()).unwrap();
            for step in [1, 7, 255] {
                let bytes = [&[step][..], &recorded].concat();
                TARGETS.iter().for_each(|(_, target)| target(&bytes));
            }
        }
    }
}
