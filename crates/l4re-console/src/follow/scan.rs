//! What is looked for in the lines: what was asked for, and what is known of boots.
//!
//! Invariant: what is seen comes in the order of its lines; in the same line what was asked
//! for comes before what was recognised.

use std::time::Duration;

use crate::expect::{Expectations, Outcome};
use crate::phase::{LineRecogniser, Sighting, Start};
use crate::text::{Block, Lines};

/// Something seen in a block.
pub(super) enum Seen {
    Sighting(Sighting),
    Outcome(Outcome),
}

pub(super) struct Scanner {
    lines: Lines,
    pub(super) recogniser: LineRecogniser,
    pub(super) expectations: Expectations,
}

impl Scanner {
    pub(super) fn new(start: Start, expectations: Expectations) -> Self {
        Self { lines: Lines::default(), recogniser: LineRecogniser::new(start), expectations }
    }

    /// Looks at the blocks that `step` completes.
    pub(super) fn scan(
        &mut self,
        at: Duration,
        step: impl FnOnce(&mut Lines, &mut dyn FnMut(Block<'_>)),
    ) -> Vec<Seen> {
        let mut all = Vec::new();
        let (recogniser, expectations) = (&mut self.recogniser, &mut self.expectations);
        step(&mut self.lines, &mut |block| {
            let first = all.len();
            let mut outcome = |line, seen| all.push((line, Seen::Outcome(seen)));
            expectations.block(block, &mut outcome);
            let mut sighting = |line, seen| all.push((line, Seen::Sighting(seen)));
            recogniser.block(block, at, &mut sighting);
            all[first..].sort_by_key(|(line, _)| *line);
        });
        all.into_iter().map(|(_, seen)| seen).collect()
    }
}
