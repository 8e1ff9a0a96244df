//! What to look at when a boot stands still.

use std::time::Duration;

use super::Phase;

/// How long `phase` usually takes at most before a hint is due.
#[must_use]
pub fn usual_limit(phase: Option<Phase>) -> Duration {
    todo!()
}

/// What probably is wrong when a boot stays in `phase`.
#[must_use]
pub fn hint_for(phase: Option<Phase>) -> &'static str {
    todo!()
}

/// Decides when hints are due: once at the usual limit of a phase and at each doubling.
#[derive(Clone, Debug)]
pub struct HintClock {}
