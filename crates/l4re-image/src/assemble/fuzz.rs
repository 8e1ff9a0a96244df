//! The readers of base images and of programs, with any bytes (see `fuzzing.rs`).

use camino::Utf8Path;

use super::{elf, elf_needs, pe};

/// Addresses and sizes that have found faults before.
const PLACES: [(u64, u64); 4] = [(0x2000, 0x5000), (0, 0), (0x1000, 1 << 32), (u64::MAX, u64::MAX)];

/// A PE file as a base image.
pub(crate) fn fuzz_pe(bytes: &[u8]) {
    for (address, len) in PLACES {
        // A place or none, a frame or none.
        let _ = pe::file_offset(bytes, address);
        let _ = pe::frame(bytes, address, len);
    }
}

/// An ELF file as a base image.
pub(crate) fn fuzz_elf(bytes: &[u8]) {
    for (address, len) in PLACES {
        let _ = elf::file_offset(bytes, address);
        let _ = elf::section(bytes, address);
        let _ = elf::address_of(bytes, address);
        let _ = elf::frame(bytes, address, len);
    }
}

/// A program's needs.
pub(crate) fn fuzz_needs(path: &Utf8Path) {
    let _ = elf_needs::needs(path);
}
