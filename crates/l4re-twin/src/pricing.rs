//! The price list: `GetProducts` (JSON 1.1, version 2017-10-15) for the twin's instance
//! types.
//!
//! The prices are those of us-east-1, on demand, of 2026-07 and about right for types that
//! changed since; the twin has them for its own region, whichever that is.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::ec2::{is_bare_metal, memory_and_vcpus};
use crate::fault::Fault;
use crate::json::{read, unknown};
use crate::paging;
use crate::twin::Twin;

/// How the service's calls are named in `X-Amz-Target`.
pub(crate) const TARGET: &str = "AWSPriceListService.";

/// Where the price list is served, for all regions.
pub(crate) const REGIONS: [&str; 3] = ["us-east-1", "eu-central-1", "ap-south-1"];

static PRICES: LazyLock<BTreeMap<String, f64>> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../data/prices.json"))
        .unwrap_or_else(|error| unreachable!("the table is checked by a test: {error}"))
});

/// US dollars per hour on demand.
pub(crate) fn on_demand(instance_type: &str) -> Option<f64> {
    PRICES.get(instance_type).copied()
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Request {
    service_code: String,
    #[serde(default)]
    filters: Vec<Filter>,
    format_version: Option<String>,
    next_token: Option<String>,
    max_results: Option<usize>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Filter {
    r#type: String,
    field: String,
    value: String,
}

/// Carries out a call.
pub(crate) fn act(twin: &Twin, action: &str, body: &[u8]) -> Result<Value, Fault> {
    match action {
        "GetProducts" => products(&twin.config.region, &read(body, "InvalidParameterException")?),
        other => Err(unknown(other)),
    }
}

fn products(region: &str, request: &Request) -> Result<Value, Fault> {
    let invalid = |message: String| Fault::client("InvalidParameterException", message);
    if request.format_version.as_deref().is_some_and(|version| version != "aws_v1") {
        return Err(invalid("The format version must be aws_v1".to_owned()));
    }
    let size = request.max_results.unwrap_or(100);
    if !(1..=100).contains(&size) {
        return Err(invalid("MaxResults must be between 1 and 100".to_owned()));
    }
    let mut list = Vec::new();
    if request.service_code == "AmazonEC2" {
        for (name, price) in PRICES.iter() {
            let attributes = attributes(name, region);
            let mut fits = true;
            for filter in &request.filters {
                fits &= filter.fits(&attributes)?;
            }
            if fits {
                list.push(Value::from(product(name, *price, &attributes).to_string()));
            }
        }
    }
    let asked = format!("{} {:?}", request.service_code, request.filters);
    let page = paging::page(&asked, list, Some(size), request.next_token.as_deref());
    let (page, next) = page.ok_or_else(|| {
        Fault::client("InvalidNextTokenException", "The pagination token is invalid")
    })?;
    let mut answer = json!({ "FormatVersion": "aws_v1", "PriceList": page });
    if let Some(next) = next {
        answer["NextToken"] = next.into();
    }
    Ok(answer)
}

impl Filter {
    fn fits(&self, attributes: &Value) -> Result<bool, Fault> {
        let value = attributes.get(&self.field).and_then(Value::as_str).unwrap_or_default();
        let mut list = self.value.split(',').map(str::trim);
        match self.r#type.as_str() {
            "TERM_MATCH" | "EQUALS" => Ok(value == self.value),
            "CONTAINS" => Ok(value.contains(&self.value)),
            "ANY_OF" => Ok(list.any(|one| one == value)),
            "NONE_OF" => Ok(list.all(|one| one != value)),
            other => {
                let message = format!("'{other}' is no type of filter");
                Err(Fault::client("InvalidParameterException", message))
            }
        }
    }
}

fn family(name: &str) -> &'static str {
    if is_bare_metal(name) { "Compute Instance (bare metal)" } else { "Compute Instance" }
}

/// What filters look at, `productFamily` and `serviceCode` included.
fn attributes(name: &str, region: &str) -> Value {
    let (memory, vcpus) = memory_and_vcpus(name).unwrap_or_default();
    json!({
        "capacitystatus": "Used",
        "currentGeneration": "Yes",
        "instanceType": name,
        "licenseModel": "No License required",
        "locationType": "AWS Region",
        "marketoption": "OnDemand",
        "memory": format!("{} GiB", memory as f64 / 1024.0),
        "operatingSystem": "Linux",
        "operation": "RunInstances",
        "preInstalledSw": "NA",
        "productFamily": family(name),
        "regionCode": region,
        "serviceCode": "AmazonEC2",
        "servicecode": "AmazonEC2",
        "servicename": "Amazon Elastic Compute Cloud",
        "tenancy": "Shared",
        "usagetype": format!("BoxUsage:{name}"),
        "vcpu": vcpus.to_string(),
    })
}

fn product(name: &str, price: f64, attributes: &Value) -> Value {
    let sku = hex::encode_upper(&Sha256::digest(name)[..8]);
    let mut attributes = attributes.clone();
    if let Some(members) = attributes.as_object_mut() {
        members.remove("productFamily");
        members.remove("serviceCode");
    }
    let (term, rate) = (format!("{sku}.JRTCKXETXF"), format!("{sku}.JRTCKXETXF.6YS6EN2CT7"));
    json!({
        "product": { "sku": sku, "productFamily": family(name), "attributes": attributes },
        "serviceCode": "AmazonEC2",
        "terms": { "OnDemand": { term: {
            "sku": sku,
            "offerTermCode": "JRTCKXETXF",
            "effectiveDate": "2026-07-01T00:00:00Z",
            "termAttributes": {},
            "priceDimensions": { rate.as_str(): {
                "rateCode": rate,
                "unit": "Hrs",
                "beginRange": "0",
                "endRange": "Inf",
                "appliesTo": [],
                "description": format!("${price} per On Demand Linux {name} Instance Hour"),
                "pricePerUnit": { "USD": format!("{price:.10}") },
            }},
        }}},
        "version": "20260701000000",
        "publicationDate": "2026-07-01T00:00:00Z",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(request: Value) -> Result<Value, Fault> {
        products("eu-central-1", &serde_json::from_value(request).unwrap())
    }

    #[test]
    fn every_type_has_a_price_and_every_price_a_type() {
        for name in PRICES.keys() {
            assert!(memory_and_vcpus(name).is_some(), "{name}");
        }
        assert_eq!(PRICES.len(), crate::ec2::type_count());
    }

    #[test]
    fn products_are_filtered_and_paged() {
        let filter = |field: &str, value: &str| json!({"Type": "TERM_MATCH", "Field": field, "Value": value});
        let one = ask(json!({ "ServiceCode": "AmazonEC2", "Filters": [
            filter("instanceType", "m7g.metal"), filter("regionCode", "eu-central-1"),
            filter("operatingSystem", "Linux"), filter("capacitystatus", "Used"),
        ]}))
        .unwrap();
        assert_eq!(one["PriceList"].as_array().unwrap().len(), 1);
        let text = one["PriceList"][0].as_str().unwrap();
        assert!(text.contains("\"USD\":\"2.6112000000\""), "{text}");
        assert!(text.contains("(bare metal)"), "{text}");
        let none = ask(
            json!({ "ServiceCode": "AmazonEC2", "Filters": [filter("regionCode", "us-west-2")]}),
        );
        assert_eq!(none.unwrap()["PriceList"], json!([]));
        let mut names = Vec::new();
        let mut token = Value::Null;
        loop {
            let page =
                ask(json!({ "ServiceCode": "AmazonEC2", "MaxResults": 25, "NextToken": token }))
                    .unwrap();
            names.extend(page["PriceList"].as_array().unwrap().clone());
            token = page["NextToken"].clone();
            if token.is_null() {
                break;
            }
        }
        assert_eq!(names.len(), PRICES.len());
        let bad = |request: Value| ask(request).unwrap_err().code;
        assert_eq!(
            bad(json!({ "ServiceCode": "AmazonEC2", "NextToken": "x" })),
            "InvalidNextTokenException"
        );
        assert_eq!(
            bad(json!({ "ServiceCode": "x", "MaxResults": 0 })),
            "InvalidParameterException"
        );
    }
}
