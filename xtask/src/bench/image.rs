//! `efiimage` against plain `make efiimage` on the same build tree, nothing to rebuild.

use anyhow::{Context, Result};

use super::Bench;
use super::sample::{Goal, Sample, alternate};
use crate::call::Call;

const GOAL: Goal =
    Goal { name: "image", ours: "cargo l4re efiimage", theirs: "make efiimage", target: 1.03 };
const ROUNDS: u32 = 11;

/// Measures both.
pub(super) fn measure(bench: &Bench<'_>) -> Result<Sample> {
    let tree = bench.tree.as_str();
    let ours = Call::new([bench.binary.as_str(), "l4re", "efiimage", "hello", "--tree", tree]);
    let theirs = Call::new(["make", "-C", tree, "efiimage", "E=hello"]);
    // What is not built yet is built here, by make, so that neither side pays for it.
    theirs.time().context("making the image once")?;
    alternate(GOAL, bench.rounds.unwrap_or(ROUNDS), || ours.time(), || theirs.time())
}
