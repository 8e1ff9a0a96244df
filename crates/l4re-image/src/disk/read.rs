//! Reading the GUID partition table of a disk (UEFI 2.10, 5.3), with its copy at the end.
//!
//! Invariants: nothing is allocated beyond the largest table that is sensible; an error names
//! the field and its offset; what can be read but is not as it should be is a finding.

use camino::{Utf8Path, Utf8PathBuf};
use serde::Serialize;
use uuid::Uuid;

use crate::image::{Fields, ImageError, ImageFile};

const SECTOR: u64 = 512;
const SIGNATURE: &[u8; 8] = b"EFI PART";
const HEADER: u64 = 92;
/// The largest table that is read: 128 entries take 16 KiB.
const LARGEST: u64 = 1 << 20;
/// The type of EFI system partitions.
const EFI_SYSTEM: Uuid = Uuid::from_u128(0xc12a7328_f81f_11d2_ba4b_00a0c93ec93b);

/// A disk's partitions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DiskTable {
    /// The disk's file.
    pub path: Utf8PathBuf,
    /// Its size in bytes.
    pub size: u64,
    /// The disk's own number.
    pub guid: String,
    /// In the order of the table.
    pub partitions: Vec<Partition>,
    /// What is wrong with the disk, in words; empty for a sound one.
    pub findings: Vec<String>,
}

/// A partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Partition {
    /// Its name.
    pub name: String,
    /// The number of its type.
    pub kind: String,
    /// Whether that is the EFI system partition's.
    pub efi_system: bool,
    /// Its first byte.
    pub start: u64,
    /// Its bytes.
    pub size: u64,
}

/// Reads the partitions of a disk; `None` for a file that has no GUID partition table.
pub fn read_disk(path: &Utf8Path) -> Result<Option<DiskTable>, ImageError> {
    let file = ImageFile::open(path)?;
    let mut start = [0; 8];
    file.fill(&mut start, SECTOR)?;
    if &start != SIGNATURE {
        return Ok(None);
    }
    let header = Header::read(&file, 1)?;
    let table = header.table(&file)?;
    let mut findings = Vec::new();
    let mut signature = [0; 2];
    file.fill(&mut signature, 510)?;
    if signature != [0x55, 0xaa] {
        findings.push("no protective partition table in the first sector".to_owned());
    }
    findings.extend(copy_finding(&file, &header, &table));
    let partitions = header.partitions(&file, &table)?;
    findings.extend(place_finding(&header, &partitions));
    let (path, size, guid) = (path.to_owned(), file.len(), header.guid.to_string());
    Ok(Some(DiskTable { path, size, guid, partitions, findings }))
}

/// One of the two headers.
struct Header {
    /// Where the other one is, in sectors.
    other: u64,
    /// The sectors that partitions may have.
    usable: (u64, u64),
    guid: Uuid,
    table_at: u64,
    count: u32,
    entry: u32,
    sum: u32,
}

impl Header {
    fn read(file: &ImageFile, sector: u64) -> Result<Self, ImageError> {
        let at = sector.saturating_mul(SECTOR);
        let bytes = file.bytes("GPT header", at, SECTOR)?;
        let fields = Fields::little(&bytes);
        let bad = |field, offset: u64, value, why| file.bad(field, at + offset, value, why);
        if !bytes.starts_with(SIGNATURE) {
            return Err(bad("GPT signature", 0, fields.u64(0), "not `EFI PART`"));
        }
        let size = u64::from(fields.u32(12));
        if !(HEADER..=SECTOR).contains(&size) {
            return Err(bad("GPT header size", 12, size, "not between 92 and 512"));
        }
        let mut summed = bytes[..usize::try_from(size).unwrap_or(0)].to_vec();
        summed[16..20].fill(0);
        let sum = fields.u32(16);
        if crc32(&summed) != sum {
            return Err(bad("GPT header CRC32", 16, sum.into(), "not that of the header"));
        }
        let own = fields.u64(24);
        if own != sector {
            return Err(bad("GPT header place", 24, own, "not where the header is"));
        }
        let (count, entry) = (fields.u32(80), fields.u32(84));
        if entry < 128 || !entry.is_power_of_two() {
            return Err(bad("GPT entry size", 84, entry.into(), "not 128 or a power of two above"));
        }
        if u64::from(count) * u64::from(entry) > LARGEST {
            return Err(bad("GPT entry count", 80, count.into(), "a table of more than 1 MiB"));
        }
        let usable = (fields.u64(40), fields.u64(48));
        let guid: [u8; 16] = std::array::from_fn(|index| bytes[56 + index]);
        Ok(Self {
            other: fields.u64(32),
            usable,
            guid: Uuid::from_bytes_le(guid),
            table_at: fields.u64(72).saturating_mul(SECTOR),
            count,
            entry,
            sum: fields.u32(88),
        })
    }

    /// The bytes of the entries.
    fn table(&self, file: &ImageFile) -> Result<Vec<u8>, ImageError> {
        let len = u64::from(self.count) * u64::from(self.entry);
        let bytes = file.bytes("GPT entries", self.table_at, len)?;
        match crc32(&bytes) == self.sum {
            true => Ok(bytes),
            false => {
                let why = "not what the header says";
                Err(file.bad("CRC32 of the GPT entries", self.table_at, self.sum.into(), why))
            }
        }
    }

    fn partitions(&self, file: &ImageFile, table: &[u8]) -> Result<Vec<Partition>, ImageError> {
        let mut partitions = Vec::new();
        // Nobody has entries of more than 2 GiB, which the size of the table forbids.
        let size = usize::try_from(self.entry).unwrap_or(usize::MAX);
        for (index, entry) in table.chunks_exact(size).enumerate() {
            let fields = Fields::little(entry);
            let at = self.table_at + index as u64 * u64::from(self.entry);
            let kind = Uuid::from_bytes_le(std::array::from_fn(|index| entry[index]));
            if kind.is_nil() {
                continue;
            }
            let (first, last) = (fields.u64(32), fields.u64(40));
            let sectors = last.checked_sub(first).and_then(|count| count.checked_add(1));
            let bytes = |sectors: u64| sectors.checked_mul(SECTOR);
            let Some((start, size)) = bytes(first).zip(sectors.and_then(bytes)) else {
                return Err(file.bad("GPT entry's last sector", at + 40, last, "before its first"));
            };
            file.within("partition", start, size)?;
            let name: Vec<u16> = (56..128).step_by(2).map(|at| fields.u16(at)).collect();
            let name = name.split(|&unit| unit == 0).next().map(String::from_utf16_lossy);
            partitions.push(Partition {
                name: name.unwrap_or_default(),
                kind: kind.to_string(),
                efi_system: kind == EFI_SYSTEM,
                start,
                size,
            });
        }
        Ok(partitions)
    }
}

/// What is wrong with the copy of the tables.
fn copy_finding(file: &ImageFile, header: &Header, table: &[u8]) -> Option<String> {
    let copy = Header::read(file, header.other).and_then(|copy| {
        let same = copy.table(file)? == table && copy.guid == header.guid && copy.other == 1;
        Ok(same && (copy.usable, copy.entry) == (header.usable, header.entry))
    });
    match copy {
        Ok(true) => None,
        Ok(false) => Some("the copy of the partition table differs".to_owned()),
        Err(error) => Some(format!("the copy of the partition table: {error}")),
    }
}

/// Partitions where none may be, or where another one is.
fn place_finding(header: &Header, partitions: &[Partition]) -> Option<String> {
    let (first, last) = header.usable;
    let usable = first.saturating_mul(SECTOR)..last.saturating_add(1).saturating_mul(SECTOR);
    let mut sorted: Vec<_> =
        partitions.iter().map(|p| (p.start, p.start + p.size, &p.name)).collect();
    sorted.sort();
    let outside = sorted.iter().find(|(start, end, _)| *start < usable.start || *end > usable.end);
    if let Some((_, _, name)) = outside {
        return Some(format!("partition {name:?} is where none may be"));
    }
    let shared = sorted.windows(2).find(|pair| pair[0].1 > pair[1].0)?;
    Some(format!("partitions {:?} and {:?} share bytes", shared[0].2, shared[1].2))
}

fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}

/// For fuzzing: the same disk with sums that are right, so that what is behind them is read.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn with_sums(mut disk: Vec<u8>) -> Vec<u8> {
    let word =
        |disk: &[u8], at: usize| Some(u32::from_le_bytes(disk.get(at..at + 4)?.try_into().ok()?));
    let seal = |disk: &mut Vec<u8>, at: usize| {
        let (place, count, entry) =
            (word(disk, at + 72)?, word(disk, at + 80)?, word(disk, at + 84)?);
        let start = usize::try_from(place).ok()?.checked_mul(512)?;
        let len = usize::try_from(count.checked_mul(entry)?).ok()?;
        let sum = crc32(disk.get(start..start.checked_add(len)?)?);
        disk.get_mut(at + 88..at + 92)?.copy_from_slice(&sum.to_le_bytes());
        let size = usize::try_from(word(disk, at + 12)?).ok()?;
        disk.get_mut(at + 16..at + 20)?.fill(0);
        let sum = crc32(disk.get(at..at.checked_add(size)?)?);
        disk.get_mut(at + 16..at + 20)?.copy_from_slice(&sum.to_le_bytes());
        Some(())
    };
    // What has no place for its sums is left as it is.
    let last = disk.len().saturating_sub(512);
    let _ = (seal(&mut disk, 512), seal(&mut disk, last));
    disk
}

#[cfg(test)]
#[path = "read_tests.rs"]
pub(crate) mod tests;
