//! How long the program takes to start, against the aws command line of the test
//! environment: what a shell prompt, an editor or a script pays for each call.

use anyhow::Result;

use super::Bench;
use super::sample::{Goal, Sample, alternate};
use crate::call::Call;

const GOAL: Goal = Goal {
    name: "start",
    tree: None,
    ours: "cargo-l4re --version",
    theirs: "aws --version",
    target: 0.03,
};
const ROUNDS: u32 = 21;

/// Measures both.
pub(super) fn measure(bench: &Bench<'_>) -> Result<Sample> {
    let ours = Call::new([bench.binary.as_str(), "--version"]);
    let theirs = Call::new([bench.project.venv().join("bin/aws").as_str(), "--version"]);
    alternate(GOAL, bench.rounds.unwrap_or(ROUNDS), || ours.time(), || theirs.time())
}
