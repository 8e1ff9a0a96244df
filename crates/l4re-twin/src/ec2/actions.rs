//! The table of EC2's actions, and the way of a call through it.
//!
//! Invariant: an action is in the table or it is `InvalidAction`; a dry run changes
//! nothing, whatever the action.

use std::sync::Arc;

use serde_json::Value;

use super::{
    attributes, console, images, instance_types, instances, launch, lifecycle, metadata_defaults,
    network, registration, routes, screenshot, snapshots, spot_prices, spot_requests, tags,
    volumes,
};
use crate::fault::Fault;
use crate::query::{Params, Scope};
use crate::twin::Twin;
use crate::xml;

/// What an action is given.
pub(super) struct Call<'a> {
    pub(super) twin: &'a Arc<Twin>,
    pub(super) params: &'a Params,
    pub(super) now: jiff::Timestamp,
}

impl<'a> Call<'a> {
    /// The parameters as a tree.
    pub(super) fn root(&self) -> Scope<'a> {
        self.params.root()
    }
}

type Action = fn(&Call<'_>) -> Result<Value, Fault>;

/// Whether a dry run is answered before the action or by it, after its own checks.
#[derive(PartialEq, Eq)]
enum DryRun {
    Before,
    Within,
}

const ACTIONS: &[(&str, DryRun, Action)] = &[
    ("CancelSpotInstanceRequests", DryRun::Before, spot_requests::cancel),
    ("CopyImage", DryRun::Before, registration::copy),
    ("CreateRoute", DryRun::Before, routes::create),
    ("CreateTags", DryRun::Before, tags::create),
    ("DeleteRoute", DryRun::Before, routes::delete),
    ("DeleteSnapshot", DryRun::Before, snapshots::delete),
    ("DeleteTags", DryRun::Before, tags::delete),
    ("DeleteVolume", DryRun::Before, volumes::delete),
    ("DeregisterImage", DryRun::Before, registration::deregister),
    ("DescribeAccountAttributes", DryRun::Before, network::account_attributes),
    ("DescribeAvailabilityZones", DryRun::Before, network::availability_zones),
    ("DescribeImages", DryRun::Before, images::describe),
    ("DescribeInstanceAttribute", DryRun::Before, attributes::describe),
    ("DescribeInstanceStatus", DryRun::Before, instances::describe_status),
    ("DescribeInstanceTypeOfferings", DryRun::Before, instance_types::offerings),
    ("DescribeInstanceTypes", DryRun::Before, instance_types::describe),
    ("DescribeInstances", DryRun::Before, instances::describe),
    ("DescribePrefixLists", DryRun::Before, routes::prefix_lists),
    ("DescribeRegions", DryRun::Before, network::regions),
    ("DescribeRouteTables", DryRun::Before, routes::describe),
    ("DescribeSecurityGroups", DryRun::Before, network::security_groups),
    ("DescribeSnapshots", DryRun::Before, snapshots::describe),
    ("DescribeSpotInstanceRequests", DryRun::Before, spot_requests::describe),
    ("DescribeSpotPriceHistory", DryRun::Before, spot_prices::describe),
    ("DescribeSubnets", DryRun::Before, network::subnets),
    ("DescribeTags", DryRun::Before, tags::describe),
    ("DescribeVolumes", DryRun::Before, volumes::describe),
    ("DescribeVpcs", DryRun::Before, network::vpcs),
    ("DisableSerialConsoleAccess", DryRun::Before, console::disable_access),
    ("EnableSerialConsoleAccess", DryRun::Before, console::enable_access),
    ("GetConsoleOutput", DryRun::Before, console::output),
    ("GetConsoleScreenshot", DryRun::Before, screenshot::get),
    ("GetInstanceMetadataDefaults", DryRun::Before, metadata_defaults::get),
    ("GetSerialConsoleAccessStatus", DryRun::Before, console::access_status),
    ("ModifyInstanceAttribute", DryRun::Before, attributes::modify),
    ("ModifyInstanceMetadataDefaults", DryRun::Before, metadata_defaults::modify),
    ("ModifyInstanceMetadataOptions", DryRun::Before, attributes::modify_metadata_options),
    ("ModifySubnetAttribute", DryRun::Before, network::modify_subnet),
    ("RebootInstances", DryRun::Before, lifecycle::reboot),
    ("RegisterImage", DryRun::Before, registration::register),
    ("RunInstances", DryRun::Within, launch::run),
    ("StartInstances", DryRun::Before, lifecycle::start),
    ("StopInstances", DryRun::Before, lifecycle::stop),
    ("TerminateInstances", DryRun::Before, lifecycle::terminate),
];

/// The names of all actions.
pub(crate) fn action_names() -> impl Iterator<Item = &'static str> {
    ACTIONS.iter().map(|(name, ..)| *name)
}

/// Answers one call: status and XML.
pub(crate) fn answer(twin: &Arc<Twin>, body: &[u8], now: jiff::Timestamp) -> (u16, String) {
    let request_id = uuid();
    match act(twin, body, now) {
        Ok((action, value)) => (200, xml::ec2_response(action, &request_id, &value)),
        Err(fault) => refusal(&fault),
    }
}

/// An error in EC2's shape.
pub(crate) fn refusal(fault: &Fault) -> (u16, String) {
    (fault.status, xml::ec2_error(&uuid(), &fault.code, &fault.message))
}

fn act(
    twin: &Arc<Twin>,
    body: &[u8],
    now: jiff::Timestamp,
) -> Result<(&'static str, Value), Fault> {
    let params = Params::parse(body)?;
    let name = params.root().get("Action").unwrap_or_default();
    let (name, dry_run, action) = ACTIONS
        .iter()
        .find(|(candidate, ..)| *candidate == name)
        .ok_or_else(|| unknown_action(name))?;
    if params.root().flag("DryRun")? && *dry_run == DryRun::Before {
        return Err(dry_run_succeeded());
    }
    Ok((*name, action(&Call { twin, params: &params, now })?))
}

fn unknown_action(name: &str) -> Fault {
    if name.is_empty() {
        let message = "The request must contain the parameter Action";
        return Fault::client("MissingAction", message);
    }
    let message = format!("The action {name} is not valid for this web service.");
    Fault::client("InvalidAction", message)
}

/// How EC2 says that a dry run would have succeeded.
pub(super) fn dry_run_succeeded() -> Fault {
    let message = "Request would have succeeded, but DryRun flag is set.";
    Fault::new(412, "DryRunOperation", message)
}

/// A request id of AWS's form.
pub(crate) fn uuid() -> String {
    let hex = crate::state::random_hex(32);
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_has_no_name_twice() {
        assert!(ACTIONS.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }
}
