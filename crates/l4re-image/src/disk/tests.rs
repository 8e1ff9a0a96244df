//! Disks read back by crates that others wrote; their tools (`sgdisk`, `fsck.fat`, mtools) and
//! firmware look at them in `tests/disk.rs`.

use std::io::{Cursor, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;

use camino::Utf8Path;
use camino_tempfile::Utf8TempDir;
use fatfs::{FileSystem, FsOptions};
use gpt::GptConfig;

use super::{DiskError, DiskOptions, write_disk};
use crate::image::Image;
use crate::image::sample::Sample;

/// The parts of a disk that are not empty, with their places.
fn parts(disk: &Utf8Path) -> Vec<(u64, Vec<u8>)> {
    let mut file = std::fs::File::open(disk).unwrap();
    let mut buffer = vec![0; 1 << 20];
    let mut parts = Vec::new();
    for index in 0..file.metadata().unwrap().len() >> 20 {
        file.read_exact(&mut buffer).unwrap();
        if buffer != [0; 1 << 20] {
            parts.push((index, buffer.clone()));
        }
    }
    parts
}

fn image(dir: &Utf8TempDir, name: &str, bytes: &[u8]) -> Image {
    let path = dir.path().join(name);
    fs_err::write(&path, bytes).unwrap();
    Image::open(&path).unwrap()
}

/// The bytes of a file in the only partition.
fn file_on(disk: &Utf8Path, name: &str) -> Vec<u8> {
    let table = GptConfig::new().only_valid_headers(true).open(disk).unwrap();
    assert_eq!(table.partitions().len(), 1);
    let partition = &table.partitions()[&1];
    assert_eq!(partition.part_type_guid, gpt::partition_types::EFI);
    let mut file = std::fs::File::open(disk).unwrap();
    file.seek(SeekFrom::Start(partition.first_lba * 512)).unwrap();
    // All that is not empty.
    let mut start = vec![0; 16 << 20];
    file.read_exact(&mut start).unwrap();
    let system = FileSystem::new(Cursor::new(start), FsOptions::new()).unwrap();
    let stats = system.stats().unwrap();
    assert!(stats.free_clusters() < stats.total_clusters());
    let mut bytes = Vec::new();
    system.root_dir().open_file(name).unwrap().read_to_end(&mut bytes).unwrap();
    bytes
}

#[test]
fn neither_an_image_nor_a_device_becomes_a_disk() {
    let dir = camino_tempfile::tempdir().unwrap();
    let bytes = Sample::new(1).pe(0x8664);
    let image = image(&dir, "a.efi", &bytes);
    let (link, disk) = (dir.path().join("link"), dir.path().join("disk"));
    fs_err::os::unix::fs::symlink("a.efi", &link).unwrap();
    for path in [&image.path, &link] {
        let error = write_disk(path, &image, &DiskOptions::default()).unwrap_err();
        assert!(matches!(error, DiskError::Itself { .. }), "{error}");
    }
    assert_eq!(fs_err::read(&image.path).unwrap(), bytes);
    let error = write_disk("/dev/null".into(), &image, &DiskOptions::default()).unwrap_err();
    assert!(error.to_string().contains("/dev/null: it is a device"), "{error}");
    fs_err::write(&disk, "").unwrap();
    fs_err::remove_file(&link).unwrap();
    fs_err::os::unix::fs::symlink("disk", &link).unwrap();
    write_disk(&link, &image, &DiskOptions::default()).unwrap();
    assert_eq!(fs_err::metadata(&disk).unwrap().len(), 1 << 30);
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let dir = camino_tempfile::tempdir().unwrap();
    let bytes = Sample::new(1).pe(0x8664);
    let (one, two) = (image(&dir, "a.efi", &bytes), image(&dir, "b.efi", &bytes));
    let other = image(&dir, "c.efi", &Sample::new(1).pe(0xaa64));
    let write = |name: &str, image: &Image| {
        let options = DiskOptions::default();
        let disk = write_disk(&dir.path().join(name), image, &options).unwrap();
        assert_eq!(disk.size, 1 << 30);
        disk.path
    };
    let first = write("1.img", &one);
    let data = fs_err::metadata(&first).unwrap();
    assert_eq!(data.len(), 1 << 30);
    assert!(data.blocks() * 512 < 8 << 20, "{} KiB on disk", data.blocks() / 2);
    let expected = parts(&first);
    assert!(parts(&write("2.img", &two)) == expected);
    assert_eq!(file_on(&first, "EFI/BOOT/BOOTX64.EFI"), bytes);
    assert!(parts(&write("2.img", &other)) != expected);
    assert_eq!(fs_err::read_dir(dir.path()).unwrap().count(), 5, "nothing is left behind");
}

#[test]
fn a_loader_with_an_image_beside_it() {
    let dir = camino_tempfile::tempdir().unwrap();
    let (ours, loader) = (Sample::new(1).pe(0x8664), Sample::new(2).pe(0x8664));
    let loader_image = image(&dir, "ipxe.efi", &loader);
    let options = DiskOptions { beside: Some(image(&dir, "ours.efi", &ours)) };
    let disk = write_disk(&dir.path().join("disk"), &loader_image, &options).unwrap();
    assert_eq!(disk.files, ["EFI/BOOT/BOOTX64.EFI", "EFI/BOOT/L4RE.EFI"]);
    assert_eq!(file_on(&disk.path, &disk.files[0]), loader);
    assert_eq!(file_on(&disk.path, &disk.files[1]), ours);
}

#[test]
fn what_firmware_would_not_start_is_refused() {
    let dir = camino_tempfile::tempdir().unwrap();
    let path = dir.path().join("disk");
    fs_err::write(&path, "an older disk").unwrap();
    let write = |image: &Image, beside: Option<Image>| {
        let error = write_disk(&path, image, &DiskOptions { beside }).unwrap_err();
        assert_eq!(fs_err::read_to_string(&path).unwrap(), "an older disk");
        error
    };
    let elf = image(&dir, "a.elf", &Sample::new(1).elf64(62));
    assert!(matches!(write(&elf, None), DiskError::Elf { path } if path == elf.path));
    let efi = image(&dir, "a.efi", &Sample::new(1).pe(0x8664));
    let arm = image(&dir, "b.efi", &Sample::new(1).pe(0xaa64));
    assert!(matches!(write(&efi, Some(arm)), DiskError::OtherArch { .. }));
    let large = Image { size: 1 << 32, ..efi.clone() };
    assert!(matches!(write(&large, None), DiskError::TooLarge { .. }));
    fs_err::write(&efi.path, "shorter").unwrap();
    assert!(matches!(write(&efi, None), DiskError::Changed { .. }));
    fs_err::write(&efi.path, vec![0; 1 << 20]).unwrap();
    assert!(matches!(write(&efi, None), DiskError::Changed { .. }));
    fs_err::remove_file(&efi.path).unwrap();
    assert!(matches!(write(&efi, None), DiskError::Read { .. }));
    assert_eq!(fs_err::read_dir(dir.path()).unwrap().count(), 3, "nothing is left behind");
}
