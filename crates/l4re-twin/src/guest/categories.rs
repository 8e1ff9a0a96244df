//! The categories below `meta-data/`, each with its value. Spec: EC2 user guide, "Instance
//! metadata categories". What EC2 leaves out, since the instance has none (a key, a role, a
//! spot interruption), is left out here.

use crate::ec2::{is_nitro, security_group_id, subnet_network, vpc_id, zone_id};
use crate::state::Instance;

type Categories = Vec<(String, String)>;

/// All of an instance, by their paths.
pub(super) fn categories(instance: &Instance, account: &str, region: &str) -> Categories {
    let mut all: Categories = placement(instance, region);
    all.extend(interface(instance, account, region));
    if let Some(address) = &instance.public_ip {
        let name = format!("ec2-{}.{region}.compute.amazonaws.com", address.replace('.', "-"));
        all.push(("public-hostname".to_owned(), name));
        all.push(("public-ipv4".to_owned(), address.clone()));
    }
    if instance.metadata.tags_enabled {
        let tags = instance.tags.iter();
        all.extend(tags.map(|(key, value)| (format!("tags/instance/{key}"), value.clone())));
    }
    all
}

fn hostname(instance: &Instance, region: &str) -> String {
    format!("ip-{}.{region}.compute.internal", instance.private_ip.replace('.', "-"))
}

/// What it is and where.
fn placement(instance: &Instance, region: &str) -> Categories {
    let life_cycle = instance.spot.as_ref().map_or("on-demand", |_| "spot");
    let hostname = hostname(instance, region);
    [
        ("ami-id", &*instance.image_id),
        ("ami-launch-index", &instance.launch_index.to_string()),
        ("ami-manifest-path", "(unknown)"),
        ("block-device-mapping/ami", "/dev/sda1"),
        ("block-device-mapping/root", "/dev/sda1"),
        ("events/maintenance/history", "[]"),
        ("events/maintenance/scheduled", "[]"),
        ("hostname", &hostname),
        ("instance-action", "none"),
        ("instance-id", &instance.id),
        ("instance-life-cycle", life_cycle),
        ("instance-type", &instance.instance_type),
        ("local-hostname", &hostname),
        ("local-ipv4", &instance.private_ip),
        ("mac", &instance.mac),
        ("metrics/vhostmd", "<?xml version=\"1.0\" encoding=\"UTF-8\"?>"),
        ("placement/availability-zone", &instance.zone),
        ("placement/availability-zone-id", &zone_id(&instance.zone)),
        ("placement/region", region),
        ("profile", "default-hvm"),
        ("reservation-id", &instance.reservation_id),
        ("security-groups", "default"),
        ("services/domain", "amazonaws.com"),
        ("services/partition", "aws"),
        ("system", if is_nitro(&instance.instance_type) { "nitro" } else { "xen" }),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec()
}

/// Its one network card.
fn interface(instance: &Instance, account: &str, region: &str) -> Categories {
    let vpc = "172.31.0.0/16";
    let mut all = vec![
        ("device-number", "0".to_owned()),
        ("interface-id", instance.eni_id.clone()),
        ("local-hostname", hostname(instance, region)),
        ("local-ipv4s", instance.private_ip.clone()),
        ("mac", instance.mac.clone()),
        ("network-card", "0".to_owned()),
        ("owner-id", account.to_owned()),
        ("security-group-ids", security_group_id(account)),
        ("security-groups", "default".to_owned()),
        ("subnet-id", instance.subnet_id.clone()),
        ("subnet-ipv4-cidr-block", subnet_network(&instance.zone, region)),
        ("vpc-id", vpc_id(account)),
        ("vpc-ipv4-cidr-block", vpc.to_owned()),
        ("vpc-ipv4-cidr-blocks", vpc.to_owned()),
    ];
    if let Some(address) = &instance.public_ip {
        all.push(("public-ipv4s", address.clone()));
    }
    let below = format!("network/interfaces/macs/{}", instance.mac);
    let mut all: Categories =
        all.into_iter().map(|(name, value)| (format!("{below}/{name}"), value)).collect();
    if let Some(address) = &instance.public_ip {
        let name = format!("{below}/ipv4-associations/{address}");
        all.push((name, instance.private_ip.clone()));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn an_instance_finds_itself_its_place_and_its_network() {
        let test = crate::fixture::TestTwin::new().await;
        let form = b"Action=RunInstances&ImageId=ami-0172e86000000b105&InstanceType=t2.micro\
                     &MinCount=1&MaxCount=1&Placement.AvailabilityZone=eu-central-1b";
        let (status, xml) = crate::ec2::answer(&test.twin, form, jiff::Timestamp::now());
        assert_eq!(status, 200, "{xml}");
        let (instance, account) = {
            let state = test.twin.store.lock();
            (state.instances.values().next().unwrap().clone(), state.account.id.clone())
        };
        let all = categories(&instance, &account, "eu-central-1");
        let value = |name: &str| {
            let found = all.iter().find(|(path, _)| path == name);
            found.unwrap_or_else(|| panic!("no {name}")).1.clone()
        };
        assert_eq!(value("instance-id"), instance.id);
        assert_eq!(value("system"), "xen");
        assert_eq!(value("placement/availability-zone"), "eu-central-1b");
        let card = format!("network/interfaces/macs/{}", instance.mac);
        assert_eq!(value(&format!("{card}/subnet-ipv4-cidr-block")), "172.31.16.0/20");
        let address = instance.public_ip.clone().unwrap();
        let association = format!("{card}/ipv4-associations/{address}");
        assert_eq!(value(&association), instance.private_ip);
        assert!(value("public-hostname").starts_with("ec2-203-0-113-"));
        test.twin.machines.end_all().await;
    }
}
