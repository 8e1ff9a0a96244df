//! `DescribeSpotPriceHistory`. The prices are played: a part of the price on demand that
//! depends on type and zone and changes every few hours, the same whenever it is asked.

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::actions::Call;
use super::filters::{self, Paths};
use super::instance_types;
use super::instances::time;
use super::network::zones;
use super::pages::page;
use crate::fault::Fault;
use crate::pricing;

const PATHS: Paths = &[
    ("availability-zone", "availabilityZone"),
    ("availability-zone-id", "availabilityZoneId"),
    ("instance-type", "instanceType"),
    ("product-description", "productDescription"),
    ("spot-price", "spotPrice"),
    ("timestamp", "timestamp"),
];

/// How long a price holds.
const STEP: i64 = 6 * 3600;
/// EC2 keeps the history of 90 days.
const HISTORY: i64 = 90 * 24 * 3600;

/// `DescribeSpotPriceHistory`: the prices that held between two moments, the newest first.
/// Without a start only those that hold now.
pub(super) fn describe(call: &Call<'_>) -> Result<Value, Fault> {
    let root = call.root();
    let (types, products) = (root.list("InstanceType"), root.list("ProductDescription"));
    for name in &types {
        instance_types::find(name)?;
    }
    let now = call.now.as_second();
    let end = moment(root.get("EndTime"), now)?.min(now);
    let start = moment(root.get("StartTime"), end)?.max(now - HISTORY);
    if start > end {
        return Err(Fault::invalid("StartTime must be before EndTime"));
    }
    let linux = ["Linux/UNIX", "Linux/UNIX (Amazon VPC)"];
    let shown = products.is_empty() || products.iter().any(|name| linux.contains(name));
    let wanted = |name: &str| shown && (types.is_empty() || types.contains(&name));
    let offered = instance_types::names().filter(|name| {
        wanted(name) && instance_types::find(name).is_ok_and(|kind| kind.supports_spot())
    });
    let mut list = Vec::new();
    for (name, on_demand) in offered.filter_map(|name| Some((name, pricing::on_demand(name)?))) {
        for zone in zones(&call.twin.config.region) {
            let place = root.get("AvailabilityZone").is_none_or(|wanted| wanted == zone.name)
                && root.get("AvailabilityZoneId").is_none_or(|wanted| wanted == zone.id);
            if !place {
                continue;
            }
            // The price that held at the start began before it.
            for step in (start / STEP..=end / STEP).rev() {
                list.push(json!({
                    "instanceType": name,
                    "availabilityZone": zone.name,
                    "availabilityZoneId": zone.id,
                    "productDescription": "Linux/UNIX",
                    "spotPrice": format!("{:.6}", price(on_demand, name, &zone.name, step)),
                    "timestamp": time(jiff::Timestamp::from_second(step * STEP).unwrap_or(call.now)),
                }));
            }
        }
    }
    filters::retain(&mut list, &root, PATHS)?;
    let (list, next) = page(list, &root, 1..=1000)?;
    Ok(json!({ "spotPriceHistorySet": list, "nextToken": next }))
}

/// Refuses a launch that would pay less than what holds in the cheapest zone now.
pub(super) fn refuse_low_price(
    most: Option<&str>,
    name: &str,
    call: &Call<'_>,
) -> Result<(), Fault> {
    let Some(text) = most else { return Ok(()) };
    let most = text.parse::<f64>().ok().filter(|most| *most > 0.0 && most.is_finite());
    let most = most
        .ok_or_else(|| Fault::invalid(format!("Value ({text}) for parameter price is invalid.")))?;
    let step = call.now.as_second() / STEP;
    let Some(on_demand) = pricing::on_demand(name) else { return Ok(()) };
    let prices =
        zones(&call.twin.config.region).map(|zone| price(on_demand, name, &zone.name, step));
    let least = prices.fold(f64::INFINITY, f64::min);
    if most >= least {
        return Ok(());
    }
    Err(Fault::client(
        "SpotMaxPriceTooLow",
        format!(
            "Your Spot request price of {most} is lower than the minimum required Spot request \
             fulfillment price of {least:.4}."
        ),
    ))
}

fn moment(text: Option<&str>, default: i64) -> Result<i64, Fault> {
    let Some(text) = text else { return Ok(default) };
    let time = text.parse::<jiff::Timestamp>();
    let bad = |_| Fault::invalid(format!("Value ({text}) is no date and time"));
    time.map(jiff::Timestamp::as_second).map_err(bad)
}

/// Between three and five tenths of the price on demand.
fn price(on_demand: f64, name: &str, zone: &str, step: i64) -> f64 {
    let chance = Sha256::digest(format!("{name} {zone} {step}"))[0];
    on_demand * (0.3 + 0.2 * f64::from(chance) / 255.0)
}
