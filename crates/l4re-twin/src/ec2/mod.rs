//! EC2's query protocol, API version 2016-11-15.

mod actions;
mod attributes;
mod block_devices;
mod console;
mod filters;
mod ids;
mod images;
mod instance_filters;
mod instance_types;
mod instances;
mod kept_options;
mod launch;
mod launch_request;
mod lifecycle;
mod metadata_defaults;
mod network;
mod pages;
mod registration;
mod routes;
mod screenshot;
mod snapshots;
mod spot_prices;
mod spot_requests;
mod tags;
#[cfg(test)]
pub(crate) mod tests;
mod unplayed;
mod volumes;

pub(crate) use actions::{action_names, answer, refusal, uuid};
pub(crate) use filters::glob;
#[cfg(test)]
pub(crate) use instance_types::type_count;
pub(crate) use instance_types::{is_bare_metal, is_nitro, memory_and_vcpus};
pub(crate) use network::{security_group_id, subnet_network, vpc_id, zone_id};
pub(crate) use tags::checked_tags;
