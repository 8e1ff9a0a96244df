//! What a measure ends with, whatever its unit: a value, the target, a verdict.

use super::figure::Figure;
use super::peak::Peak;
use super::sample::{Goal, Sample};

/// MiB a second, of which there should be many.
#[derive(Clone, Debug)]
pub(super) struct Rate {
    /// What was measured; its target is the least that is good enough.
    pub(super) goal: Goal,
    /// How many times.
    pub(super) rounds: usize,
    /// MiB a second.
    pub(super) per_second: f64,
}

/// One row of the results.
#[derive(Clone, Debug)]
pub(super) enum Outcome {
    /// Our time by another's.
    Ratio(Sample),
    /// Our memory in MiB.
    Peak(Peak),
    /// Our speed.
    Rate(Rate),
    /// A rate, a time or a size beside another's.
    Figure(Figure),
}

impl Outcome {
    /// What was measured.
    pub(super) fn goal(&self) -> &Goal {
        match self {
            Self::Ratio(sample) => &sample.goal,
            Self::Peak(peak) => &peak.goal,
            Self::Rate(rate) => &rate.goal,
            Self::Figure(figure) => &figure.goal,
        }
    }

    /// What is held against the target.
    pub(super) fn value(&self) -> f64 {
        match self {
            Self::Ratio(sample) => sample.ratio(),
            Self::Peak(peak) => peak.largest(),
            Self::Rate(rate) => rate.per_second,
            Self::Figure(figure) => figure.ours,
        }
    }

    /// How many times each side ran.
    pub(super) fn rounds(&self) -> usize {
        match self {
            Self::Ratio(sample) => sample.rounds(),
            Self::Peak(peak) => peak.rounds(),
            Self::Rate(rate) => rate.rounds,
            Self::Figure(figure) => figure.rounds,
        }
    }

    /// Whether the target is reached.
    pub(super) fn is_ok(&self) -> bool {
        match self {
            Self::Figure(figure) => figure.is_ok(),
            _ => self.excess() <= 1.0,
        }
    }

    /// `ok`, or by how much the target is missed.
    pub(super) fn verdict(&self) -> String {
        if self.is_ok() {
            "ok".to_owned()
        } else if let Self::Figure(figure) = self {
            format!("short by {:.0} %", figure.missed_by())
        } else {
            format!("short by {:.0} %", (self.excess() - 1.0) * 100.0)
        }
    }

    /// How far the value is on the wrong side of the target, as a factor.
    fn excess(&self) -> f64 {
        match self {
            Self::Rate(_) => self.goal().target / self.value(),
            Self::Ratio(_) | Self::Peak(_) | Self::Figure(_) => self.value() / self.goal().target,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{peak::tests::peak, sample::tests::sample};
    use super::*;

    #[test]
    fn a_ratio_is_judged_by_its_target() {
        assert_eq!(Outcome::Ratio(sample(&[103], &[100], 1.03)).verdict(), "ok");
        let short = Outcome::Ratio(sample(&[110], &[100], 1.0));
        assert!(!short.is_ok());
        assert_eq!(short.verdict(), "short by 10 %");
    }

    #[test]
    fn a_rate_must_not_be_below_its_target() {
        let goal = sample(&[1], &[1], 200.0).goal;
        let rate = |per_second| Outcome::Rate(Rate { goal, rounds: 1, per_second });
        assert_eq!(rate(200.0).verdict(), "ok");
        assert_eq!(rate(100.0).verdict(), "short by 100 %");
    }

    #[test]
    fn one_round_above_the_limit_is_too_many() {
        assert!(Outcome::Peak(peak(&[31.0, 32.0], 32.0)).is_ok());
        assert_eq!(Outcome::Peak(peak(&[40.0, 10.0, 10.0], 32.0)).verdict(), "short by 25 %");
    }
}
