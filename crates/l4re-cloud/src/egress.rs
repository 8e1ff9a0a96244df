//! How a machine in a subnet that was asked for comes to the store: by the subnet's route table.
//!
//! Invariants: only looks, and asks all at once; what it may not look at is unknown, never
//! well. See "Route table concepts" and "Gateway endpoints" in the VPC user guide.

use aws_sdk_ec2::types::{Filter, Route, RouteState, RouteTable};

use crate::ami::filter;
use crate::connect::Cloud;
use crate::error::CloudError;

const ALL_OF_IPV4: &str = "0.0.0.0/0";

/// What leads from a subnet to the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Egress {
    /// An internet gateway, which wants a public address.
    Gateway,
    /// Something that needs none: NAT, a transit gateway, an appliance, S3's own endpoint.
    Routed,
    /// Nothing.
    None,
    /// It could not be found out.
    Unknown,
}

/// The route tables that may be a subnet's, and S3's list of addresses.
#[derive(Debug, Default)]
pub(crate) struct Routes {
    /// Associated with the subnet.
    own: Vec<RouteTable>,
    /// The main ones of all VPCs.
    main: Vec<RouteTable>,
    /// The prefix list of S3 in the region.
    store: Option<String>,
}

impl Cloud {
    /// Looks up what [`Routes::of`] tells by; `None` if that is not allowed.
    pub(crate) async fn routes(&self, subnet: &str) -> Result<Option<Routes>, CloudError> {
        let effect = "whether the subnet leads to the store is unknown";
        let (own, main, store) = tokio::try_join!(
            self.route_tables(effect, filter("association.subnet-id", subnet)),
            self.route_tables(effect, filter("association.main", "true")),
            self.store_prefixes(),
        )?;
        Ok(own.zip(main).map(|(own, main)| Routes { own, main, store }))
    }

    async fn route_tables(
        &self,
        effect: &'static str,
        of: Filter,
    ) -> Result<Option<Vec<RouteTable>>, CloudError> {
        const CALL: &str = "ec2:DescribeRouteTables";
        let request = self.ec2().describe_route_tables().filters(of);
        let pages = request.into_paginator().items().send().collect::<Result<Vec<_>, _>>();
        self.optional(effect, CALL, self.call(CALL, pages)).await
    }

    /// Without it every gateway endpoint is taken for S3's.
    async fn store_prefixes(&self) -> Result<Option<String>, CloudError> {
        const CALL: &str = "ec2:DescribePrefixLists";
        let name = format!("com.amazonaws.{}.s3", self.region());
        let request = self.ec2().describe_prefix_lists().filters(filter("prefix-list-name", &name));
        let effect = "an endpoint of the subnet is taken for S3's";
        let answer = self.optional(effect, CALL, self.call(CALL, request.send())).await?;
        Ok(answer.and_then(|answer| answer.prefix_lists?.into_iter().next()?.prefix_list_id))
    }
}

impl Routes {
    /// The table that holds for a subnet of this VPC, and what leads out by it.
    pub(crate) fn of(&self, vpc: Option<&str>) -> (Option<String>, Egress) {
        let main = || self.main.iter().find(|table| table.vpc_id.as_deref() == vpc);
        match self.own.first().or_else(main) {
            Some(table) => (table.route_table_id.clone(), self.best(table.routes())),
            None => (None, Egress::Unknown),
        }
    }

    fn best(&self, routes: &[Route]) -> Egress {
        let routes = routes.iter().filter(|route| route.state != Some(RouteState::Blackhole));
        let mut gateway = Egress::None;
        for route in routes {
            match self.way(route) {
                Egress::Routed => return Egress::Routed,
                Egress::Gateway => gateway = Egress::Gateway,
                _ => {}
            }
        }
        gateway
    }

    fn way(&self, route: &Route) -> Egress {
        let target = route.gateway_id.as_deref().unwrap_or_default();
        if let Some(list) = &route.destination_prefix_list_id {
            let foreign = self.store.as_ref().is_some_and(|store| store != list);
            // A list of one's own may hold anything.
            return match target.starts_with("vpce-") && foreign {
                true => Egress::None,
                false => Egress::Routed,
            };
        }
        match route.destination_cidr_block.as_deref() {
            Some(ALL_OF_IPV4) if target.starts_with("igw-") => Egress::Gateway,
            Some(ALL_OF_IPV4) if target != "local" => Egress::Routed,
            _ => Egress::None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_ec2::types::builders::RouteBuilder;

    fn all() -> RouteBuilder {
        Route::builder().destination_cidr_block(ALL_OF_IPV4)
    }

    fn list(id: &str, target: &str) -> Route {
        Route::builder().destination_prefix_list_id(id).gateway_id(target).build()
    }

    fn of(routes: impl IntoIterator<Item = Route>) -> Egress {
        let store = Some("pl-s3".to_owned());
        let routes = routes.into_iter().collect::<Vec<_>>();
        Routes { store, ..Routes::default() }.best(&routes)
    }

    #[test]
    fn what_leads_out() {
        let local = || Route::builder().destination_cidr_block("10.0.0.0/16").gateway_id("local");
        assert_eq!(of([local().build()]), Egress::None);
        assert_eq!(of([local().build(), all().gateway_id("igw-1").build()]), Egress::Gateway);
        assert_eq!(of([all().nat_gateway_id("nat-1").build()]), Egress::Routed);
        assert_eq!(of([all().transit_gateway_id("tgw-1").build()]), Egress::Routed);
        let dead = all().nat_gateway_id("nat-1").state(RouteState::Blackhole).build();
        assert_eq!(of([dead]), Egress::None);
        assert_eq!(of([list("pl-s3", "vpce-1")]), Egress::Routed);
        assert_eq!(of([list("pl-dynamodb", "vpce-1")]), Egress::None);
        assert_eq!(of([list("pl-office", "tgw-1")]), Egress::Routed);
        assert_eq!(
            of([all().gateway_id("igw-1").build(), list("pl-s3", "vpce-1")]),
            Egress::Routed
        );
    }

    #[test]
    fn a_table_of_its_own_counts_and_else_the_main_one_of_its_vpc() {
        let table = |id: &str, vpc: &str, route: Route| {
            RouteTable::builder().route_table_id(id).vpc_id(vpc).routes(route).build()
        };
        let main = vec![
            table("rtb-other", "vpc-2", all().nat_gateway_id("nat-1").build()),
            table("rtb-main", "vpc-1", all().gateway_id("igw-1").build()),
        ];
        let mut routes = Routes { main, ..Routes::default() };
        assert_eq!(routes.of(Some("vpc-1")), (Some("rtb-main".to_owned()), Egress::Gateway));
        assert_eq!(routes.of(Some("vpc-3")), (None, Egress::Unknown));
        routes.own = vec![table("rtb-own", "vpc-1", Route::builder().build())];
        assert_eq!(routes.of(Some("vpc-1")), (Some("rtb-own".to_owned()), Egress::None));
    }
}
