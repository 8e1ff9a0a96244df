//! L4Re build trees and boot images: find trees and entries, drive make, read images.
//!
//! Synchronous. Invariants of absence: nothing here touches the network, prints, or reads
//! the environment; what the environment says comes in through arguments.

mod arch;
mod assemble;
mod build_lock;
mod disk;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod image;
mod kconfig;
mod make;
mod modlist;
mod nearest;
mod replace;
mod tree;

pub use arch::{Arch, Kind, UnknownArch};
pub use assemble::{AssembleError, AssembleOptions, Stamp, assemble, keep_base};
pub use build_lock::BuildLock;
pub use disk::{Disk, DiskError, DiskOptions, DiskTable, Partition, read_disk, write_disk};
pub use image::{
    Attribute, Change, Check, CheckName, Difference, ExtractError, Image, ImageError, ImageInfo,
    Inspection, Module, ModuleKind, Verdict, diff, extract, inspect, inspect_headers, wants_el2,
};
pub use make::{
    Cancel, Cause, Made, MakeError, MakeFailure, MakeRequest, make, make_argv, make_package,
};
pub use modlist::{Entry, ListOptions};
pub use nearest::nearest;
pub use replace::write_whole;
pub use tree::{BuildTree, KernelTree, Package, TreeError};
