//! Why there is no disk.

use std::io;

use camino::Utf8PathBuf;

use crate::arch::Arch;

/// Why a disk cannot be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DiskError {
    /// An image for multiboot loaders: firmware starts EFI applications from disks.
    #[error("{path} is an ELF image, and firmware starts EFI images only: make an efiimage")]
    Elf {
        /// The image.
        path: Utf8PathBuf,
    },
    /// UEFI has no standard name for it, or one that L4Re's images have no use for.
    #[error("{path} is for {arch}, for which there are no disks")]
    NoName {
        /// The image.
        path: Utf8PathBuf,
        /// What it is for.
        arch: Arch,
    },
    /// Two images that no machine runs both of.
    #[error("{path} is for {arch}, and the disk is for {disk}")]
    OtherArch {
        /// The image.
        path: Utf8PathBuf,
        /// What it is for.
        arch: Arch,
        /// What the disk boots on.
        disk: Arch,
    },
    /// More than a file of a FAT file system can hold.
    #[error("{path} has {size} bytes, and a file on an EFI system partition less than 4 GiB")]
    TooLarge {
        /// The image.
        path: Utf8PathBuf,
        /// Its size.
        size: u64,
    },
    /// The disk would take the place of an image that is on it.
    #[error("{path} is the image itself: give the disk another name")]
    Itself {
        /// The image.
        path: Utf8PathBuf,
    },
    /// The file is no more what it was when it was looked at.
    #[error("{path} changed since it was checked")]
    Changed {
        /// The image.
        path: Utf8PathBuf,
    },
    /// The image cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The image.
        path: Utf8PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The disk cannot be written.
    #[error("cannot write {path}: {source}")]
    Write {
        /// The disk.
        path: Utf8PathBuf,
        /// Why not.
        source: io::Error,
    },
}
