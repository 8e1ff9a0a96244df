//! A figure beside another program's: a rate, a time, a size. Unlike a ratio it depends on
//! the machine, so it is held against a limit that any machine of today keeps.

use std::time::Duration;

use super::sample::Goal;

/// What a figure counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    /// Calls a second: the more the better.
    Rate,
    /// Milliseconds.
    Milliseconds,
    /// Seconds.
    Seconds,
    /// Memory.
    Mebibytes,
    /// How many of something.
    Number,
}

/// One figure.
#[derive(Clone, Debug)]
pub(super) struct Figure {
    /// What was measured; its target is in the unit.
    pub(super) goal: Goal,
    pub(super) unit: Unit,
    pub(super) ours: f64,
    /// The other's, where there is one to measure.
    pub(super) theirs: Option<f64>,
    pub(super) rounds: usize,
}

impl Figure {
    /// Whether the target is reached.
    pub(super) fn is_ok(&self) -> bool {
        match self.unit {
            Unit::Rate => self.ours >= self.goal.target,
            _ => self.ours <= self.goal.target,
        }
    }

    /// By how much it is missed, in percent of the target.
    pub(super) fn missed_by(&self) -> f64 {
        (self.ours / self.goal.target - 1.0).abs() * 100.0
    }

    /// The target as people read it.
    pub(super) fn target(&self) -> String {
        let sign = if self.unit == Unit::Rate { ">=" } else { "<=" };
        format!("{sign} {}", self.unit.show(self.goal.target))
    }
}

impl Unit {
    /// A value as people read it.
    pub(super) fn show(self, value: f64) -> String {
        match self {
            Self::Rate => format!("{value:.0} /s"),
            Self::Milliseconds => format!("{value:.1} ms"),
            Self::Seconds => format!("{value:.1} s"),
            Self::Mebibytes => format!("{value:.0} MiB"),
            Self::Number => value.to_string(),
        }
    }

    /// Its name in JSON.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Rate => "per_second",
            Self::Milliseconds => "milliseconds",
            Self::Seconds => "seconds",
            Self::Mebibytes => "mebibytes",
            Self::Number => "count",
        }
    }
}

/// The median in milliseconds; more than anything where there is none.
pub(super) fn median_ms(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times.get(times.len() / 2).map_or(f64::INFINITY, |time| time.as_secs_f64() * 1000.0)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A figure for the tests of the table.
    pub(crate) fn figure(unit: Unit, ours: f64, target: f64) -> Figure {
        let goal = Goal { name: "describe", tree: None, ours: "a", theirs: "b", target };
        Figure { goal, unit, ours, theirs: Some(5.0), rounds: 3 }
    }

    #[test]
    fn rates_must_be_high_and_all_else_low() {
        assert!(figure(Unit::Rate, 1200.0, 1000.0).is_ok());
        let slow = figure(Unit::Rate, 900.0, 1000.0);
        assert!(!slow.is_ok());
        assert!((slow.missed_by() - 10.0).abs() < 1e-9);
        assert!(figure(Unit::Milliseconds, 49.0, 50.0).is_ok());
        assert!(!figure(Unit::Mebibytes, 5000.0, 4096.0).is_ok());
        assert_eq!(slow.target(), ">= 1000 /s");
    }

    #[test]
    fn the_median_of_nothing_is_no_good_one() {
        assert_eq!(median_ms(vec![Duration::from_millis(3), Duration::from_millis(1)]), 3.0);
        assert!(median_ms(Vec::new()).is_infinite());
    }
}
