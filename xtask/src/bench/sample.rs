//! Two sides measured in turn, and what their medians say.

use std::time::Duration;

use anyhow::Result;

use crate::shell;

/// The build tree that a measure works in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tree {
    /// A developer's own, of real L4Re.
    Real,
    /// The demo tree.
    Demo,
}

impl Tree {
    /// As the results call it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Real => "real",
            Self::Demo => "demo",
        }
    }
}

/// What a measure is called and what it must reach.
#[derive(Clone, Copy, Debug)]
pub(super) struct Goal {
    /// The measure's name.
    pub(super) name: &'static str,
    /// The build tree that both sides work in, if any.
    pub(super) tree: Option<Tree>,
    /// What our side does.
    pub(super) ours: &'static str,
    /// What the other side does.
    pub(super) theirs: &'static str,
    /// The largest ratio of our median to theirs that is good enough.
    pub(super) target: f64,
}

/// The times of both sides, in the order in which they were taken; never empty.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    /// What was measured.
    pub(super) goal: Goal,
    ours: Vec<Duration>,
    theirs: Vec<Duration>,
}

/// Takes `rounds` times of each side, in turn; one more of each before does not count.
pub(super) fn alternate(
    goal: Goal,
    rounds: u32,
    mut ours: impl FnMut() -> Result<Duration>,
    mut theirs: impl FnMut() -> Result<Duration>,
) -> Result<Sample> {
    shell::status("Measuring", &format!("{}: {rounds} rounds", goal.name));
    ours()?;
    theirs()?;
    let mut sample = Sample { goal, ours: Vec::new(), theirs: Vec::new() };
    for round in 0..rounds.max(1) {
        // Who goes first changes, so that neither side always runs on the other's heat.
        if round % 2 == 0 {
            sample.ours.push(ours()?);
            sample.theirs.push(theirs()?);
        } else {
            sample.theirs.push(theirs()?);
            sample.ours.push(ours()?);
        }
    }
    Ok(sample)
}

impl Sample {
    /// The median of our side.
    pub(super) fn ours(&self) -> Duration {
        median(&self.ours)
    }

    /// The median of the other side.
    pub(super) fn theirs(&self) -> Duration {
        median(&self.theirs)
    }

    /// How many times each side ran.
    pub(super) fn rounds(&self) -> usize {
        self.ours.len()
    }

    /// Our median over theirs.
    pub(super) fn ratio(&self) -> f64 {
        self.ours().as_secs_f64() / self.theirs().as_secs_f64()
    }
}

fn median(times: &[Duration]) -> Duration {
    let mut sorted = times.to_vec();
    sorted.sort();
    match (sorted.get(sorted.len() / 2), sorted.get(sorted.len().saturating_sub(1) / 2)) {
        (Some(upper), Some(lower)) => (*upper + *lower) / 2,
        _ => Duration::ZERO,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// A sample for the tests of the table.
    pub(crate) fn sample(ours: &[u32], theirs: &[u32], target: f64) -> Sample {
        Sample {
            goal: Goal { name: "start", tree: None, ours: "a", theirs: "b", target },
            ours: ours.iter().map(|&ms| MS * ms).collect(),
            theirs: theirs.iter().map(|&ms| MS * ms).collect(),
        }
    }

    #[test]
    fn the_median_of_odd_and_even_counts() {
        assert_eq!(median(&[3 * MS, MS, 50 * MS]), 3 * MS);
        assert_eq!(median(&[4 * MS, 2 * MS]), 3 * MS);
        assert_eq!(median(&[]), Duration::ZERO);
    }

    #[test]
    fn sides_are_taken_in_turn_after_one_that_does_not_count() {
        let order = std::cell::RefCell::new(String::new());
        let side = |name| {
            order.borrow_mut().push(name);
            Ok(MS)
        };
        let goal = sample(&[1], &[1], 1.0).goal;
        let taken = alternate(goal, 3, || side('a'), || side('b')).unwrap();
        assert_eq!(*order.borrow(), "ababbaab");
        assert_eq!(taken.rounds(), 3);
    }
}
