//! Disks to boot from: a GUID partition table (UEFI 2.10, 5.3) with an EFI system partition
//! that holds an image under the name by which firmware finds it.
//!
//! Invariants: the same input gives the same bytes, so nothing in a disk is random or says
//! when it was made; a disk is written beside its place and put there when it is complete.

mod error;
mod fat;
mod read;
mod table;
mod write;

pub use error::DiskError;
#[cfg(test)]
pub(crate) use read::tests::small;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use read::with_sums;
pub use read::{DiskTable, Partition, read_disk};
pub use write::{Disk, DiskOptions, write_disk};

#[cfg(test)]
mod tests;
