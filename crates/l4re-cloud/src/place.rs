//! Where a launch may be tried: types in the order of preference, each in all zones that
//! offer it and have a subnet.
//!
//! Invariant: pure; what the endpoint could not say leaves the choice to EC2.

use crate::egress::Egress;
use crate::error::CloudError;
use crate::prepare::PrepareOptions;
use crate::types::InstanceTypeFacts;

/// A subnet that a launch may go to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subnet {
    /// `subnet-…`.
    pub id: String,
    /// Its zone.
    pub zone: String,
    /// Whether machines get a public address there by themselves.
    pub public: bool,
    /// Whether it is the default VPC's, and not one that was asked for.
    pub default: bool,
    /// Its VPC.
    pub vpc: Option<String>,
    /// Its route table, if it was looked up.
    pub table: Option<String>,
    /// What leads from it to the store. A default one has an internet gateway.
    pub egress: Egress,
}

/// Why a machine in a subnet cannot fetch its image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CutOff {
    /// Nothing leads to the store.
    NoRoute,
    /// An internet gateway does, and the machine is to have no public address.
    NoAddress,
    /// The subnet gives no public address, and whether that is well is unknown.
    Unknown,
}

impl CutOff {
    pub(crate) fn sentence(self) -> &'static str {
        match self {
            Self::NoRoute => "its route table leads neither to the internet nor to S3",
            Self::NoAddress => {
                "it is to have no public address, and only an internet gateway leads out"
            }
            Self::Unknown => {
                "it would get no public address, and its route table may not be looked at"
            }
        }
    }
}

impl Subnet {
    /// Whether a machine is to ask for a public address, or for none; `None` leaves it to the
    /// subnet. `wish` is what the settings say.
    pub(crate) fn ask_address(&self, wish: Option<bool>) -> Option<bool> {
        match wish {
            Some(wish) => (wish != self.public).then_some(wish),
            None => (!self.public && self.egress == Egress::Gateway).then_some(true),
        }
    }

    /// Why a machine there cannot reach the store, if it is known that it cannot, or if nobody
    /// has said what is not known.
    pub(crate) fn cut_off(&self, wish: Option<bool>) -> Option<CutOff> {
        let public = wish.unwrap_or(self.public || self.egress == Egress::Gateway);
        match self.egress {
            Egress::Routed => None,
            Egress::Gateway => (!public).then_some(CutOff::NoAddress),
            Egress::None => Some(CutOff::NoRoute),
            Egress::Unknown => (!public && wish.is_none()).then_some(CutOff::Unknown),
        }
    }
}

/// One place where a launch may be tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The type.
    pub instance_type: String,
    /// The zone; `None` leaves it to EC2.
    pub zone: Option<String>,
    /// The subnet; `None` leaves it to EC2.
    pub subnet: Option<Subnet>,
}

/// A type in a zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Offering {
    pub(crate) instance_type: String,
    pub(crate) zone: String,
}

/// All places, or why there is none.
pub(crate) fn places(
    options: &PrepareOptions,
    types: &[InstanceTypeFacts],
    offerings: Option<Vec<Offering>>,
    subnets: Option<Vec<Subnet>>,
    region: &str,
) -> Result<Vec<Place>, CloudError> {
    let offered = zones_of_types(types, offerings.as_deref());
    if offered.iter().all(|(_, zones)| zones.as_ref().is_some_and(Vec::is_empty)) {
        return Err(CloudError::NotOffered {
            types: options.types.clone(),
            region: region.to_owned(),
        });
    }
    let wanted = |zone: &str| options.zones.is_empty() || options.zones.iter().any(|z| z == zone);
    let mut places = Vec::new();
    for (instance_type, zones) in &offered {
        for (zone, subnet) in spots(zones.as_deref(), subnets.as_deref()) {
            if zone.as_deref().is_none_or(wanted) {
                places.push(Place { instance_type: instance_type.clone(), zone, subnet });
            }
        }
    }
    if places.is_empty() {
        let mut zones: Vec<String> = offered.into_iter().filter_map(|(_, z)| z).flatten().collect();
        zones.sort();
        zones.dedup();
        if !options.zones.is_empty() && !zones.iter().any(|zone| wanted(zone)) {
            let [types, asked] = [&options.types, &options.zones].map(Clone::clone);
            return Err(CloudError::NotInZone { types, asked, zones });
        }
        zones.retain(|zone| wanted(zone));
        // With no subnet at all the region lacks a default VPC: naming zones would mislead.
        let none = subnets.is_some_and(|subnets| subnets.is_empty());
        let zones = if none { Vec::new() } else { zones };
        return Err(CloudError::NoSubnet { region: region.to_owned(), zones });
    }
    Ok(places)
}

/// Each type with the zones that offer it, sorted; `None` where the endpoint cannot say.
fn zones_of_types(
    types: &[InstanceTypeFacts],
    offerings: Option<&[Offering]>,
) -> Vec<(String, Option<Vec<String>>)> {
    let zones = |name: &str| {
        offerings.map(|offerings| {
            let of_type = offerings.iter().filter(|o| o.instance_type == name);
            let mut zones: Vec<String> = of_type.map(|o| o.zone.clone()).collect();
            zones.sort();
            zones.dedup();
            zones
        })
    };
    types.iter().map(|facts| (facts.name.clone(), zones(&facts.name))).collect()
}

/// Zone and subnet pairs for one type.
fn spots(
    zones: Option<&[String]>,
    subnets: Option<&[Subnet]>,
) -> Vec<(Option<String>, Option<Subnet>)> {
    match (zones, subnets) {
        (None, None) => vec![(None, None)],
        (Some(zones), None) => zones.iter().map(|zone| (Some(zone.clone()), None)).collect(),
        (zones, Some(subnets)) => {
            let fits = |subnet: &&Subnet| zones.is_none_or(|z| z.contains(&subnet.zone));
            let mut subnets: Vec<&Subnet> = subnets.iter().filter(fits).collect();
            subnets.sort_by(|a, b| a.zone.cmp(&b.zone).then_with(|| a.id.cmp(&b.id)));
            subnets.into_iter().map(|s| (Some(s.zone.clone()), Some(s.clone()))).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::machine;

    fn offering(instance_type: &str, zone: &str) -> Offering {
        Offering { instance_type: instance_type.into(), zone: zone.into() }
    }

    fn subnet(zone: &str) -> Subnet {
        Subnet {
            id: format!("subnet-{zone}"),
            zone: zone.into(),
            public: true,
            default: true,
            vpc: None,
            table: None,
            egress: Egress::Gateway,
        }
    }

    #[test]
    fn an_address_is_asked_for_where_it_is_of_use() {
        let of = |public, egress, wish| {
            let subnet = Subnet { public, egress, ..subnet("1a") };
            (subnet.ask_address(wish), subnet.cut_off(wish))
        };
        assert_eq!(of(true, Egress::Gateway, None), (None, None));
        assert_eq!(of(false, Egress::Gateway, None), (Some(true), None));
        assert_eq!(of(false, Egress::Routed, None), (None, None));
        assert_eq!(of(false, Egress::None, None), (None, Some(CutOff::NoRoute)));
        assert_eq!(of(true, Egress::None, None), (None, Some(CutOff::NoRoute)));
        assert_eq!(of(true, Egress::Gateway, Some(false)), (Some(false), Some(CutOff::NoAddress)));
        assert_eq!(of(true, Egress::Routed, Some(false)), (Some(false), None));
        assert_eq!(of(false, Egress::Routed, Some(true)), (Some(true), None));
        // What is unknown is refused until somebody says what holds.
        assert_eq!(of(true, Egress::Unknown, None), (None, None));
        assert_eq!(of(false, Egress::Unknown, None), (None, Some(CutOff::Unknown)));
        assert_eq!(of(false, Egress::Unknown, Some(false)), (None, None));
        assert_eq!(of(false, Egress::Unknown, Some(true)), (Some(true), None));
    }

    fn names(places: &[Place]) -> Vec<String> {
        let one = |p: &Place| {
            let subnet = p.subnet.as_ref().map_or("-", |s| s.id.as_str());
            format!("{} {} {subnet}", p.instance_type, p.zone.as_deref().unwrap_or("-"))
        };
        places.iter().map(one).collect()
    }

    fn two() -> (PrepareOptions, Vec<InstanceTypeFacts>) {
        let types = vec![machine("m7g.metal"), machine("c7g.metal")];
        let names = types.iter().map(|t| t.name.clone()).collect();
        (PrepareOptions { types: names, ..PrepareOptions::default() }, types)
    }

    #[test]
    fn first_type_in_all_its_zones_then_the_next() {
        let (options, types) = two();
        let offerings = vec![
            offering("c7g.metal", "1a"),
            offering("m7g.metal", "1b"),
            offering("m7g.metal", "1a"),
        ];
        let subnets = vec![subnet("1b"), subnet("1a"), subnet("1c")];
        let found = places(&options, &types, Some(offerings), Some(subnets), "r").unwrap();
        assert_eq!(
            names(&found),
            ["m7g.metal 1a subnet-1a", "m7g.metal 1b subnet-1b", "c7g.metal 1a subnet-1a"]
        );
    }

    #[test]
    fn zones_can_be_limited() {
        let (options, types) = two();
        let options = PrepareOptions { zones: vec!["1b".into()], ..options };
        let offerings = vec![offering("m7g.metal", "1a"), offering("m7g.metal", "1b")];
        let found = places(&options, &types, Some(offerings), None, "r").unwrap();
        assert_eq!(names(&found), ["m7g.metal 1b -"]);
    }

    #[test]
    fn a_zone_that_offers_nothing_is_told_from_one_without_a_subnet() {
        let (options, types) = two();
        let error = |zone: &str| {
            let options = PrepareOptions { zones: vec![zone.into()], ..options.clone() };
            let offerings = vec![offering("m7g.metal", "1a"), offering("m7g.metal", "1b")];
            places(&options, &types, Some(offerings), Some(vec![subnet("1a")]), "r").unwrap_err()
        };
        let none = error("1x").to_string();
        assert_eq!(none, "m7g.metal, c7g.metal not offered in 1x, but in 1a, 1b");
        assert_eq!(error("1b").to_string(), "no default subnet in r in any of 1b");
    }

    #[test]
    fn what_is_unknown_is_left_to_ec2() {
        let (options, types) = two();
        let found = places(&options, &types, None, None, "r").unwrap();
        assert_eq!(names(&found), ["m7g.metal - -", "c7g.metal - -"]);
    }

    #[test]
    fn nothing_offered_and_no_subnet_are_told_apart() {
        let (options, types) = two();
        let code = |offerings, subnets| {
            places(&options, &types, Some(offerings), Some(subnets), "r").unwrap_err()
        };
        assert_eq!(code(vec![], vec![subnet("1a")]).code(), "not-offered");
        let none = code(vec![offering("m7g.metal", "1a")], vec![]);
        assert_eq!(none.to_string(), "no default subnet in r");
        let other = code(vec![offering("m7g.metal", "1a")], vec![subnet("1b")]);
        assert_eq!(other.to_string(), "no default subnet in r in any of 1a");
    }
}
