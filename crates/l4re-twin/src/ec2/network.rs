//! The network that a new account has: regions, zones, one default VPC, a subnet per zone,
//! the default security group. Derived from account and region, so that nothing is stored.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::actions::Call;
use super::filters::{self, Paths};
use super::ids;
use super::pages::page;
use crate::fault::Fault;
use crate::state::Account;

/// What every account has.
const REGIONS: &[&str] = &[
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-northeast-3",
    "ap-south-1",
    "ap-southeast-1",
    "ap-southeast-2",
    "ca-central-1",
    "eu-central-1",
    "eu-north-1",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "sa-east-1",
    "us-east-1",
    "us-east-2",
    "us-west-1",
    "us-west-2",
];

/// What an account has to ask for.
const OPT_IN: &[&str] = &[
    "af-south-1",
    "ap-east-1",
    "ap-east-2",
    "ap-south-2",
    "ap-southeast-3",
    "ap-southeast-4",
    "ap-southeast-5",
    "ap-southeast-6",
    "ap-southeast-7",
    "ca-west-1",
    "eu-central-2",
    "eu-south-1",
    "eu-south-2",
    "il-central-1",
    "me-central-1",
    "me-south-1",
    "mx-central-1",
];

/// An availability zone.
pub(super) struct Zone {
    pub(super) name: String,
    pub(super) id: String,
    letter: char,
}

impl Zone {
    pub(super) fn subnet_id(&self, account: &str) -> String {
        format!("subnet-0{}", digest(account, &self.name))
    }

    /// The third byte of the subnet's addresses, 172.31.N.0/20.
    pub(super) fn network(&self) -> u8 {
        (self.letter as u8 - b'a') * 16
    }

    /// All of the subnet's addresses.
    fn cidr(&self) -> String {
        format!("172.31.{}.0/20", self.network())
    }
}

/// The zones of a region: three, as most regions have.
pub(super) fn zones(region: &str) -> impl Iterator<Item = Zone> {
    ['a', 'b', 'c'].into_iter().map(move |letter| {
        let name = format!("{region}{letter}");
        Zone { id: zone_id(&name), name, letter }
    })
}

/// `euc1-az1` for `eu-central-1a`.
pub(crate) fn zone_id(zone: &str) -> String {
    let region = zone.trim_end_matches(|c: char| c.is_ascii_lowercase());
    let letter = zone[region.len()..].bytes().next().unwrap_or(b'a');
    let mut parts = region.split('-');
    let mut id = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let directions = ["north", "south", "east", "west", "central"];
        let initials = directions.iter().filter(|word| part.contains(**word));
        let mut found: Vec<_> = initials.map(|word| (part.find(word), &word[..1])).collect();
        found.sort_unstable();
        id.extend(found.iter().map(|(_, initial)| *initial));
        id.extend(part.chars().filter(char::is_ascii_digit));
    }
    format!("{id}-az{}", letter - b'a' + 1)
}

/// The addresses of a zone's subnet; none for a zone that is none.
pub(crate) fn subnet_network(zone: &str, region: &str) -> String {
    zones(region).find(|one| one.name == zone).map(|zone| zone.cidr()).unwrap_or_default()
}

/// The id of the account's one resource of a kind.
pub(super) fn id_of(kind: &str, account: &str) -> String {
    format!("{kind}-0{}", digest(account, kind))
}

pub(crate) fn vpc_id(account: &str) -> String {
    format!("vpc-0{}", digest(account, "vpc"))
}

pub(crate) fn security_group_id(account: &str) -> String {
    format!("sg-0{}", digest(account, "default"))
}

/// The network card's address: locally administered, EC2's form, from the interface's id.
pub(crate) fn mac_of(eni_id: &str) -> String {
    let hash = Sha256::digest(eni_id);
    format!("02:{:02x}:{:02x}:{:02x}:{:02x}:{:02x}", hash[0], hash[1], hash[2], hash[3], hash[4])
}

fn digest(account: &str, name: &str) -> String {
    hex::encode(Sha256::digest(format!("{account}/{name}")))[..16].to_owned()
}

/// `DescribeRegions`.
pub(super) fn regions(call: &Call<'_>) -> Result<Value, Fault> {
    let wanted = call.root().list("RegionName");
    let own = call.twin.config.region.as_str();
    let status = |name: &str| match (REGIONS.contains(&name), name == own) {
        (true, _) => "opt-in-not-required",
        (false, true) => "opted-in",
        (false, false) => "not-opted-in",
    };
    let mut names = [REGIONS, OPT_IN].concat();
    if !names.contains(&own) {
        names.push(own);
    }
    if let Some(unknown) = wanted.iter().find(|name| !names.contains(name)) {
        return Err(Fault::invalid(format!("Invalid region provided: {unknown}")));
    }
    let all = call.root().flag("AllRegions")? || !wanted.is_empty();
    let mut regions: Vec<Value> = names
        .into_iter()
        .filter(|name| wanted.is_empty() || wanted.contains(name))
        .filter(|name| all || status(name) != "not-opted-in")
        .map(|name| {
            json!({
                "regionName": name,
                "regionEndpoint": format!("ec2.{name}.amazonaws.com"),
                "optInStatus": status(name),
            })
        })
        .collect();
    filters::retain(
        &mut regions,
        &call.root(),
        &[
            ("endpoint", "regionEndpoint"),
            ("opt-in-status", "optInStatus"),
            ("region-name", "regionName"),
        ],
    )?;
    Ok(json!({ "regionInfo": regions }))
}

/// `DescribeAvailabilityZones`.
pub(super) fn availability_zones(call: &Call<'_>) -> Result<Value, Fault> {
    let region = &call.twin.config.region;
    let root = call.root();
    let (names, ids) = (root.list("ZoneName"), root.list("ZoneId"));
    let unknown = names.iter().find(|name| zones(region).all(|zone| zone.name != **name));
    let unknown_id = || ids.iter().find(|id| zones(region).all(|zone| zone.id != **id));
    if let Some(unknown) = unknown.or_else(unknown_id) {
        return Err(Fault::invalid(format!("Invalid availability zone: [{unknown}]")));
    }
    let mut list: Vec<Value> = zones(region)
        .filter(|zone| names.is_empty() || names.contains(&zone.name.as_str()))
        .filter(|zone| ids.is_empty() || ids.contains(&zone.id.as_str()))
        .map(|zone| {
            json!({
                "zoneName": zone.name,
                "zoneId": zone.id,
                "zoneState": "available",
                "zoneType": "availability-zone",
                "regionName": region,
                "groupName": format!("{region}-zg-1"),
                "networkBorderGroup": region,
                "optInStatus": "opt-in-not-required",
                "messageSet": [],
            })
        })
        .collect();
    const PATHS: Paths = &[
        ("group-long-name", "groupLongName"),
        ("group-name", "groupName"),
        ("message", "messageSet.message"),
        ("opt-in-status", "optInStatus"),
        ("parent-zone-id", "parentZoneId"),
        ("parent-zone-name", "parentZoneName"),
        ("region-name", "regionName"),
        ("state", "zoneState"),
        ("zone-id", "zoneId"),
        ("zone-name", "zoneName"),
        ("zone-type", "zoneType"),
    ];
    filters::retain(&mut list, &root, PATHS)?;
    Ok(json!({ "availabilityZoneInfo": list }))
}

/// `DescribeVpcs`.
pub(super) fn vpcs(call: &Call<'_>) -> Result<Value, Fault> {
    let account = call.twin.store.lock().account.id.clone();
    let vpc = json!({
        "vpcId": vpc_id(&account),
        "ownerId": account,
        "state": "available",
        "cidrBlock": "172.31.0.0/16",
        "cidrBlockAssociationSet": [{
            "associationId": format!("vpc-cidr-assoc-0{}", digest(&account, "cidr")),
            "cidrBlock": "172.31.0.0/16",
            "cidrBlockState": { "state": "associated" },
        }],
        "dhcpOptionsId": format!("dopt-0{}", digest(&account, "dhcp")),
        "instanceTenancy": "default",
        "isDefault": true,
        "tagSet": [],
    });
    const PATHS: Paths = &[
        ("cidr", "cidrBlock"),
        ("cidr-block", "cidrBlock"),
        ("cidr-block-association.association-id", "cidrBlockAssociationSet.associationId"),
        ("cidr-block-association.cidr-block", "cidrBlockAssociationSet.cidrBlock"),
        ("cidr-block-association.state", "cidrBlockAssociationSet.cidrBlockState.state"),
        ("dhcp-options-id", "dhcpOptionsId"),
        ("ipv6-cidr-block-association.association-id", "ipv6CidrBlockAssociationSet.associationId"),
        (
            "ipv6-cidr-block-association.ipv6-cidr-block",
            "ipv6CidrBlockAssociationSet.ipv6CidrBlock",
        ),
        ("ipv6-cidr-block-association.ipv6-pool", "ipv6CidrBlockAssociationSet.ipv6Pool"),
        (
            "ipv6-cidr-block-association.state",
            "ipv6CidrBlockAssociationSet.ipv6CidrBlockState.state",
        ),
        ("is-default", "isDefault"),
        ("isDefault", "isDefault"),
        ("owner-id", "ownerId"),
        ("state", "state"),
        ("vpc-id", "vpcId"),
    ];
    let mut vpcs = vec![vpc];
    only_known(&mut vpcs, "vpcId", &call.root().list("VpcId"), "InvalidVpcID.NotFound", "vpc ID")?;
    filters::retain(&mut vpcs, &call.root(), PATHS)?;
    let (vpcs, next) = page(vpcs, &call.root(), 5..=1000)?;
    Ok(json!({ "vpcSet": vpcs, "nextToken": next }))
}

/// `DescribeSubnets`.
pub(super) fn subnets(call: &Call<'_>) -> Result<Value, Fault> {
    let account = call.twin.store.lock().account.clone();
    let region = &call.twin.config.region;
    let mut subnets: Vec<Value> =
        zones(region).map(|zone| subnet(&zone, region, &account)).collect();
    const PATHS: Paths = &[
        ("availability-zone", "availabilityZone"),
        ("availability-zone-id", "availabilityZoneId"),
        ("availabilityZone", "availabilityZone"),
        ("available-ip-address-count", "availableIpAddressCount"),
        ("cidr-block", "cidrBlock"),
        ("customer-owned-ipv4-pool", "customerOwnedIpv4Pool"),
        ("default-for-az", "defaultForAz"),
        ("defaultForAz", "defaultForAz"),
        ("enable-dns64", "enableDns64"),
        ("enable-lni-at-device-index", "enableLniAtDeviceIndex"),
        ("ipv6-cidr-block-association.association-id", "ipv6CidrBlockAssociationSet.associationId"),
        (
            "ipv6-cidr-block-association.ipv6-cidr-block",
            "ipv6CidrBlockAssociationSet.ipv6CidrBlock",
        ),
        (
            "ipv6-cidr-block-association.state",
            "ipv6CidrBlockAssociationSet.ipv6CidrBlockState.state",
        ),
        ("ipv6-native", "ipv6Native"),
        ("map-customer-owned-ip-on-launch", "mapCustomerOwnedIpOnLaunch"),
        ("map-public-ip-on-launch", "mapPublicIpOnLaunch"),
        ("outpost-arn", "outpostArn"),
        ("owner-id", "ownerId"),
        (
            "private-dns-name-options-on-launch.enable-resource-name-dns-a-record",
            "privateDnsNameOptionsOnLaunch.enableResourceNameDnsARecord",
        ),
        (
            "private-dns-name-options-on-launch.enable-resource-name-dns-aaaa-record",
            "privateDnsNameOptionsOnLaunch.enableResourceNameDnsAAAARecord",
        ),
        (
            "private-dns-name-options-on-launch.hostname-type",
            "privateDnsNameOptionsOnLaunch.hostnameType",
        ),
        ("state", "state"),
        ("subnet-arn", "subnetArn"),
        ("subnet-id", "subnetId"),
        ("vpc-id", "vpcId"),
    ];
    let wanted = call.root().list("SubnetId");
    only_known(&mut subnets, "subnetId", &wanted, "InvalidSubnetID.NotFound", "subnet ID")?;
    filters::retain(&mut subnets, &call.root(), PATHS)?;
    let (subnets, next) = page(subnets, &call.root(), 5..=1000)?;
    Ok(json!({ "subnetSet": subnets, "nextToken": next }))
}

/// `ModifySubnetAttribute`: whether it gives public addresses.
pub(super) fn modify_subnet(call: &Call<'_>) -> Result<Value, Fault> {
    let root = call.root();
    let id = root.require("SubnetId")?;
    let wish = root.below("MapPublicIpOnLaunch");
    wish.require("Value")?;
    let mut state = call.twin.store.lock();
    let account = &mut state.account;
    if zones(&call.twin.config.region).all(|zone| zone.subnet_id(&account.id) != id) {
        let message = format!("The subnet ID '{id}' does not exist");
        return Err(Fault::client("InvalidSubnetID.NotFound", message));
    }
    match wish.flag("Value")? {
        true => account.private_subnets.remove(id),
        false => account.private_subnets.insert(id.to_owned()),
    };
    call.twin.store.save_account(&state)?;
    Ok(json!({ "return": true }))
}

fn subnet(zone: &Zone, region: &str, account: &Account) -> Value {
    let id = zone.subnet_id(&account.id);
    let public = !account.private_subnets.contains(&id);
    let account = &account.id;
    json!({
        "subnetArn": format!("arn:aws:ec2:{region}:{account}:subnet/{id}"),
        "subnetId": id,
        "vpcId": vpc_id(account),
        "ownerId": account,
        "state": "available",
        "cidrBlock": zone.cidr(),
        "availableIpAddressCount": 4091,
        "availabilityZone": zone.name,
        "availabilityZoneId": zone.id,
        "defaultForAz": true,
        "mapPublicIpOnLaunch": public,
        "assignIpv6AddressOnCreation": false,
        "ipv6CidrBlockAssociationSet": [],
        "ipv6Native": false,
        "enableDns64": false,
        "mapCustomerOwnedIpOnLaunch": false,
        "privateDnsNameOptionsOnLaunch": {
            "hostnameType": "ip-name",
            "enableResourceNameDnsARecord": false,
            "enableResourceNameDnsAAAARecord": false,
        },
        "tagSet": [],
    })
}

/// `DescribeSecurityGroups`.
pub(super) fn security_groups(call: &Call<'_>) -> Result<Value, Fault> {
    let account = call.twin.store.lock().account.id.clone();
    let region = &call.twin.config.region;
    let id = security_group_id(&account);
    let permission = |own: Value, ranges: Value| {
        json!({"ipProtocol": "-1", "groups": own, "ipRanges": ranges, "ipv6Ranges": [],
               "prefixListIds": []})
    };
    let group = json!({
        "securityGroupArn": format!("arn:aws:ec2:{region}:{account}:security-group/{id}"),
        "groupId": id,
        "groupName": "default",
        "groupDescription": "default VPC security group",
        "ownerId": account,
        "vpcId": vpc_id(&account),
        "ipPermissions": [permission(json!([{"userId": account, "groupId": id}]), json!([]))],
        "ipPermissionsEgress": [permission(json!([]), json!([{"cidrIp": "0.0.0.0/0"}]))],
        "tagSet": [],
    });
    const PATHS: Paths = &[
        ("description", "groupDescription"),
        ("egress.ip-permission.cidr", "ipPermissionsEgress.ipRanges.cidrIp"),
        ("egress.ip-permission.from-port", "ipPermissionsEgress.fromPort"),
        ("egress.ip-permission.group-id", "ipPermissionsEgress.groups.groupId"),
        ("egress.ip-permission.group-name", "ipPermissionsEgress.groups.groupName"),
        ("egress.ip-permission.ipv6-cidr", "ipPermissionsEgress.ipv6Ranges.cidrIpv6"),
        ("egress.ip-permission.prefix-list-id", "ipPermissionsEgress.prefixListIds.prefixListId"),
        ("egress.ip-permission.protocol", "ipPermissionsEgress.ipProtocol"),
        ("egress.ip-permission.to-port", "ipPermissionsEgress.toPort"),
        ("egress.ip-permission.user-id", "ipPermissionsEgress.groups.userId"),
        ("group-id", "groupId"),
        ("group-name", "groupName"),
        ("ip-permission.cidr", "ipPermissions.ipRanges.cidrIp"),
        ("ip-permission.from-port", "ipPermissions.fromPort"),
        ("ip-permission.group-id", "ipPermissions.groups.groupId"),
        ("ip-permission.group-name", "ipPermissions.groups.groupName"),
        ("ip-permission.ipv6-cidr", "ipPermissions.ipv6Ranges.cidrIpv6"),
        ("ip-permission.prefix-list-id", "ipPermissions.prefixListIds.prefixListId"),
        ("ip-permission.protocol", "ipPermissions.ipProtocol"),
        ("ip-permission.to-port", "ipPermissions.toPort"),
        ("ip-permission.user-id", "ipPermissions.groups.userId"),
        ("owner-id", "ownerId"),
        ("vpc-id", "vpcId"),
    ];
    let mut groups = vec![group];
    let root = call.root();
    let not_found = "InvalidGroup.NotFound";
    let ids = root.list("GroupId");
    for id in &ids {
        ids::check("sg-", id, "InvalidGroupId.Malformed")?;
    }
    only_known(&mut groups, "groupId", &ids, not_found, "security group")?;
    only_known(&mut groups, "groupName", &root.list("GroupName"), not_found, "security group")?;
    filters::retain(&mut groups, &root, PATHS)?;
    let (groups, next) = page(groups, &call.root(), 5..=1000)?;
    Ok(json!({ "securityGroupInfo": groups, "nextToken": next }))
}

/// `DescribeAccountAttributes`.
pub(super) fn account_attributes(call: &Call<'_>) -> Result<Value, Fault> {
    let account = call.twin.store.lock().account.id.clone();
    let wanted = call.root().list("AttributeName");
    let all = [
        ("supported-platforms", "VPC".to_owned()),
        ("default-vpc", vpc_id(&account)),
        ("max-instances", "20".to_owned()),
        ("vpc-max-security-groups-per-interface", "5".to_owned()),
        ("max-elastic-ips", "5".to_owned()),
        ("vpc-max-elastic-ips", "5".to_owned()),
    ];
    if let Some(bad) = wanted.iter().find(|name| all.iter().all(|(known, _)| known != *name)) {
        let message = format!("Value ({bad}) for parameter attributeName is invalid.");
        return Err(Fault::invalid(message));
    }
    let attributes: Vec<Value> = all.into_iter()
    .filter(|(name, _)| wanted.is_empty() || wanted.contains(name))
    .map(|(name, value)| {
        json!({"attributeName": name, "attributeValueSet": [{"attributeValue": value}]})
    })
    .collect();
    Ok(json!({ "accountAttributeSet": attributes }))
}

/// Retains the named ones; a name that is not there is EC2's NotFound.
fn only_known(
    items: &mut Vec<Value>,
    field: &str,
    wanted: &[&str],
    code: &'static str,
    what: &str,
) -> Result<(), Fault> {
    if let Some(unknown) = wanted.iter().find(|id| items.iter().all(|item| item[field] != **id)) {
        return Err(Fault::client(code, format!("The {what} '{unknown}' does not exist")));
    }
    items.retain(|item| wanted.is_empty() || wanted.iter().any(|id| item[field] == **id));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zone_ids_have_aws_form() {
        assert_eq!(zone_id("eu-central-1a"), "euc1-az1");
        assert_eq!(zone_id("ap-southeast-2c"), "apse2-az3");
        assert_eq!(zone_id("us-east-1b"), "use1-az2");
    }

    #[test]
    fn ids_are_stable_and_of_ec2s_length() {
        let zone = zones("eu-central-1").next().unwrap();
        let id = zone.subnet_id("111122223333");
        assert_eq!(id.len(), "subnet-0123456789abcdef0".len());
        assert_eq!(id, zone.subnet_id("111122223333"));
        assert_ne!(id, zone.subnet_id("444455556666"));
    }
}
