//! What the twin remembers: the account, its instances, its images and their snapshots.

mod account;
mod blocks;
pub(crate) mod files;
mod image;
mod instance;
mod library;
mod seeds;
mod snapshot;
mod store;
mod volume;

pub(crate) use account::{Account, random_hex};
pub(crate) use blocks::{BLOCK_SIZE, Blocks, Sum, copy_sparse};
pub(crate) use image::{Chain, Device, Image};
pub(crate) use instance::{
    Architecture, BootMode, Instance, InstanceState, MetadataOptions, ShutdownBehavior, Spot,
    StateReason, Tags,
};
pub(crate) use library::{ROOT, disk_files};
pub(crate) use seeds::seeded_images;
pub(crate) use snapshot::{Snapshot, SnapshotState};
pub(crate) use store::{State, Store, end_resting, resting};
pub(crate) use volume::{Volume, instance_disk};
