//! `efiimage hello` against plain `make efiimage` on the same build tree, nothing to rebuild:
//! once as a user types it, once with `--make`, where only the driving of make is ours.
//!
//! What our side remembers about the tree it learns in the call that does not count.

use anyhow::{Context, Result};

use super::Bench;
use super::sample::{Goal, Sample, alternate};
use crate::call::Call;

/// A step that is repeated forty times a day must cost nothing: a fortieth of make.
const HELLO: Goal = Goal {
    name: "hello",
    tree: None,
    ours: "cargo l4re efiimage",
    theirs: "make efiimage",
    target: 0.025,
};
const MAKE: Goal = Goal { name: "make", ours: "cargo l4re efiimage --make", target: 1.03, ..HELLO };
const ROUNDS: u32 = 11;

/// Measures `efiimage` as a user types it.
pub(super) fn measure(bench: &Bench<'_>) -> Result<Sample> {
    against_make(bench, HELLO, &[])
}

/// Measures `efiimage --make`.
pub(super) fn measure_make(bench: &Bench<'_>) -> Result<Sample> {
    against_make(bench, MAKE, &["--make"])
}

fn against_make(bench: &Bench<'_>, goal: Goal, flags: &[&str]) -> Result<Sample> {
    let tree = bench.tree.as_str();
    let ours = [bench.binary.as_str(), "l4re", "efiimage", "hello", "--tree", tree];
    let ours = Call::new(ours.iter().chain(flags).copied());
    let theirs = Call::new(["make", "-C", tree, "efiimage", "E=hello"]);
    // What is not built yet is built here, by make, so that neither side pays for it.
    theirs.time().context("making the image once")?;
    let goal = Goal { tree: Some(bench.which), ..goal };
    alternate(goal, bench.rounds.unwrap_or(ROUNDS), || ours.time(), || theirs.time())
}
