//! Disks that we write, read by our own reader; and what it finds in damaged ones.

use std::os::unix::fs::FileExt;

use camino::{Utf8Path, Utf8PathBuf};
use camino_tempfile::Utf8TempDir;

use super::*;
use crate::disk::{DiskOptions, write_disk};
use crate::image::Image;
use crate::image::sample::Sample;

fn disk() -> (Utf8TempDir, Utf8PathBuf) {
    let dir = camino_tempfile::tempdir().unwrap();
    let image = dir.path().join("a.efi");
    fs_err::write(&image, Sample::new(1).pe(0x8664)).unwrap();
    let image = Image::open(&image).unwrap();
    let disk = write_disk(&dir.path().join("disk"), &image, &DiskOptions::default()).unwrap();
    (dir, disk.path)
}

/// What is read when these bytes are at a place.
fn with(path: &Utf8Path, at: u64, bytes: &[u8]) -> Result<Option<DiskTable>, ImageError> {
    let file = std::fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut old = vec![0; bytes.len()];
    file.read_exact_at(&mut old, at).unwrap();
    file.write_all_at(bytes, at).unwrap();
    let seen = read_disk(path);
    file.write_all_at(&old, at).unwrap();
    seen
}

#[test]
fn a_disk_that_we_write_is_sound() {
    let (_dir, path) = disk();
    let seen = read_disk(&path).unwrap().unwrap();
    assert_eq!((seen.size, seen.findings.len(), seen.partitions.len()), (1 << 30, 0, 1));
    let partition = &seen.partitions[0];
    assert!(partition.efi_system && partition.name == "EFI system partition");
    assert_eq!((partition.start, partition.size), (1 << 20, (1 << 30) - (2 << 20)));
}

#[test]
fn every_field_that_is_flipped_cut_or_grown_is_found() {
    let (_dir, path) = disk();
    let len = 1 << 30;
    // All of the header but what is reserved, an entry, and the copy's.
    let header = (0..92).filter(|at| !(20..24).contains(at)).map(|at| 512 + at);
    let places = header.chain(1024..1024 + 128).chain(len - 512..len - 512 + 20);
    for at in places {
        for byte in [0xff, 0x7f, 0x01] {
            let mut old = [0];
            std::fs::File::open(&path).unwrap().read_exact_at(&mut old, at).unwrap();
            let found = match with(&path, at, &[old[0] ^ byte]) {
                Ok(None) => (512..520).contains(&at),
                Ok(Some(seen)) => !seen.findings.is_empty(),
                Err(ImageError::BadField { field, .. } | ImageError::Truncated { field, .. }) => {
                    !field.is_empty()
                }
                Err(_) => false,
            };
            assert!(found, "{at:#x} ^ {byte:#x}");
        }
    }
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    for cut in [len - 1, len - 600, 2 << 20, 1024, 600] {
        file.set_len(cut).unwrap();
        let seen = read_disk(&path);
        let found = seen.map_or(true, |seen| seen.is_some_and(|seen| !seen.findings.is_empty()));
        assert!(found, "cut to {cut}");
    }
    file.set_len(500).unwrap();
    assert_eq!(read_disk(&path).unwrap(), None);
}

#[test]
fn sums_that_are_right_hide_nothing() {
    let mut disk = with_sums(small());
    let read = |disk: &[u8]| {
        let dir = camino_tempfile::tempdir().unwrap();
        let path = dir.path().join("disk");
        fs_err::write(&path, disk).unwrap();
        read_disk(&path)
    };
    assert_eq!(read(&disk).unwrap().unwrap().findings, Vec::<String>::new());
    // The partition ends before it begins.
    disk[1024 + 40..1024 + 48].copy_from_slice(&0_u64.to_le_bytes());
    let error = read(&with_sums(disk.clone())).unwrap_err().to_string();
    assert!(error.contains("GPT entry's last sector at 0x428"), "{error}");
    // It ends beyond the disk.
    disk[1024 + 40..1024 + 48].copy_from_slice(&u64::MAX.to_le_bytes());
    assert!(read(&with_sums(disk.clone())).is_err());
    // More entries than any disk has.
    disk[512 + 80..512 + 84].fill(0xff);
    let error = read(&with_sums(disk)).unwrap_err().to_string();
    assert!(error.contains("GPT header CRC32") || error.contains("entry count"), "{error}");
}

/// The smallest disk: four entries, a partition of three sectors, the copy at the end.
pub(crate) fn small() -> Vec<u8> {
    let mut disk = vec![0; 512 * 9];
    disk[510..512].copy_from_slice(&[0x55, 0xaa]);
    let headers: [[u64; 3]; 2] = [[1, 8, 2], [8, 1, 7]];
    for [own, other, table] in headers {
        let at = usize::try_from(own).unwrap() * 512;
        disk[at..at + 8].copy_from_slice(SIGNATURE);
        disk[at + 8..at + 16].copy_from_slice(&[0, 0, 1, 0, 92, 0, 0, 0]);
        for (field, value) in [(24, own), (32, other), (40, 3), (48, 6), (72, table)] {
            disk[at + field..at + field + 8].copy_from_slice(&value.to_le_bytes());
        }
        disk[at + 80..at + 88].copy_from_slice(&[4, 0, 0, 0, 128, 0, 0, 0]);
        let entry = usize::try_from(table).unwrap() * 512;
        disk[entry..entry + 16].copy_from_slice(&EFI_SYSTEM.to_bytes_le());
        disk[entry + 32] = 3;
        disk[entry + 40] = 5;
        disk[entry + 56] = b'E';
    }
    disk
}
