//! ELF headers, 32 and 64 bit, either byte order (System V ABI, chapter 4 and 5), and the
//! form that L4Re has for amd64: a 32-bit multiboot file with a 64-bit one in its section
//! `.data.elf64`.

use super::ImageError;
use super::file::{Fields, ImageFile};
use super::layout::{Area, Layout};
use crate::arch::{Arch, Kind};

/// The section with the image proper in a multiboot file for amd64.
const INNER: &str = ".data.elf64";
const PT_LOAD: u32 = 1;
const SHT_NULL: u32 = 0;
const SHT_NOBITS: u32 = 8;
const MACHINE_386: u16 = 3;

/// Where fields are, by class.
struct Class {
    bits: u32,
    header: u64,
    program_header: u64,
    section_header: u64,
}

const ELF32: Class = Class { bits: 32, header: 52, program_header: 32, section_header: 40 };
const ELF64: Class = Class { bits: 64, header: 64, program_header: 56, section_header: 64 };

/// The fields of the file header that lead to the others.
struct Header {
    machine: u16,
    program_at: u64,
    program_size: u16,
    program_count: u16,
    section_at: u64,
    section_size: u16,
    section_count: u16,
    names: u16,
}

pub(super) fn read(file: &ImageFile) -> Result<Layout, ImageError> {
    let ident = file.bytes("ELF identification", 0, 16)?;
    let class = match ident[4] {
        1 => ELF32,
        2 => ELF64,
        other => return Err(file.bad("EI_CLASS", 4, other.into(), "neither 32 nor 64 bit")),
    };
    let big_endian = match ident[5] {
        1 => false,
        2 => true,
        other => return Err(file.bad("EI_DATA", 5, other.into(), "not a byte order")),
    };
    if ident[6] != 1 {
        return Err(file.bad("EI_VERSION", 6, ident[6].into(), "not 1"));
    }
    let bytes = file.bytes("ELF header", 0, class.header)?;
    let header = header(&Fields::new(&bytes, big_endian), class.bits);
    let areas = segments(file, &class, &header, big_endian)?;
    let inner = match class.bits == 32 && header.machine == MACHINE_386 {
        true => inner(file, &class, &header)?,
        false => None,
    };
    let arch = match &inner {
        Some(inner) => inner.1.arch,
        None => Arch::from_elf_machine(header.machine, class.bits).ok_or_else(|| {
            let (path, value) = (file.path().to_owned(), header.machine);
            ImageError::UnsupportedMachine {
                path,
                field: "e_machine",
                offset: file.base() + 18,
                value,
            }
        })?,
    };
    Ok(Layout { kind: Kind::Elf, arch, areas, pe: None, inner })
}

fn header(fields: &Fields<'_>, bits: u32) -> Header {
    let machine = fields.u16(18);
    let (program_at, section_at, counts) = match bits {
        32 => (fields.u32(0x1c).into(), fields.u32(0x20).into(), 0x2a),
        _ => (fields.u64(0x20), fields.u64(0x28), 0x36),
    };
    Header {
        machine,
        program_at,
        program_size: fields.u16(counts),
        program_count: fields.u16(counts + 2),
        section_at,
        section_size: fields.u16(counts + 4),
        section_count: fields.u16(counts + 6),
        names: fields.u16(counts + 8),
    }
}

fn segments(
    file: &ImageFile,
    class: &Class,
    header: &Header,
    big_endian: bool,
) -> Result<Vec<Area>, ImageError> {
    let count = u64::from(header.program_count);
    if count == 0 {
        let at = if class.bits == 32 { 0x2c } else { 0x38 };
        return Err(file.bad("e_phnum", at, 0, "an image has at least one segment"));
    }
    let size = u64::from(header.program_size);
    if size != class.program_header {
        let at = if class.bits == 32 { 0x2a } else { 0x36 };
        return Err(file.bad("e_phentsize", at, size, "not the size of a program header"));
    }
    let table = file.bytes("program headers", header.program_at, count * size)?;
    let mut areas = Vec::new();
    for (index, entry) in table.chunks_exact(class.program_header as usize).enumerate() {
        let fields = Fields::new(entry, big_endian);
        let (offset, address, bytes, memory) = match class.bits {
            32 => (
                fields.u32(4).into(),
                fields.u32(8).into(),
                fields.u32(16).into(),
                fields.u32(20).into(),
            ),
            _ => (fields.u64(8), fields.u64(16), fields.u64(32), fields.u64(40)),
        };
        file.within("segment data", offset, bytes)?;
        if fields.u32(0) == PT_LOAD {
            let name = format!("segment {index}");
            areas.push(Area { name, address, memory, offset, bytes });
        }
    }
    Ok(areas)
}

/// The 64-bit image in a 32-bit file. Byte order is little: this form is x86's only.
fn inner(
    file: &ImageFile,
    class: &Class,
    header: &Header,
) -> Result<Option<Box<(ImageFile, Layout)>>, ImageError> {
    let count = u64::from(header.section_count);
    if count == 0 {
        return Ok(None);
    }
    let size = u64::from(header.section_size);
    if size != class.section_header {
        return Err(file.bad("e_shentsize", 0x2e, size, "not the size of a section header"));
    }
    let table = file.bytes("section headers", header.section_at, count * size)?;
    let entries = || table.chunks_exact(class.section_header as usize).map(Fields::little);
    let Some(names) = entries().nth(header.names.into()) else {
        let value = header.names.into();
        return Err(file.bad("e_shstrndx", 0x32, value, "not one of the sections"));
    };
    let (names_at, names_size) = (names.u32(16).into(), names.u32(20).into());
    let names = file.bytes("section names", names_at, names_size)?;
    for (index, section) in entries().enumerate() {
        let (offset, bytes) = (section.u32(16).into(), section.u32(20).into());
        if matches!(section.u32(4), SHT_NULL | SHT_NOBITS) {
            continue;
        }
        file.within("section data", offset, bytes)?;
        let name_at = section.u32(0) as usize;
        let Some(name) = names.get(name_at..) else {
            let at = header.section_at + index as u64 * size;
            return Err(file.bad("sh_name", at, name_at as u64, "beyond the section names"));
        };
        if name.starts_with(INNER.as_bytes()) && name.get(INNER.len()) == Some(&0) {
            let part = file.part(INNER, offset, bytes)?;
            let layout = inner_layout(&part)?;
            return Ok(Some(Box::new((part, layout))));
        }
    }
    Ok(None)
}

/// The layout of the wrapped image, which must not be a 32-bit x86 one again: so wrapping
/// ends here.
fn inner_layout(part: &ImageFile) -> Result<Layout, ImageError> {
    let ident = part.bytes("wrapped ELF identification", 0, 16)?;
    if !ident.starts_with(b"\x7fELF") {
        let value = u32::from_le_bytes([ident[0], ident[1], ident[2], ident[3]]);
        return Err(part.bad("wrapped ELF magic", 0, value.into(), "not an ELF file"));
    }
    if ident[4] != 2 {
        return Err(part.bad("wrapped EI_CLASS", 4, ident[4].into(), "not 64 bit"));
    }
    read(part)
}
