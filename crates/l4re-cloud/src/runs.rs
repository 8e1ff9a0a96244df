//! How long an instance has run in all: EC2 tells of the last start only, so what ran before is
//! noted in a tag when it is stopped.
//!
//! Invariant: noting the same run twice counts it once. What somebody else stopped is not known.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;

/// EC2 counts at least this much for each start.
const SHORTEST_CHARGE: Duration = Duration::from_secs(60);

/// Runs that are over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Runs {
    /// What all but the last of them were charged for.
    before: Duration,
    /// The last one that is noted: its start, and what it was charged for.
    last: Option<(Timestamp, Duration)>,
}

impl Runs {
    /// The same with the run that began at `launched` and is over now.
    pub(crate) fn until(self, launched: Option<Timestamp>, now: Timestamp) -> Option<Self> {
        let launched = launched?;
        let before = match self.last {
            Some((noted, charge)) if noted != launched => self.before + charge,
            _ => self.before,
        };
        Some(Self { before, last: Some((launched, charged(launched, now))) })
    }

    /// What is charged for all runs; one that began at `launched` may go on. `None` where
    /// nothing is known.
    pub(crate) fn charged(self, launched: Option<Timestamp>, now: Timestamp) -> Option<Duration> {
        let runs = match launched {
            Some(_) => self.until(launched, now)?,
            None => self,
        };
        runs.last.map(|(_, charge)| runs.before + charge)
    }
}

fn charged(launched: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(launched)).unwrap_or_default().max(SHORTEST_CHARGE)
}

/// `3600+120 2026-11-23T10:00:00Z`: seconds before the run that began then, and of it.
impl fmt::Display for Runs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (launched, charge) = self.last.unwrap_or((Timestamp::UNIX_EPOCH, Duration::ZERO));
        write!(f, "{}+{} {launched}", self.before.as_secs(), charge.as_secs())
    }
}

impl FromStr for Runs {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (seconds, launched) = text.split_once(' ').ok_or(())?;
        let (before, charge) = seconds.split_once('+').ok_or(())?;
        // What somebody else wrote there must not overflow a sum.
        let seconds = |text: &str| text.parse::<u32>().map(u64::from).map_err(drop);
        let [before, charge] = [seconds(before)?, seconds(charge)?].map(Duration::from_secs);
        Ok(Self { before, last: Some((launched.parse().map_err(drop)?, charge)) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(time: &str) -> Timestamp {
        format!("2026-11-23T{time}Z").parse().unwrap()
    }

    #[test]
    fn runs_add_up_and_each_start_costs_a_minute() {
        let none = Runs::default();
        assert_eq!(none.charged(None, at("12:00:00")), None);
        let seconds = |runs: Runs, launched, now| runs.charged(launched, now).unwrap().as_secs();
        assert_eq!(seconds(none, Some(at("10:00:00")), at("10:00:05")), 60);
        let once = none.until(Some(at("10:00:00")), at("10:10:00")).unwrap();
        assert_eq!(seconds(once, None, at("12:00:00")), 600);
        assert_eq!(seconds(once, Some(at("11:00:00")), at("11:00:30")), 660);
        let twice = once.until(Some(at("11:00:00")), at("11:05:00")).unwrap();
        assert_eq!(seconds(twice, Some(at("12:00:00")), at("12:10:00")), 1500);
    }

    #[test]
    fn a_run_that_is_noted_twice_counts_once() {
        let once = Runs::default().until(Some(at("10:00:00")), at("10:10:00")).unwrap();
        let again = once.until(Some(at("10:00:00")), at("10:20:00")).unwrap();
        assert_eq!(again.charged(None, at("12:00:00")), Some(Duration::from_secs(1200)));
        // Not stopped after all: it goes on.
        let charge = once.charged(Some(at("10:00:00")), at("10:30:00"));
        assert_eq!(charge, Some(Duration::from_secs(1800)));
    }

    #[test]
    fn the_tag_is_read_as_it_was_written() {
        let once = Runs::default().until(Some(at("10:00:00")), at("10:10:00")).unwrap();
        assert_eq!(once.to_string(), "0+600 2026-11-23T10:00:00Z");
        assert_eq!(once.to_string().parse(), Ok(once));
        for other in ["", "1", "1+2", "+ ", "1+x 2026-11-23T10:00:00Z", "99999999999+1 x"] {
            assert_eq!(other.parse::<Runs>(), Err(()), "{other}");
        }
    }
}
