//! Options of a launch that change nothing on the twin, and that an instance shows as it was
//! asked for.
//!
//! Invariant: what is answered is what was asked, or EC2's default; a value that EC2 does not
//! know is refused.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::fault::Fault;
use crate::query::Scope;

/// Parameter, structure and member of the answer, and what may be asked, the default first.
struct Kept(&'static str, &'static str, &'static str, &'static [&'static str]);

const KEPT: &[Kept] = &[
    Kept(
        "CapacityReservationSpecification.CapacityReservationPreference",
        "capacityReservationSpecification",
        "capacityReservationPreference",
        &["open", "none", "capacity-reservations-only"],
    ),
    Kept(
        "MaintenanceOptions.AutoRecovery",
        "maintenanceOptions",
        "autoRecovery",
        &["default", "disabled"],
    ),
    Kept(
        "NetworkPerformanceOptions.BandwidthWeighting",
        "networkPerformanceOptions",
        "bandwidthWeighting",
        &["default", "vpc-1", "ebs-1"],
    ),
    Kept(HOSTNAME, "privateDnsNameOptions", "hostnameType", &["ip-name", RESOURCE_NAME]),
    Kept(
        "PrivateDnsNameOptions.EnableResourceNameDnsARecord",
        "privateDnsNameOptions",
        "enableResourceNameDnsARecord",
        &["false", "true"],
    ),
    Kept(
        "PrivateDnsNameOptions.EnableResourceNameDnsAAAARecord",
        "privateDnsNameOptions",
        "enableResourceNameDnsAAAARecord",
        &["false", "true"],
    ),
];

const HOSTNAME: &str = "PrivateDnsNameOptions.HostnameType";
const RESOURCE_NAME: &str = "resource-name";

/// What a launch asks for besides the defaults.
pub(super) fn read(root: &Scope<'_>) -> Result<BTreeMap<String, String>, Fault> {
    let mut asked = BTreeMap::new();
    for Kept(parameter, _, _, values) in KEPT {
        match root.get(parameter) {
            Some(value) if values.contains(&value) => {
                asked.insert((*parameter).to_owned(), value.to_owned());
            }
            Some(other) => {
                let message = format!("Value ({other}) for parameter {parameter} is invalid.");
                return Err(Fault::invalid(message));
            }
            None => {}
        }
    }
    Ok(asked)
}

/// Writes them into an instance's tree.
pub(super) fn show(asked: &BTreeMap<String, String>, instance: &mut Value) {
    for Kept(parameter, structure, member, values) in KEPT {
        let value = asked.get(*parameter).map_or(values[0], String::as_str);
        instance[*structure][*member] = match value {
            "false" => json!(false),
            "true" => json!(true),
            text => json!(text),
        };
    }
}

/// Whether the instance's private name is made of its id.
pub(super) fn is_named_by_id(asked: &BTreeMap<String, String>) -> bool {
    asked.get(HOSTNAME).is_some_and(|kind| kind == RESOURCE_NAME)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::Params;

    #[test]
    fn what_is_asked_is_shown_beside_the_defaults() {
        let form = "MaintenanceOptions.AutoRecovery=disabled";
        let asked = read(&Params::parse(form.as_bytes()).unwrap().root()).unwrap();
        let mut instance = json!({});
        show(&asked, &mut instance);
        assert_eq!(instance["maintenanceOptions"]["autoRecovery"], "disabled");
        assert_eq!(instance["privateDnsNameOptions"]["enableResourceNameDnsARecord"], false);
        let wrong = Params::parse(b"MaintenanceOptions.AutoRecovery=x").unwrap();
        assert_eq!(read(&wrong.root()).unwrap_err().code, "InvalidParameterValue");
    }
}
