//! What a launch may ask for on EC2 and the twin does not play. It is refused: an answer that
//! passes over it would promise what is not there.

use crate::fault::Fault;
use crate::query::Scope;

/// Parameters whose mere presence asks for something, and what the twin lacks then.
const LACKING: &[(&str, &str)] = &[
    ("KernelId", "kernels outside of AMIs"),
    ("RamdiskId", "RAM disks outside of AMIs"),
    ("PrivateIpAddress", "a choice of private addresses"),
    ("Ipv6Address", "IPv6"),
    ("Ipv6AddressCount", "IPv6"),
    ("EnablePrimaryIpv6", "IPv6"),
    ("LicenseSpecification", "licenses"),
    ("SecondaryInterface", "secondary networks"),
    ("Operator", "instances that a service manages"),
    ("ElasticGpuSpecification", "accelerators"),
    ("ElasticInferenceAccelerator", "accelerators"),
    ("CapacityReservationSpecification.CapacityReservationTarget", "capacity reservations"),
    ("Placement.GroupName", "placement groups"),
    ("Placement.GroupId", "placement groups"),
    ("Placement.HostId", "dedicated hosts"),
    ("Placement.HostResourceGroupArn", "dedicated hosts"),
    ("Placement.PartitionNumber", "placement groups"),
];

/// The same of a network interface.
const LACKING_OF_INTERFACES: &[(&str, &str)] = &[
    ("PrivateIpAddress", "a choice of private addresses"),
    ("PrivateIpAddresses", "a choice of private addresses"),
    ("SecondaryPrivateIpAddressCount", "secondary private addresses"),
    ("Ipv6Addresses", "IPv6"),
    ("Ipv6AddressCount", "IPv6"),
    ("Ipv4Prefix", "address prefixes"),
    ("Ipv4PrefixCount", "address prefixes"),
    ("Ipv6Prefix", "IPv6"),
    ("Ipv6PrefixCount", "IPv6"),
];

/// Refuses a launch that asks for something of that.
pub(super) fn refuse(root: &Scope<'_>) -> Result<(), Fault> {
    refuse_lacking(root, LACKING)?;
    if root.below("HibernationOptions").flag("Configured")? {
        return Err(hibernation());
    }
    if root.below("EnclaveOptions").flag("Enabled")? {
        return Err(lacks("enclaves"));
    }
    if root.below("CpuOptions").get("AmdSevSnp") == Some("enabled") {
        return Err(lacks("AMD SEV-SNP"));
    }
    match root.below("Placement").get("Tenancy").unwrap_or("default") {
        "default" => {}
        "dedicated" | "host" => return Err(lacks("dedicated hardware")),
        other => {
            let message = format!("Value ({other}) for parameter instanceTenancy is invalid.");
            return Err(Fault::invalid(message));
        }
    }
    refuse_interfaces(root)
}

fn refuse_interfaces(root: &Scope<'_>) -> Result<(), Fault> {
    let interfaces = root.items("NetworkInterface");
    if interfaces.len() > 1 {
        return Err(lacks("second network interfaces"));
    }
    for interface in &interfaces {
        if let Some(id) = interface.get("NetworkInterfaceId") {
            let message = format!("The networkInterface ID '{id}' does not exist");
            return Err(Fault::client("InvalidNetworkInterfaceID.NotFound", message));
        }
        if interface.number::<u32>("DeviceIndex")? != Some(0) {
            let message = "A network interface with the device index 0 is required";
            return Err(Fault::invalid(message));
        }
        if let Some(kind) = interface.get("InterfaceType").filter(|kind| *kind != "interface") {
            return Err(lacks(&format!("network interfaces of the type {kind}")));
        }
        refuse_lacking(interface, LACKING_OF_INTERFACES)?;
    }
    Ok(())
}

fn refuse_lacking(scope: &Scope<'_>, lacking: &[(&str, &str)]) -> Result<(), Fault> {
    let asked = |name: &str| match scope.get(name) {
        Some(value) => !value.is_empty() && value != "0" && value != "false",
        None => scope.below(name).is_given(),
    };
    match lacking.iter().find(|(name, _)| asked(name)) {
        None => Ok(()),
        Some((name, what)) => Err(lacks(&format!("{what} ({name})"))),
    }
}

fn lacks(what: &str) -> Fault {
    Fault::client("UnsupportedOperation", format!("The twin has no {what}"))
}

/// EC2's refusal where type or AMI cannot hibernate.
pub(super) fn hibernation() -> Fault {
    let message = "The twin hibernates no instances";
    Fault::client("UnsupportedHibernationConfiguration", message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::Params;

    fn code(form: &str) -> String {
        let params = Params::parse(form.as_bytes()).unwrap();
        refuse(&params.root()).map_or_else(|fault| fault.code.into_owned(), |()| "none".to_owned())
    }

    #[test]
    fn what_is_not_played_is_refused_and_what_asks_for_nothing_is_not() {
        for (form, expected) in [
            ("", "none"),
            ("HibernationOptions.Configured=false&Ipv6AddressCount=0", "none"),
            ("Placement.Tenancy=default&Placement.GroupName=", "none"),
            ("NetworkInterface.1.DeviceIndex=0&NetworkInterface.1.Description=x", "none"),
            ("HibernationOptions.Configured=true", "UnsupportedHibernationConfiguration"),
            ("EnclaveOptions.Enabled=true", "UnsupportedOperation"),
            ("CpuOptions.AmdSevSnp=enabled", "UnsupportedOperation"),
            ("Placement.Tenancy=host", "UnsupportedOperation"),
            ("Placement.Tenancy=x", "InvalidParameterValue"),
            ("LicenseSpecification.1.LicenseConfigurationArn=x", "UnsupportedOperation"),
            ("NetworkInterface.1.DeviceIndex=1", "InvalidParameterValue"),
            ("NetworkInterface.1.NetworkInterfaceId=eni-1", "InvalidNetworkInterfaceID.NotFound"),
            (
                "NetworkInterface.1.DeviceIndex=0&NetworkInterface.2.DeviceIndex=1",
                "UnsupportedOperation",
            ),
            (
                "NetworkInterface.1.DeviceIndex=0&NetworkInterface.1.InterfaceType=efa",
                "UnsupportedOperation",
            ),
        ] {
            assert_eq!(code(form), expected, "{form}");
        }
    }
}
