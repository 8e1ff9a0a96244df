//! What a machine costs, from a table that is dated and says so.
//!
//! Invariant: pure. Source: the EC2 price list for Linux on demand in us-east-1.

use std::time::Duration;

/// When the table was made.
pub const PRICES_AS_OF: &str = "2026-07";

/// The region of the table.
pub const PRICES_REGION: &str = "us-east-1";

/// EC2 counts at least this much for each start.
const SHORTEST_CHARGE: Duration = Duration::from_secs(60);

/// US dollars per hour.
const TABLE: [(&str, f64); 13] = [
    ("a1.metal", 0.408),
    ("c5.metal", 4.080),
    ("c6g.metal", 2.307),
    ("c6i.metal", 5.440),
    ("c7g.metal", 2.320),
    ("c7i-flex.large", 0.085),
    ("c7i.metal-24xl", 4.712),
    ("m5.metal", 4.608),
    ("m7g.metal", 2.611),
    ("m7i.metal-24xl", 5.322),
    ("m8i.large", 0.106),
    ("t3.nano", 0.0052),
    ("t4g.nano", 0.0042),
];

/// A price.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Price {
    /// US dollars per hour.
    pub per_hour: f64,
    /// Whether it is for the region that was asked, or us-east-1's as an estimate.
    pub exact_region: bool,
}

impl Price {
    /// US dollars for a time, as EC2 counts it.
    pub fn spent(&self, running: Duration) -> f64 {
        self.per_hour * running.max(SHORTEST_CHARGE).as_secs_f64() / 3600.0
    }
}

/// The price of a type on demand; `None` if the table lacks it.
pub fn price(instance_type: &str, region: &str) -> Option<Price> {
    let (_, per_hour) = TABLE.iter().find(|(name, _)| *name == instance_type)?;
    Some(Price { per_hour: *per_hour, exact_region: region == PRICES_REGION })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices() {
        let metal = price("m7g.metal", "us-east-1").unwrap();
        assert!((metal.per_hour - 2.611).abs() < 1e-9 && metal.exact_region);
        assert!(!price("m7g.metal", "eu-central-1").unwrap().exact_region);
        assert_eq!(price("x9.huge", "us-east-1"), None);
    }

    #[test]
    fn a_start_costs_a_minute() {
        let price = Price { per_hour: 3600.0, exact_region: true };
        assert!((price.spent(Duration::from_secs(1)) - 60.0).abs() < 1e-9);
        assert!((price.spent(Duration::from_secs(90)) - 90.0).abs() < 1e-9);
    }
}
