//! EFI system partitions: FAT images with one program under its standard name.

use std::io::{self, Write as _};

use camino::{Utf8Path, Utf8PathBuf};
use fatfs::{FatType, FileSystem, FormatVolumeOptions, FsOptions};
use fs_err as fs;
use sha2::{Digest, Sha256};

use crate::state::{Architecture, files};

/// Room for the file system itself beside the program.
const OVERHEAD: u64 = 2 * 1024 * 1024;

/// Where firmware looks for a program on a disk that it does not know (UEFI 2.10, 3.5.1.1).
pub(crate) fn standard_name(architecture: Architecture) -> &'static str {
    match architecture {
        Architecture::X86_64 => "BOOTX64.EFI",
        Architecture::Arm64 => "BOOTAA64.EFI",
    }
}

/// A disk with an AMI's program, made once per program and then shared, read-only.
pub(crate) fn shared(
    state_dir: &Utf8Path,
    program: &Utf8Path,
    architecture: Architecture,
) -> io::Result<Utf8PathBuf> {
    let bytes = fs::read(program)?;
    let dir = state_dir.join("disks");
    fs::create_dir_all(&dir)?;
    let path = dir.join(format!("{}.img", hex::encode(&Sha256::digest(&bytes)[..16])));
    if !path.exists() {
        write(&path, &bytes, architecture)?;
    }
    Ok(path)
}

/// Writes a disk, beside its place first.
pub(crate) fn write(path: &Utf8Path, program: &[u8], architecture: Architecture) -> io::Result<()> {
    let beside = files::beside(path);
    let written = write_to(&beside, program, architecture).and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        let _ = fs::remove_file(&beside);
    }
    written
}

fn write_to(path: &Utf8Path, program: &[u8], architecture: Architecture) -> io::Result<()> {
    let size = (program.len() as u64 + OVERHEAD).next_multiple_of(1024 * 1024);
    // In memory first: fatfs writes in pieces of a cluster, and its tables again and again.
    let mut disk = vec![0; usize::try_from(size).map_err(io::Error::other)?];
    fatfs::format_volume(io::Cursor::new(&mut disk[..]), options(size))?;
    let volume = FileSystem::new(io::Cursor::new(&mut disk[..]), FsOptions::new())?;
    let dir = volume.root_dir().create_dir("EFI")?.create_dir("BOOT")?;
    let mut out = dir.create_file(standard_name(architecture))?;
    out.write_all(program)?;
    out.flush()?;
    drop(out);
    drop(dir);
    volume.unmount()?;
    fs::write(path, &disk)
}

fn options(size: u64) -> FormatVolumeOptions {
    let options = FormatVolumeOptions::new().volume_label(*b"EFI        ");
    if size < 16 * 1024 * 1024 {
        return options;
    }
    // Few, large clusters: the program is one file.
    let kind = if size < 500 * 1024 * 1024 { FatType::Fat16 } else { FatType::Fat32 };
    options.fat_type(kind).bytes_per_cluster(if kind == FatType::Fat16 { 16_384 } else { 4096 })
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    fn content(path: &Utf8Path) -> Vec<u8> {
        let file = fs::File::open(path).unwrap().into_parts().0;
        let volume = FileSystem::new(file, FsOptions::new()).unwrap();
        let mut bytes = Vec::new();
        let mut program = volume.root_dir().open_file("EFI/BOOT/BOOTAA64.EFI").unwrap();
        program.read_to_end(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn programs_of_all_sizes_come_back() {
        let dir = camino_tempfile::tempdir().unwrap();
        for size in [1, 1 << 20, 20 << 20, 150 << 20] {
            let path = dir.path().join("disk.img");
            let program: Vec<u8> = (0..size).map(|n: u32| ((n * 7) >> 3) as u8).collect();
            write(&path, &program, Architecture::Arm64).unwrap();
            assert!(content(&path) == program, "{size}");
        }
    }
}
