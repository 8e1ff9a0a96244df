//! Writing a disk: what goes onto it, how large it is, and the names of its parts.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;

use camino::{Utf8Path, Utf8PathBuf};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::fat::{Entry, Layout, short_name};
use super::{DiskError, table};
use crate::arch::Kind;
use crate::image::Image;
use crate::replace::Replacement;

/// EC2's volumes have whole GiB, at least one.
const GIB: u64 = 1 << 30;
/// The tables of the disk, and the start of the file system.
const TABLES: u64 = 4 << 20;
/// The name of an image that is not the one that firmware starts.
const BESIDE: &str = "L4RE.EFI";

/// What is on a disk besides the image that firmware starts.
#[derive(Clone, Debug, Default)]
pub struct DiskOptions {
    /// An image that is put beside it as `EFI/BOOT/L4RE.EFI`: for a boot loader (iPXE) to find.
    pub beside: Option<Image>,
}

/// A disk that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disk {
    /// The file: raw, and sparse where its file system has that.
    pub path: Utf8PathBuf,
    /// The disk's size in bytes, whole GiB.
    pub size: u64,
    /// The files on it, by their paths in the EFI system partition.
    pub files: Vec<String>,
}

/// Writes a disk from which firmware starts `boot`: an L4Re image, or another EFI application
/// such as iPXE, which an [`Image`] can be, too.
///
/// The disk has the smallest size that an EC2 volume can have: whole GiB. It is written beside
/// `path` first, so that what is there stays until the new disk is complete; a link leads to
/// what is written. None of the images on it is overwritten, nor is a device.
pub fn write_disk(path: &Utf8Path, boot: &Image, options: &DiskOptions) -> Result<Disk, DiskError> {
    let files = files(boot, options)?;
    let target = path.canonicalize_utf8().unwrap_or_else(|_| path.to_owned());
    let same =
        |file: &OnDisk<'_>| file.image.path.canonicalize_utf8().is_ok_and(|own| own == target);
    if files.iter().any(same) {
        return Err(DiskError::Itself { path: path.to_owned() });
    }
    let size = size(&files);
    let [disk, own, volume] = ["disk", "partition", "volume"].map(|part| number(part, &files));
    let id = u32::from_le_bytes([volume[0], volume[1], volume[2], volume[3]]);
    let entries = files.iter().map(|file| file.entry.clone()).collect();
    let layout = Layout::new(table::partition(size), id, entries);
    let failed = |source| DiskError::Write { path: path.to_owned(), source };
    let output = Replacement::of(&target).map_err(failed)?;
    output.file().set_len(size).map_err(failed)?;
    layout.write(output.file()).map_err(failed)?;
    for (file, offset) in files.iter().zip(layout.offsets()) {
        copy(file.image, output.file(), offset).map_err(|error| match error {
            CopyError::Changed => DiskError::Changed { path: file.image.path.clone() },
            CopyError::Read(source) => DiskError::Read { path: file.image.path.clone(), source },
            CopyError::Write(source) => failed(source),
        })?;
    }
    table::write(output.file(), size, guid(disk), guid(own)).map_err(failed)?;
    output.commit().map_err(failed)?;
    let files = files.iter().map(|file| format!("EFI/BOOT/{}", file.name)).collect();
    Ok(Disk { path: path.to_owned(), size, files })
}

/// An image with its name on the disk.
struct OnDisk<'a> {
    name: String,
    entry: Entry,
    image: &'a Image,
}

/// The files of the disk, the one that firmware starts first.
fn files<'a>(boot: &'a Image, options: &'a DiskOptions) -> Result<Vec<OnDisk<'a>>, DiskError> {
    let standard = boot.arch.efi_name().unwrap_or_default().to_ascii_uppercase();
    let beside = options.beside.iter().map(|image| (BESIDE.to_owned(), image));
    let files = [(standard, boot)].into_iter().chain(beside);
    let checked = |(name, image): (String, &'a Image)| {
        let path = image.path.clone();
        if image.kind == Kind::Elf {
            return Err(DiskError::Elf { path });
        }
        if image.arch != boot.arch {
            return Err(DiskError::OtherArch { path, arch: image.arch, disk: boot.arch });
        }
        let Some(short) = short_name(&name) else {
            return Err(DiskError::NoName { path, arch: image.arch });
        };
        let too_large = |_| DiskError::TooLarge { path, size: image.size };
        let size = u32::try_from(image.size).map_err(too_large)?;
        Ok(OnDisk { name, entry: Entry { name: short, size }, image })
    };
    files.map(checked).collect()
}

/// The smallest disk: the files, their clusters in two tables, and what is always there.
fn size(files: &[OnDisk<'_>]) -> u64 {
    let bytes: u64 = files.iter().map(|file| file.image.size.next_multiple_of(4096)).sum();
    let needed = bytes + bytes / 256 + TABLES;
    // The tables for the clusters of the whole disk, be they used or not.
    (needed + needed.next_multiple_of(GIB) / 256).next_multiple_of(GIB)
}

/// Numbers for a part of the disk that are as unique as what is on it.
fn number(part: &str, files: &[OnDisk<'_>]) -> [u8; 16] {
    let mut hash = Sha256::new_with_prefix(format!("l4re {part}\n"));
    for file in files {
        hash.update(format!("{} {}\n", file.name, file.image.sha256));
    }
    let digest: [u8; 32] = hash.finalize().into();
    std::array::from_fn(|index| digest[index])
}

/// As a GUID made up by its owner (RFC 9562, version 8).
fn guid(bytes: [u8; 16]) -> Uuid {
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

enum CopyError {
    Changed,
    Read(io::Error),
    Write(io::Error),
}

/// Copies an image to a place on the disk, if it still is what it was when it was opened.
fn copy(image: &Image, disk: &File, mut offset: u64) -> Result<(), CopyError> {
    let mut input = File::open(&image.path).map_err(CopyError::Read)?;
    let end = offset + image.size;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let count = match input.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(CopyError::Read(error)),
        };
        let bytes = &buffer[..count];
        // What has grown must not be written over what is behind it.
        if count as u64 > end - offset {
            return Err(CopyError::Changed);
        }
        hash.update(bytes);
        disk.write_all_at(bytes, offset).map_err(CopyError::Write)?;
        offset += count as u64;
    }
    let same = hex::encode(hash.finalize()) == image.sha256;
    if same { Ok(()) } else { Err(CopyError::Changed) }
}
