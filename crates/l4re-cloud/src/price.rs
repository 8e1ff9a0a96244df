//! What a machine costs: from AWS's price list, else from a table that is dated and says so.
//!
//! Invariant: every price says where it comes from. On demand, Linux, shared tenancy (which
//! metal is listed under, too). Source of the table: the EC2 price list of us-east-1; of the
//! usual small types, published copies of it that agree.

use std::time::Duration;

use jiff::civil::Date;
use serde_json::Value;

use crate::connect::Cloud;
use crate::error::CloudError;

/// When the table was made.
pub const PRICES_AS_OF: &str = "2026-07";

/// The region of the table.
pub const PRICES_REGION: &str = "us-east-1";

/// US dollars per hour; a Graviton's one processor is a 64th of its metal.
const TABLE: [(&str, f64); 31] = [
    ("a1.metal", 0.408),
    ("c5.large", 0.085),
    ("c5.metal", 4.080),
    ("c6g.metal", 2.307),
    ("c6i.large", 0.085),
    ("c6i.metal", 5.440),
    ("c7g.large", 0.0725),
    ("c7g.medium", 0.0363),
    ("c7g.metal", 2.320),
    ("c7i.large", 0.08925),
    ("c7i.metal-24xl", 4.712),
    ("c7i-flex.large", 0.085),
    ("m5.large", 0.096),
    ("m5.metal", 4.608),
    ("m6i.large", 0.096),
    ("m7g.large", 0.0816),
    ("m7g.medium", 0.0408),
    ("m7g.metal", 2.611),
    ("m7i.large", 0.1008),
    ("m7i.metal-24xl", 5.322),
    ("m7i-flex.large", 0.09576),
    ("m8i.large", 0.106),
    ("r7g.large", 0.1071),
    ("r7i.large", 0.1323),
    ("t3.medium", 0.0416),
    ("t3.micro", 0.0104),
    ("t3.nano", 0.0052),
    ("t3.small", 0.0208),
    ("t4g.medium", 0.0336),
    ("t4g.nano", 0.0042),
    ("t4g.small", 0.0168),
];

/// Where a price comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PriceSource {
    /// AWS's price list, as it was on that day.
    PriceList(Date),
    /// The table of this crate; `exact_region` unless it is us-east-1's as an estimate.
    Table {
        /// Whether it is for the region that was asked.
        exact_region: bool,
    },
}

/// A price.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Price {
    /// US dollars per hour.
    pub per_hour: f64,
    /// Where it comes from.
    pub source: PriceSource,
}

impl Price {
    /// US dollars for a time that is charged.
    pub fn spent(&self, charged: Duration) -> f64 {
        self.per_hour * charged.as_secs_f64() / 3600.0
    }
}

/// The table's price of a type on demand; `None` if the table lacks it.
pub fn price(instance_type: &str, region: &str) -> Option<Price> {
    let (_, per_hour) = TABLE.iter().find(|(name, _)| *name == instance_type)?;
    let source = PriceSource::Table { exact_region: region == PRICES_REGION };
    Some(Price { per_hour: *per_hour, source })
}

impl Cloud {
    /// Asks AWS's price list for a type in this region; `None` if it lists none.
    pub async fn listed_price(&self, instance_type: &str) -> Result<Option<f64>, CloudError> {
        const CALL: &str = "pricing:GetProducts";
        let filter = |field: &str, value: &str| {
            aws_sdk_pricing::types::Filter::builder()
                .r#type(aws_sdk_pricing::types::FilterType::TermMatch)
                .field(field)
                .value(value)
                .build()
                .map_err(|error| CloudError::BadAnswer { call: CALL, cause: error.to_string() })
        };
        let request = self
            .pricing()
            .get_products()
            .service_code("AmazonEC2")
            .format_version("aws_v1")
            .filters(filter("instanceType", instance_type)?)
            .filters(filter("regionCode", self.region())?)
            .filters(filter("operatingSystem", "Linux")?)
            .filters(filter("tenancy", "Shared")?)
            .filters(filter("preInstalledSw", "NA")?)
            .filters(filter("capacitystatus", "Used")?);
        let answer = self.call(CALL, request.send()).await?;
        Ok(answer.price_list().iter().find_map(|product| on_demand(product)))
    }
}

/// US dollars per hour on demand, of a product as the price list writes it: JSON in a string.
fn on_demand(product: &str) -> Option<f64> {
    let product: Value = serde_json::from_str(product).ok()?;
    let terms = product.pointer("/terms/OnDemand")?.as_object()?;
    let dimensions = terms.values().filter_map(|term| term.get("priceDimensions")?.as_object());
    let hourly = dimensions.flat_map(|all| all.values()).filter(|dimension| {
        dimension.get("unit").and_then(Value::as_str).is_some_and(|unit| unit == "Hrs")
    });
    let price = |dimension: &Value| {
        let text = dimension.pointer("/pricePerUnit/USD")?.as_str()?;
        text.parse::<f64>().ok().filter(|price| price.is_finite() && *price > 0.0)
    };
    hourly.into_iter().find_map(price)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_has_no_type_twice() {
        let key = |name: &str| name.split_once('.').map(|(a, b)| (a.to_owned(), b.to_owned()));
        assert!(TABLE.windows(2).all(|pair| key(pair[0].0) < key(pair[1].0)));
    }

    #[test]
    fn prices() {
        let metal = price("m7g.metal", "us-east-1").unwrap();
        assert!((metal.per_hour - 2.611).abs() < 1e-9);
        assert_eq!(metal.source, PriceSource::Table { exact_region: true });
        let far = price("m7g.metal", "eu-central-1").unwrap();
        assert_eq!(far.source, PriceSource::Table { exact_region: false });
        assert_eq!(price("x9.huge", "us-east-1"), None);
    }

    /// A product of the price list, shortened.
    const PRODUCT: &str = r#"{"product":{"productFamily":"Compute Instance (bare metal)",
        "attributes":{"instanceType":"m7g.metal","regionCode":"eu-central-1"},"sku":"S"},
        "serviceCode":"AmazonEC2","terms":{"OnDemand":{"S.J":{"priceDimensions":{"S.J.6":
        {"unit":"Hrs","endRange":"Inf","beginRange":"0","pricePerUnit":{"USD":"3.1261000000"}}},
        "offerTermCode":"J"}}},"version":"20261101000000"}"#;

    #[test]
    fn a_product_of_the_price_list_is_read() {
        assert_eq!(on_demand(PRODUCT), Some(3.1261));
        // What is reserved costs nothing per hour, and nonsense is no price.
        assert_eq!(on_demand(&PRODUCT.replace("3.1261000000", "0.0000000000")), None);
        assert_eq!(on_demand(&PRODUCT.replace("3.1261000000", "NaN")), None);
        assert_eq!(on_demand(&PRODUCT.replace("Hrs", "Quantity")), None);
        for broken in ["", "{}", "[1]", "{\"terms\":{\"OnDemand\":[]}}"] {
            assert_eq!(on_demand(broken), None, "{broken}");
        }
    }
}
