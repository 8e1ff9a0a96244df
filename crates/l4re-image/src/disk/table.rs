//! The partition tables of a disk with one EFI system partition: the protective one, the GUID
//! partition table, and its copy at the end.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::ops::Range;

use gpt::GptConfig;
use gpt::mbr::ProtectiveMBR;
use gpt::partition::Partition;
use uuid::Uuid;

const SECTOR: u64 = 512;
/// Partitions start and end at multiples of this, as all partitioning programs have it.
pub(super) const ALIGNMENT: u64 = 1 << 20;

/// The one partition of a disk, in bytes: all but the tables.
pub(super) fn partition(size: u64) -> Range<u64> {
    ALIGNMENT..size / ALIGNMENT * ALIGNMENT - ALIGNMENT
}

/// Writes the tables of a disk of `size` bytes.
pub(super) fn write(file: &File, size: u64, disk: Uuid, own: Uuid) -> io::Result<()> {
    let sectors = u32::try_from(size / SECTOR - 1).unwrap_or(u32::MAX);
    let mut device = file;
    let protective = ProtectiveMBR::with_lb_size(sectors);
    protective.overwrite_lba0(&mut device).map_err(io::Error::other)?;
    let config = GptConfig::new().writable(true);
    let mut table = config.create_from_device(device, Some(disk)).map_err(io::Error::other)?;
    let range = partition(size);
    let partition = Partition {
        part_type_guid: gpt::partition_types::EFI,
        part_guid: own,
        first_lba: range.start / SECTOR,
        last_lba: range.end / SECTOR - 1,
        flags: 0,
        name: "EFI system partition".to_owned(),
    };
    table.update_partitions(BTreeMap::from([(1, partition)])).map_err(io::Error::other)?;
    table.write().map_err(io::Error::other)?;
    Ok(())
}
