//! What a measure ends with, whatever its unit: a value, the target, a verdict.

use super::peak::Peak;
use super::sample::{Goal, Sample};

/// One row of the results.
#[derive(Clone, Debug)]
pub(super) enum Outcome {
    /// Our time by another's.
    Ratio(Sample),
    /// Our memory in MiB.
    Peak(Peak),
}

impl Outcome {
    /// What was measured.
    pub(super) fn goal(&self) -> &Goal {
        match self {
            Self::Ratio(sample) => &sample.goal,
            Self::Peak(peak) => &peak.goal,
        }
    }

    /// What is held against the target.
    pub(super) fn value(&self) -> f64 {
        match self {
            Self::Ratio(sample) => sample.ratio(),
            Self::Peak(peak) => peak.largest(),
        }
    }

    /// How many times each side ran.
    pub(super) fn rounds(&self) -> usize {
        match self {
            Self::Ratio(sample) => sample.rounds(),
            Self::Peak(peak) => peak.rounds(),
        }
    }

    /// Whether the target is reached.
    pub(super) fn is_ok(&self) -> bool {
        self.value() <= self.goal().target
    }

    /// `ok`, or by how much the target is missed.
    pub(super) fn verdict(&self) -> String {
        if self.is_ok() {
            "ok".to_owned()
        } else {
            format!("short by {:.0} %", (self.value() / self.goal().target - 1.0) * 100.0)
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
    fn one_round_above_the_limit_is_too_many() {
        assert!(Outcome::Peak(peak(&[31.0, 32.0], 32.0)).is_ok());
        assert_eq!(Outcome::Peak(peak(&[40.0, 10.0, 10.0], 32.0)).verdict(), "short by 25 %");
    }
}
