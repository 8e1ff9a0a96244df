//! What is looked for in the lines: what was asked for, what is known of boots, and tests.
//!
//! Invariants: lines are looked at as they are shown, without doubled characters. What is seen
//! comes in the order of its lines; in the same line what was asked for comes before what was
//! recognised, and that before what tests say.

use std::time::Duration;

use crate::expect::{Expectations, Outcome};
use crate::phase::{LineRecogniser, Sighting, Start};
use crate::tap::{Progress, TapParser};
use crate::text::{Block, Lines, UndoubledLines};

/// Something seen in a block.
pub(super) enum Seen {
    Sighting(Sighting),
    Outcome(Outcome),
    Tests(Progress),
}

pub(super) struct Scanner {
    lines: Lines,
    undoubled: UndoubledLines,
    pub(super) recogniser: LineRecogniser,
    pub(super) expectations: Expectations,
    /// Reads tests, if they are asked for.
    pub(super) tap: Option<TapParser>,
}

impl Scanner {
    pub(super) fn new(start: Start, expectations: Expectations, tap: bool) -> Self {
        Self {
            lines: Lines::default(),
            undoubled: UndoubledLines::default(),
            recogniser: LineRecogniser::new(start),
            expectations,
            tap: tap.then(TapParser::default),
        }
    }

    /// Looks at the blocks that `step` completes.
    pub(super) fn scan(
        &mut self,
        at: Duration,
        step: impl FnOnce(&mut Lines, &mut dyn FnMut(Block<'_>)),
    ) -> Vec<Seen> {
        let mut all = Vec::new();
        let Self { lines, undoubled, recogniser, expectations, tap } = self;
        step(lines, &mut |block| {
            let block = undoubled.block(block);
            let first = all.len();
            let mut outcome = |line, seen| all.push((line, Seen::Outcome(seen)));
            expectations.block(block, &mut outcome);
            let mut sighting = |line, seen| all.push((line, Seen::Sighting(seen)));
            recogniser.block(block, at, &mut sighting);
            if let Some(tap) = tap {
                tap.block(block, &mut |line, progress| all.push((line, Seen::Tests(progress))));
            }
            all[first..].sort_by_key(|(line, _)| *line);
        });
        all.into_iter().map(|(_, seen)| seen).collect()
    }
}
