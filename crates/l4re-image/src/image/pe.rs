//! PE headers, as far as firmware and L4Re look at them (Microsoft's PE format, UEFI 2.10
//! section 2.1.1). Sections are few, so that a forged count cannot cost much.

use super::ImageError;
use super::file::{Fields, ImageFile};
use super::layout::{Area, Layout};
use crate::arch::{Arch, Kind};

/// The subsystem of EFI applications.
pub(super) const EFI_APPLICATION: u16 = 10;

const COFF_HEADER: u64 = 24;
const SECTION_HEADER: u64 = 40;
const PE32: u16 = 0x10b;
const PE32_PLUS: u16 = 0x20b;

/// What the checks want to know beyond the sections.
#[derive(Clone, Debug)]
pub(super) struct Summary {
    pub(super) subsystem: u16,
    pub(super) image_size: u32,
    pub(super) headers_size: u32,
    /// Where the section table ends.
    pub(super) table_end: u64,
}

pub(super) fn read(file: &ImageFile) -> Result<Layout, ImageError> {
    let dos = file.bytes("DOS header", 0, 64)?;
    let at = u64::from(Fields::little(&dos).u32(0x3c));
    let coff = file.bytes("PE header", at, COFF_HEADER)?;
    let fields = Fields::little(&coff);
    let signature = fields.u32(0);
    if signature != u32::from_le_bytes(*b"PE\0\0") {
        return Err(file.bad("PE signature", at, signature.into(), "not `PE`"));
    }
    let machine = fields.u16(4);
    let arch = Arch::from_pe_machine(machine).ok_or_else(|| ImageError::UnsupportedMachine {
        path: file.path().to_owned(),
        field: "Machine",
        offset: at + 4,
        value: machine,
    })?;
    let (sections, optional_size) = (fields.u16(6), fields.u16(20));
    let optional_at = at + COFF_HEADER;
    let table_at = optional_at + u64::from(optional_size);
    let mut summary = optional_header(file, optional_at, optional_size)?;
    let areas = section_table(file, table_at, sections)?;
    summary.table_end = table_at + u64::from(sections) * SECTION_HEADER;
    Ok(Layout { kind: Kind::Efi, arch, areas, pe: Some(summary), inner: None })
}

fn optional_header(file: &ImageFile, at: u64, size: u16) -> Result<Summary, ImageError> {
    let header = file.bytes("optional header", at, size.into())?;
    let too_small = || {
        file.bad("SizeOfOptionalHeader", at - 4, size.into(), "too small for an optional header")
    };
    if size < 2 {
        return Err(too_small());
    }
    let fields = Fields::little(&header);
    // Up to NumberOfRvaAndSizes, which is the last field before the data directories.
    let (fixed, directories) = match fields.u16(0) {
        PE32 => (96, 92),
        PE32_PLUS => (112, 108),
        other => return Err(file.bad("Magic", at, other.into(), "neither PE32 nor PE32+")),
    };
    if usize::from(size) < fixed {
        return Err(too_small());
    }
    let count = fields.u32(directories);
    if u64::from(count) * 8 > u64::from(size) - fixed as u64 {
        let why = "more data directories than the optional header holds";
        return Err(file.bad("NumberOfRvaAndSizes", at + directories as u64, count.into(), why));
    }
    Ok(Summary {
        subsystem: fields.u16(68),
        image_size: fields.u32(56),
        headers_size: fields.u32(60),
        table_end: 0,
    })
}

fn section_table(file: &ImageFile, at: u64, count: u16) -> Result<Vec<Area>, ImageError> {
    let table = file.bytes("section table", at, u64::from(count) * SECTION_HEADER)?;
    table
        .chunks_exact(SECTION_HEADER as usize)
        .map(|header| {
            let fields = Fields::little(header);
            let name = String::from_utf8_lossy(&header[..8]).trim_end_matches('\0').to_owned();
            let (memory, address) = (fields.u32(8).into(), fields.u32(12).into());
            let bytes: u64 = fields.u32(16).into();
            // Sections without bytes in the file (.bss) may have any file pointer.
            let offset = if bytes == 0 { 0 } else { fields.u32(20).into() };
            file.within("section data", offset, bytes)?;
            Ok(Area { name, address, memory, offset, bytes })
        })
        .collect()
}
