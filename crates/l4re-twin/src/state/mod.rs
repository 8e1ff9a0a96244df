//! What the twin remembers: the account, its instances, its images.

mod account;
pub(crate) mod files;
mod image;
mod instance;
mod store;

pub(crate) use account::{Account, random_hex};
pub(crate) use image::{Chain, Image, seeded_images};
pub(crate) use instance::{
    Architecture, BootMode, Instance, InstanceState, MetadataOptions, ShutdownBehavior, Spot,
    StateReason, Tags,
};
pub(crate) use store::{State, Store};
