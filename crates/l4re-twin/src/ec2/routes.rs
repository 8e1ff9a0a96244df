//! The VPC's one route table, whose routes can be taken away and added: what a subnet leads to.
//!
//! Invariants: a new account's leads to the internet; the local route cannot be deleted. What
//! the routes say is answered and not enforced: guests reach the store all the same.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::actions::Call;
use super::filters::{self, Paths};
use super::network::{id_of, vpc_id};
use crate::fault::Fault;
use crate::query::Scope;

const ALL_OF_IPV4: &str = "0.0.0.0/0";
const LOCAL: &str = "172.31.0.0/16";

/// The targets that a route may have: the parameter, the field, and how its ids begin.
const TARGETS: [(&str, &str, &str); 5] = [
    ("GatewayId", "gatewayId", "igw-"),
    ("NatGatewayId", "natGatewayId", "nat-"),
    ("TransitGatewayId", "transitGatewayId", "tgw-"),
    ("NetworkInterfaceId", "networkInterfaceId", "eni-"),
    ("VpcPeeringConnectionId", "vpcPeeringConnectionId", "pcx-"),
];

/// A new account's routes: destination and target.
fn first_routes(account: &str) -> BTreeMap<String, String> {
    BTreeMap::from([(ALL_OF_IPV4.to_owned(), id_of("igw", account))])
}

/// `DescribeRouteTables`.
pub(super) fn describe(call: &Call<'_>) -> Result<Value, Fault> {
    let state = call.twin.store.lock();
    let account = &state.account;
    let mut routes = vec![route(LOCAL, "local", "CreateRouteTable")];
    let further = account.routes.clone().unwrap_or_else(|| first_routes(&account.id));
    routes.extend(further.iter().map(|(to, target)| route(to, target, "CreateRoute")));
    let table = id_of("rtb", &account.id);
    let tables = json!({
        "routeTableId": table,
        "vpcId": vpc_id(&account.id),
        "ownerId": account.id,
        "routeSet": routes,
        "associationSet": [{
            "routeTableAssociationId": id_of("rtbassoc", &account.id),
            "routeTableId": table,
            "main": true,
            "associationState": { "state": "associated" },
        }],
        "propagatingVgwSet": [],
        "tagSet": [],
    });
    const PATHS: Paths = &[
        ("association.gateway-id", "associationSet.gatewayId"),
        ("association.main", "associationSet.main"),
        ("association.route-table-association-id", "associationSet.routeTableAssociationId"),
        ("association.route-table-id", "associationSet.routeTableId"),
        ("association.subnet-id", "associationSet.subnetId"),
        ("owner-id", "ownerId"),
        ("route-table-id", "routeTableId"),
        ("route.destination-cidr-block", "routeSet.destinationCidrBlock"),
        ("route.destination-ipv6-cidr-block", "routeSet.destinationIpv6CidrBlock"),
        ("route.destination-prefix-list-id", "routeSet.destinationPrefixListId"),
        ("route.egress-only-internet-gateway-id", "routeSet.egressOnlyInternetGatewayId"),
        ("route.gateway-id", "routeSet.gatewayId"),
        ("route.instance-id", "routeSet.instanceId"),
        ("route.nat-gateway-id", "routeSet.natGatewayId"),
        ("route.origin", "routeSet.origin"),
        ("route.state", "routeSet.state"),
        ("route.transit-gateway-id", "routeSet.transitGatewayId"),
        ("route.vpc-peering-connection-id", "routeSet.vpcPeeringConnectionId"),
        ("vpc-id", "vpcId"),
    ];
    let mut tables = vec![tables];
    known(&call.root().list("RouteTableId"), &table)?;
    filters::retain(&mut tables, &call.root(), PATHS)?;
    Ok(json!({ "routeTableSet": tables }))
}

/// `CreateRoute`.
pub(super) fn create(call: &Call<'_>) -> Result<Value, Fault> {
    let root = call.root();
    let to = root.require("DestinationCidrBlock")?.to_owned();
    let target = TARGETS.iter().find_map(|(parameter, ..)| root.get(parameter));
    let target = target.ok_or_else(|| {
        Fault::client("MissingParameter", "The request must contain a target of the route")
    })?;
    if !TARGETS.iter().any(|(_, _, prefix)| target.starts_with(prefix)) {
        let message = format!("The gateway ID '{target}' does not exist");
        return Err(Fault::client("InvalidGatewayID.NotFound", message));
    }
    change(call, &root, |routes| match routes.contains_key(&to) {
        true => {
            let message = format!("The route identified by {to} already exists.");
            Err(Fault::client("RouteAlreadyExists", message))
        }
        false => {
            routes.insert(to, target.to_owned());
            Ok(())
        }
    })
}

/// `DeleteRoute`.
pub(super) fn delete(call: &Call<'_>) -> Result<Value, Fault> {
    let root = call.root();
    let to = root.require("DestinationCidrBlock")?;
    if to == LOCAL {
        let message = format!("cannot remove local route {LOCAL}");
        return Err(Fault::client("InvalidParameterValue", message));
    }
    change(call, &root, |routes| {
        routes.remove(to).map(drop).ok_or_else(|| {
            let message = format!("no route with destination-cidr-block {to}");
            Fault::client("InvalidRoute.NotFound", message)
        })
    })
}

fn change(
    call: &Call<'_>,
    root: &Scope<'_>,
    change: impl FnOnce(&mut BTreeMap<String, String>) -> Result<(), Fault>,
) -> Result<Value, Fault> {
    let table = root.require("RouteTableId")?;
    let mut state = call.twin.store.lock();
    let account = &mut state.account;
    known(&[table], &id_of("rtb", &account.id))?;
    let first = first_routes(&account.id);
    change(account.routes.get_or_insert(first))?;
    call.twin.store.save_account(&state)?;
    Ok(json!({ "return": true }))
}

/// `DescribePrefixLists`: S3's.
pub(super) fn prefix_lists(call: &Call<'_>) -> Result<Value, Fault> {
    let region = &call.twin.config.region;
    let id = format!("pl-{}", &id_of("pl", region)[3..11]);
    if let Some(unknown) = call.root().list("PrefixListId").into_iter().find(|one| **one != id) {
        let message = format!("The prefix list ID '{unknown}' does not exist");
        return Err(Fault::client("InvalidPrefixListId.NotFound", message));
    }
    let mut lists = vec![json!({
        "prefixListId": id,
        "prefixListName": format!("com.amazonaws.{region}.s3"),
        "cidrSet": ["3.5.136.0/22"],
    })];
    const PATHS: Paths =
        &[("prefix-list-id", "prefixListId"), ("prefix-list-name", "prefixListName")];
    filters::retain(&mut lists, &call.root(), PATHS)?;
    Ok(json!({ "prefixListSet": lists }))
}

fn route(to: &str, target: &str, origin: &str) -> Value {
    let field = TARGETS.iter().find(|(.., prefix)| target.starts_with(prefix));
    let field = field.map_or("gatewayId", |(_, field, _)| field);
    json!({ "destinationCidrBlock": to, field: target, "state": "active", "origin": origin })
}

fn known(wanted: &[&str], table: &str) -> Result<(), Fault> {
    match wanted.iter().find(|id| **id != table) {
        None => Ok(()),
        Some(unknown) => {
            let message = format!("The routeTable ID '{unknown}' does not exist");
            Err(Fault::client("InvalidRouteTableID.NotFound", message))
        }
    }
}
