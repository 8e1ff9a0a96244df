//! Service Quotas, as far as EC2's vCPU quotas go (JSON 1.1, version 2019-06-24):
//! `GetServiceQuota`, `ListServiceQuotas`, and `RequestServiceQuotaIncrease`, which the twin
//! grants at once, downwards too. That is how its quotas are set.
//!
//! Invariant: what is listed here is what launches and starts are held against.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::ec2::{memory_and_vcpus, uuid};
use crate::fault::Fault;
use crate::json::{read, unknown};
use crate::paging;
use crate::state::{Account, Instance, InstanceState, State};
use crate::twin::Twin;

/// How the service's calls are named in `X-Amz-Target`.
pub(crate) const TARGET: &str = "ServiceQuotasV20190624.";

/// A quota for the vCPUs of running instances.
struct Quota {
    code: &'static str,
    name: &'static str,
    spot: bool,
    /// What its types' names begin with.
    families: &'static [&'static str],
    value: f64,
}

/// What an account has that was used for a while; types that the twin lacks have none.
const QUOTAS: &[Quota] = &[
    Quota {
        code: "L-1216C47A",
        name: "Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances",
        spot: false,
        families: STANDARD_FAMILIES,
        value: 1920.0,
    },
    Quota {
        code: "L-34B43A08",
        name: "All Standard (A, C, D, H, I, M, R, T, Z) Spot Instance Requests",
        spot: true,
        families: STANDARD_FAMILIES,
        value: 1440.0,
    },
    Quota {
        code: "L-DB2E81BA",
        name: "Running On-Demand G and VT instances",
        spot: false,
        families: &["g", "vt"],
        value: 0.0,
    },
    Quota {
        code: "L-417A185B",
        name: "Running On-Demand P instances",
        spot: false,
        families: &["p"],
        value: 0.0,
    },
    Quota {
        code: "L-7295265B",
        name: "Running On-Demand X instances",
        spot: false,
        families: &["x"],
        value: 0.0,
    },
];

const STANDARD_FAMILIES: &[&str] = &["a", "c", "d", "h", "i", "m", "r", "t", "z"];

impl Quota {
    fn of_type(instance_type: &str, spot: bool) -> Option<&'static Self> {
        let letters = |c: char| c.is_ascii_alphabetic();
        let end = instance_type.find(|c| !letters(c)).unwrap_or(instance_type.len());
        let family = &instance_type[..end];
        QUOTAS.iter().find(|quota| quota.spot == spot && quota.families.contains(&family))
    }

    fn value(&self, account: &Account) -> f64 {
        account.quotas.get(self.code).copied().unwrap_or(self.value)
    }
}

/// EC2's refusal of more vCPUs than the account may have running. What is wanted: a type and
/// whether it is spot, for each instance.
pub(crate) fn refuse_excess(state: &State, wanted: &[(&str, bool)]) -> Result<(), Fault> {
    let sum = |list: &mut dyn Iterator<Item = (&str, bool)>, quota: &Quota| -> u64 {
        list.filter(|(name, spot)| {
            Quota::of_type(name, *spot).is_some_and(|other| other.code == quota.code)
        })
        .map(|(name, _)| vcpus(name))
        .sum()
    };
    let running = |instance: &&Instance| {
        matches!(instance.state, InstanceState::Pending | InstanceState::Running)
    };
    for (name, spot) in wanted {
        let Some(quota) = Quota::of_type(name, *spot) else { continue };
        let mut runs = state
            .instances
            .values()
            .filter(running)
            .map(|instance| (instance.instance_type.as_str(), instance.spot.is_some()));
        let (used, more) = (sum(&mut runs, quota), sum(&mut wanted.iter().copied(), quota));
        let limit = quota.value(&state.account);
        if (used + more) as f64 > limit {
            return Err(excess(*spot, limit));
        }
    }
    Ok(())
}

fn excess(spot: bool, limit: f64) -> Fault {
    if spot {
        let message = "Max spot instance count exceeded";
        return Fault::client("MaxSpotInstanceCountExceeded", message);
    }
    Fault::client(
        "VcpuLimitExceeded",
        format!(
            "You have requested more vCPU capacity than your current vCPU limit of {limit} \
             allows for the instance bucket that the specified instance type belongs to. Please \
             visit http://aws.amazon.com/contact-us/ec2-request to request an adjustment to \
             this limit."
        ),
    )
}

fn vcpus(instance_type: &str) -> u64 {
    memory_and_vcpus(instance_type).map_or(1, |(_, vcpus)| vcpus)
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Request {
    service_code: String,
    quota_code: Option<String>,
    desired_value: Option<f64>,
    next_token: Option<String>,
    max_results: Option<usize>,
}

/// Carries out a call.
pub(crate) fn act(twin: &Twin, action: &str, body: &[u8]) -> Result<Value, Fault> {
    let request: Request = read(body, "IllegalArgumentException")?;
    let mut state = twin.store.lock();
    let region = &twin.config.region;
    match action {
        "GetServiceQuota" => {
            Ok(json!({ "Quota": shown(find(&request)?, &state.account, region, true) }))
        }
        "GetAWSDefaultServiceQuota" => {
            Ok(json!({ "Quota": shown(find(&request)?, &state.account, region, false) }))
        }
        "ListServiceQuotas" => list(&request, &state.account, region, true),
        "ListAWSDefaultServiceQuotas" => list(&request, &state.account, region, false),
        "RequestServiceQuotaIncrease" => {
            let quota = find(&request)?;
            let value = request.desired_value.filter(|value| (0.0..=1e10).contains(value));
            let value = value.ok_or_else(|| {
                Fault::client("IllegalArgumentException", "DesiredValue is no quota's value")
            })?;
            state.account.quotas.insert(quota.code.to_owned(), value);
            twin.store.save_account(&state)?;
            Ok(json!({ "RequestedQuota": granted(quota, value) }))
        }
        other => Err(unknown(other)),
    }
}

fn find(request: &Request) -> Result<&'static Quota, Fault> {
    let code = request.quota_code.as_deref();
    let quota =
        QUOTAS.iter().find(|quota| request.service_code == "ec2" && code == Some(quota.code));
    quota.ok_or_else(|| {
        Fault::client(
            "NoSuchResourceException",
            "The request failed because the specified quota does not exist.",
        )
    })
}

fn list(request: &Request, account: &Account, region: &str, applied: bool) -> Result<Value, Fault> {
    if request.service_code != "ec2" {
        let message = "The request failed because the specified service does not exist.";
        return Err(Fault::client("NoSuchResourceException", message));
    }
    let size = request.max_results.unwrap_or(100);
    if !(1..=100).contains(&size) {
        let message = "MaxResults must be between 1 and 100";
        return Err(Fault::client("IllegalArgumentException", message));
    }
    let fits = |quota: &&Quota| request.quota_code.as_ref().is_none_or(|code| code == quota.code);
    let all: Vec<&Quota> = QUOTAS.iter().filter(fits).collect();
    let asked = format!("{applied} {:?}", request.quota_code);
    let page = paging::page(&asked, all, Some(size), request.next_token.as_deref());
    let (page, next) = page.ok_or_else(|| {
        Fault::client("InvalidPaginationTokenException", "Invalid token was provided.")
    })?;
    let page = page.into_iter().map(|quota| shown(quota, account, region, applied));
    let mut answer = json!({ "Quotas": page.collect::<Vec<_>>() });
    if let Some(next) = next {
        answer["NextToken"] = next.into();
    }
    Ok(answer)
}

fn shown(quota: &Quota, account: &Account, region: &str, applied: bool) -> Value {
    json!({
        "ServiceCode": "ec2",
        "ServiceName": "Amazon Elastic Compute Cloud (Amazon EC2)",
        "QuotaArn": format!("arn:aws:servicequotas:{region}:{}:ec2/{}", account.id, quota.code),
        "QuotaCode": quota.code,
        "QuotaName": quota.name,
        "Value": if applied { quota.value(account) } else { quota.value },
        "Unit": "None",
        "Adjustable": true,
        "GlobalQuota": false,
    })
}

fn granted(quota: &Quota, value: f64) -> Value {
    json!({
        "Id": uuid(),
        "ServiceCode": "ec2",
        "ServiceName": "Amazon Elastic Compute Cloud (Amazon EC2)",
        "QuotaCode": quota.code,
        "QuotaName": quota.name,
        "DesiredValue": value,
        "Status": "APPROVED",
        "GlobalQuota": false,
        "Unit": "None",
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ec2::tests::launch;
    use crate::fixture::TestTwin;

    const BIOS: &str = "ami-0172e86000000b105";

    fn ask(twin: &TestTwin, action: &str, mut request: Value) -> Result<Value, Fault> {
        request["ServiceCode"] = "ec2".into();
        act(&twin.twin, action, request.to_string().as_bytes())
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn launches_and_starts_are_held_against_the_quota_that_was_set() {
        let mut twin = TestTwin::new().await;
        let set = |twin: &TestTwin, code: &str, value: f64| {
            let request = json!({ "QuotaCode": code, "DesiredValue": value });
            ask(twin, "RequestServiceQuotaIncrease", request).unwrap();
        };
        set(&twin, "L-1216C47A", 4.0);
        twin.reopen().await;
        let get = ask(&twin, "GetServiceQuota", json!({ "QuotaCode": "L-1216C47A" })).unwrap();
        assert_eq!(get["Quota"]["Value"], 4.0);
        let first = twin.run(BIOS, "t3.nano", "");
        twin.wait(&first, "running").await;
        twin.run(BIOS, "t3.micro", "");
        let third = launch(BIOS, "t2.micro", "");
        assert_eq!(twin.code(&third), "VcpuLimitExceeded");
        let two = "Action=RunInstances&ImageId=ami-0172e86000000b105&InstanceType=t2.micro\
                   &MinCount=1&MaxCount=2";
        // Stopped instances do not count, spot has its own quota.
        twin.call(&format!("Action=StopInstances&InstanceId.1={first}&SkipOsShutdown=true"));
        twin.wait(&first, "stopped").await;
        twin.call(two);
        let start = format!("Action=StartInstances&InstanceId.1={first}");
        assert_eq!(twin.code(&start), "VcpuLimitExceeded");
        let spot = launch(BIOS, "t3.nano", "InstanceMarketOptions.MarketType=spot");
        twin.call(&spot);
        set(&twin, "L-34B43A08", 2.0);
        assert_eq!(twin.code(&spot), "MaxSpotInstanceCountExceeded");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn quotas_are_listed_by_page_and_unknown_ones_refused() {
        let twin = TestTwin::new().await;
        let first = ask(&twin, "ListServiceQuotas", json!({ "MaxResults": 4 })).unwrap();
        assert_eq!(first["Quotas"].as_array().unwrap().len(), 4);
        let rest = json!({ "NextToken": first["NextToken"] });
        let rest = ask(&twin, "ListServiceQuotas", rest).unwrap();
        assert_eq!(rest["Quotas"].as_array().unwrap().len(), QUOTAS.len() - 4);
        let code = |action: &str, request: Value| ask(&twin, action, request).unwrap_err().code;
        let unknown = json!({ "QuotaCode": "L-00000000" });
        assert_eq!(code("GetServiceQuota", unknown), "NoSuchResourceException");
        let token = json!({ "NextToken": "?" });
        assert_eq!(code("ListServiceQuotas", token), "InvalidPaginationTokenException");
        assert_eq!(code("Nonsense", json!({})), "UnknownOperationException");
    }
}
