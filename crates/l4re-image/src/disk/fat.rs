//! A FAT32 file system (Microsoft's specification 1.03) with some files in `EFI/BOOT`, each in
//! one piece.
//!
//! Invariants: pure but for [`Layout::write`]; nothing depends on the clock: all files are of
//! 1 January 1980, where FAT's time begins. (The crate `fatfs` writes folders with a `.` that
//! checkers reject.)

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

const SECTOR: u64 = 512;
/// The largest cluster with which half a GiB is still FAT32.
const CLUSTER: u64 = 4096;
/// Boot sector, its copy at 6, and their companions.
const RESERVED: u64 = 32;
/// Where the folders are; the files follow.
const ROOT: u32 = 2;
const EFI: u32 = 3;
const BOOT: u32 = 4;
const FIRST_FILE: u32 = 5;
/// The last cluster of a file.
const END: u32 = 0x0fff_ffff;
/// A folder or a file, as its entry has it.
const FOLDER: u8 = 0x10;
const ARCHIVE: u8 = 0x20;
const LABEL: u8 = 0x08;
/// 1 January 1980.
const DATE: u16 = 1 << 5 | 1;

/// A file that is to be on the volume: its name of 8 and 3 characters, and its size.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) name: [u8; 11],
    pub(super) size: u32,
}

/// Where everything is on a volume.
#[derive(Debug)]
pub(super) struct Layout {
    /// Where the volume is in its disk.
    range: Range<u64>,
    /// The volume's number.
    id: u32,
    /// Sectors of each of the two tables.
    table: u64,
    entries: Vec<Entry>,
}

impl Layout {
    pub(super) fn new(range: Range<u64>, id: u32, entries: Vec<Entry>) -> Self {
        // A sector of a table is for 128 clusters; multiples of 4 keep the clusters aligned.
        let clusters = (range.end - range.start) / CLUSTER;
        let table = (clusters + 2).div_ceil(128).next_multiple_of(4);
        Self { range, id, table, entries }
    }

    fn sectors(&self) -> u64 {
        (self.range.end - self.range.start) / SECTOR
    }

    fn clusters(&self) -> u64 {
        (self.sectors() - RESERVED - 2 * self.table) * SECTOR / CLUSTER
    }

    /// The clusters of each file; they may be more than there are.
    fn places(&self) -> Vec<Range<u32>> {
        let mut next = FIRST_FILE;
        let place = |entry: &Entry| {
            let start = next;
            next = start.saturating_add(entry.size.div_ceil(CLUSTER as u32));
            start..next
        };
        self.entries.iter().map(place).collect()
    }

    /// Where a cluster is on the disk.
    fn offset(&self, cluster: u32) -> u64 {
        let before = (RESERVED + 2 * self.table) * SECTOR;
        self.range.start + before + u64::from(cluster - ROOT) * CLUSTER
    }

    /// Where each file's bytes are on the disk.
    pub(super) fn offsets(&self) -> Vec<u64> {
        self.places().into_iter().map(|place| self.offset(place.start)).collect()
    }

    /// Writes all but the files' bytes to a disk that is empty here.
    pub(super) fn write(&self, disk: &File) -> io::Result<()> {
        let places = self.places();
        let used = places.last().map_or(FIRST_FILE, |place| place.end);
        if u64::from(used - ROOT) > self.clusters() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let start = self.range.start;
        for copy in [0, 6] {
            disk.write_all_at(&self.boot_sector(), start + copy * SECTOR)?;
            disk.write_all_at(&self.info_sector(used), start + (copy + 1) * SECTOR)?;
        }
        let chains = chains(&places);
        for copy in [RESERVED, RESERVED + self.table] {
            disk.write_all_at(&chains, start + copy * SECTOR)?;
        }
        let root = [entry(*b"L4RE       ", LABEL, 0, 0), entry(*b"EFI        ", FOLDER, EFI, 0)];
        // By convention the way up to the root names no cluster.
        let efi = [dot(EFI), dots(0), entry(*b"BOOT       ", FOLDER, BOOT, 0)];
        let files = self.entries.iter().zip(&places).map(|(file, place)| {
            let first = if file.size == 0 { 0 } else { place.start };
            entry(file.name, ARCHIVE, first, file.size)
        });
        let boot: Vec<_> = [dot(BOOT), dots(EFI)].into_iter().chain(files).collect();
        disk.write_all_at(&root.concat(), self.offset(ROOT))?;
        disk.write_all_at(&efi.concat(), self.offset(EFI))?;
        disk.write_all_at(&boot.concat(), self.offset(BOOT))
    }

    fn boot_sector(&self) -> Vec<u8> {
        // Volumes that need more sectors than fit here are refused before.
        let number = |value: u64| u32::try_from(value).unwrap_or(u32::MAX).to_le_bytes();
        let mut sector = b"\xeb\x58\x90L4RE    ".to_vec();
        sector.extend((SECTOR as u16).to_le_bytes());
        sector.push((CLUSTER / SECTOR) as u8);
        sector.extend((RESERVED as u16).to_le_bytes());
        // Two tables; no fixed root folder, no 16-bit size; a hard disk; no 16-bit tables.
        sector.extend([2, 0, 0, 0, 0, 0xf8, 0, 0]);
        // Sectors per track and heads, as if anybody counted in them.
        sector.extend([63, 0, 255, 0]);
        sector.extend(number(self.range.start / SECTOR));
        sector.extend(number(self.sectors()));
        sector.extend(number(self.table));
        // Both tables alike, version 0.
        sector.extend([0; 4]);
        sector.extend(ROOT.to_le_bytes());
        // The info sector, the copy; 12 reserved bytes.
        sector.extend([1, 0, 6, 0]);
        sector.extend([0; 12]);
        // Drive number, reserved, and the mark of what follows.
        sector.extend([0x80, 0, 0x29]);
        sector.extend(self.id.to_le_bytes());
        sector.extend(b"L4RE       FAT32   ");
        sealed(sector)
    }

    fn info_sector(&self, used: u32) -> Vec<u8> {
        let free = self.clusters() - u64::from(used - ROOT);
        let mut sector = b"RRaA".to_vec();
        sector.resize(484, 0);
        sector.extend(b"rrAa");
        sector.extend(u32::try_from(free).unwrap_or(u32::MAX).to_le_bytes());
        sector.extend(used.to_le_bytes());
        sealed(sector)
    }
}

/// With the mark that ends such sectors.
fn sealed(mut sector: Vec<u8>) -> Vec<u8> {
    sector.resize(SECTOR as usize - 2, 0);
    sector.extend([0x55, 0xaa]);
    sector
}

/// The start of the table: which cluster follows each.
fn chains(places: &[Range<u32>]) -> Vec<u8> {
    let mut table = vec![0x0fff_fff8, END, END, END, END];
    for place in places {
        table.extend(place.clone().map(|at| if at + 1 == place.end { END } else { at + 1 }));
    }
    table.into_iter().flat_map(u32::to_le_bytes).collect()
}

fn entry(name: [u8; 11], attributes: u8, cluster: u32, size: u32) -> [u8; 32] {
    let mut entry = [0; 32];
    let mut put = |at: usize, bytes: &[u8]| entry[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &name);
    put(11, &[attributes]);
    // Made, read and written; the times are zero.
    [16, 18, 24].iter().for_each(|&at| put(at, &DATE.to_le_bytes()));
    let cluster = cluster.to_le_bytes();
    put(20, &cluster[2..]);
    put(26, &cluster[..2]);
    put(28, &size.to_le_bytes());
    entry
}

fn dot(own: u32) -> [u8; 32] {
    entry(*b".          ", FOLDER, own, 0)
}

fn dots(parent: u32) -> [u8; 32] {
    entry(*b"..         ", FOLDER, parent, 0)
}

/// A file's name as entries have it; `None` when it does not fit.
pub(super) fn short_name(name: &str) -> Option<[u8; 11]> {
    let (stem, suffix) = name.split_once('.')?;
    let plain = |part: &str| part.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
    let fits = (1..=8).contains(&stem.len()) && (1..=3).contains(&suffix.len());
    (fits && plain(stem) && plain(suffix)).then_some(())?;
    format!("{stem:8}{suffix:3}").into_bytes().try_into().ok()
}
