//! What instances cost: from AWS's price list where it can be had, else from a dated table.
//!
//! Invariants: nothing waits for a price that it could do without; what the price list said
//! is kept with its day in the cache folder, and asked for again after a week. On the desk
//! nothing costs anything.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use futures::future::join_all;
use jiff::Timestamp;
use jiff::civil::Date;
use l4re_cloud::{Cloud, Instance, PRICES_AS_OF, PRICES_REGION, Price, PriceSource};
use serde::{Deserialize, Serialize};

/// Prices change seldom, and are announced.
const FRESH_DAYS: i32 = 7;

/// Prices by type.
type Listed = BTreeMap<String, Kept>;

/// A price as it is kept.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Kept {
    dollars_per_hour: f64,
    as_of: Date,
}

/// What machines cost in a region.
#[derive(Debug)]
pub struct Prices {
    region: String,
    local: bool,
    file: Option<Utf8PathBuf>,
    listed: Mutex<Listed>,
}

/// What an instance costs.
#[derive(Debug, Clone, Copy)]
pub struct Money(Price);

impl Prices {
    /// What is known without asking: the cache's and the table's.
    pub fn read(cloud: &Cloud, local: bool, cache: Option<&Utf8Path>) -> Self {
        let region = cloud.region().to_owned();
        let file = cache.map(|dir| dir.join(format!("prices-{region}.json"))).filter(|_| !local);
        let kept = file.as_ref().and_then(|file| fs_err::read(file).ok());
        let mut listed: Listed =
            kept.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
        let today = today();
        listed.retain(|_, kept| {
            let age = today.since(kept.as_of).map_or(i32::MAX, |age| age.get_days());
            (0..FRESH_DAYS).contains(&age) && kept.dollars_per_hour.is_finite()
        });
        Self { region, local, file, listed: Mutex::new(listed) }
    }

    /// Asks the price list for what is not known yet, no longer than `limit`.
    pub async fn ask(&self, cloud: &Cloud, types: &[String], limit: Duration) {
        let mut unknown: Vec<&String> = types.iter().filter(|name| !self.knows(name)).collect();
        unknown.sort_unstable();
        unknown.dedup();
        if self.local || unknown.is_empty() {
            return;
        }
        let each = unknown.into_iter().map(|name| async move {
            // Without a right to the price list, the table serves.
            let answer = tokio::time::timeout(limit, cloud.listed_price(name)).await;
            let dollars_per_hour = answer.ok()?.ok()??;
            Some((name.clone(), Kept { dollars_per_hour, as_of: today() }))
        });
        let found: Vec<_> = join_all(each).await.into_iter().flatten().collect();
        if !found.is_empty() {
            self.keep(found);
        }
    }

    /// The price of a type, as far as is known now.
    pub fn of(&self, instance_type: &str) -> Option<Money> {
        if self.local {
            return None;
        }
        let listed = self.listed.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = listed.get(instance_type).map(|kept| Price {
            per_hour: kept.dollars_per_hour,
            source: PriceSource::PriceList(kept.as_of),
        });
        kept.or_else(|| l4re_cloud::price(instance_type, &self.region)).map(Money)
    }

    fn knows(&self, name: &str) -> bool {
        self.listed.lock().unwrap_or_else(PoisonError::into_inner).contains_key(name)
    }

    /// Keeps them for later calls; a cache that cannot be written is none.
    fn keep(&self, found: Vec<(String, Kept)>) {
        let mut listed = self.listed.lock().unwrap_or_else(PoisonError::into_inner);
        listed.extend(found);
        let Some(file) = &self.file else { return };
        let Ok(text) = serde_json::to_vec_pretty(&*listed) else { return };
        // Whole, as another command may be reading; a file that cannot be written is no loss.
        if file.parent().is_some_and(|dir| fs_err::create_dir_all(dir).is_ok()) {
            let _ = l4re_image::write_whole(file, &text);
        }
    }
}

fn today() -> Date {
    Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date()
}

impl Money {
    /// US dollars per hour.
    pub fn per_hour(&self) -> f64 {
        self.0.per_hour
    }

    /// US dollars that the instance has cost so far, at most if it is spot capacity; `None`
    /// where it is not known how long it ran.
    pub fn spent(&self, instance: &Instance, now: Timestamp) -> Option<f64> {
        Some(self.0.spent(instance.charged(now)?))
    }

    /// The price in words, as that of spot capacity or not: it is on demand's, and spot costs
    /// no more.
    pub fn for_market(&self, spot: bool) -> String {
        if spot { format!("at most {self}") } else { self.to_string() }
    }

    /// Where the price comes from.
    pub fn source(&self) -> String {
        match self.0.source {
            PriceSource::PriceList(day) => format!("AWS's price list, {day}"),
            PriceSource::Table { exact_region: true } => format!("built-in table, {PRICES_AS_OF}"),
            PriceSource::Table { exact_region: false } => {
                format!("built-in table for {PRICES_REGION}, {PRICES_AS_OF}")
            }
        }
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exact = self.0.source != PriceSource::Table { exact_region: false };
        let about = if exact { "" } else { "about " };
        write!(f, "{about}{:.3} $/h ({})", self.0.per_hour, self.source())
    }
}
