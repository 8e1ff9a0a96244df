//! Growing the section of a PE file that ends with the module data, as `objcpy_start` and
//! `objcpy_finalize` of L4Re's `Image/EFI.pm` do.

use super::write::{Bytes, Frame};

const SECTION: usize = 40;
/// The largest alignment in a file that the format allows.
const ALIGNMENT: u32 = 64 * 1024;
const CODE: u32 = 0x20;
const DATA: u32 = 0x40;
const BSS: u32 = 0x80;

/// A section's numbers, and where its header is.
#[derive(Clone, Copy, Debug)]
struct Section {
    at: usize,
    virtual_size: u32,
    address: u32,
    raw_size: u32,
    raw_at: u32,
    flags: u32,
}

impl Section {
    fn read(bytes: &Bytes, at: usize) -> Option<Self> {
        let field = |offset| bytes.u32(at + offset);
        Some(Self {
            at,
            virtual_size: field(8)?,
            address: field(12)?,
            raw_size: field(16)?,
            raw_at: field(20)?,
            flags: field(36)?,
        })
    }

    fn write(&self, bytes: &mut Bytes) -> Option<()> {
        bytes.put32(self.at + 8, self.virtual_size)?;
        bytes.put32(self.at + 12, self.address)?;
        bytes.put32(self.at + 16, self.raw_size)?;
        bytes.put32(self.at + 20, self.raw_at)
    }
}

/// The place in the file of an address (`vaddr_to_file_offset`).
pub(super) fn file_offset(base: &[u8], address: u64) -> Option<u64> {
    let bytes = Bytes(base.to_vec());
    let section = *sections(&bytes)?.iter().find(|section| holds(section, address))?;
    (address + u64::from(section.raw_at)).checked_sub(section.address.into())
}

fn holds(section: &Section, address: u64) -> bool {
    let start = u64::from(section.address);
    (start..start + u64::from(section.virtual_size)).contains(&address)
}

fn header_at(bytes: &Bytes) -> Option<usize> {
    usize::try_from(bytes.u32(0x3c)?).ok()
}

fn sections(bytes: &Bytes) -> Option<Vec<Section>> {
    let header = header_at(bytes)?;
    let (count, optional) = (bytes.u16(header + 6)?, bytes.u16(header + 20)?);
    let table = header + 24 + usize::from(optional);
    (0..usize::from(count)).map(|i| Section::read(bytes, table + i * SECTION)).collect()
}

/// The file around `len` bytes of module data at `address`; `None` when it cannot be done.
pub(super) fn frame(base: &[u8], address: u64, len: u64) -> Option<Frame> {
    let mut bytes = Bytes(base.to_vec());
    let mut sections = sections(&bytes)?;
    let index = sections.iter().position(|section| holds(section, address))?;
    let module = sections[index];
    let header = header_at(&bytes)?;
    let optional = header + 24;
    let alignment = bytes.u32(optional + 36)?;
    let aligned = alignment.is_power_of_two() && alignment <= ALIGNMENT;
    if !aligned || sections.iter().any(|section| section.virtual_size == 0) {
        return None;
    }
    let within = u32::try_from(address).ok()?.checked_sub(module.address)?;
    let data_at = within.checked_add(module.raw_at)?;
    let end = u64::from(data_at).checked_add(len)?;
    let virtual_size = u32::try_from(end - u64::from(module.raw_at)).ok()?;
    let raw_size = virtual_size.checked_next_multiple_of(alignment)?;
    // What later sections move by; a base image has less than any module data.
    let moved = raw_size.checked_sub(module.raw_size)?;

    for section in &mut sections {
        if section.raw_at > module.raw_at {
            section.raw_at = section.raw_at.checked_add(moved)?;
        }
        if section.address > module.address {
            section.address = section.address.checked_add(moved)?;
        }
    }
    (sections[index].raw_size, sections[index].virtual_size) = (raw_size, virtual_size);
    apart(&sections)?;

    let symbols = bytes.u32(header + 12)?;
    if symbols > module.raw_at {
        bytes.put32(header + 12, symbols.checked_add(moved)?)?;
    }
    let image_size = bytes.u32(optional + 56)?.checked_add(moved)?;
    bytes.put32(optional + 56, image_size)?;
    bytes.put32(optional + 64, 0)?;
    for (field, sum) in (optional + 4..).step_by(4).zip(sums(&sections, alignment)?) {
        bytes.put32(field, sum)?;
    }
    sections.iter().try_for_each(|section| section.write(&mut bytes))?;
    let old_end = usize::try_from(u64::from(module.raw_at) + u64::from(module.raw_size)).ok()?;
    let mut frame = bytes.split(usize::try_from(data_at).ok()?, old_end)?;
    let padding = usize::try_from(raw_size - virtual_size).ok()?;
    frame.back.splice(..0, std::iter::repeat_n(0, padding));
    Some(frame)
}

/// Sizes of code, data and bss, as L4Re's tools count them.
fn sums(sections: &[Section], alignment: u32) -> Option<[u32; 3]> {
    let mut sums = [0_u32; 3];
    for section in sections {
        let kind = [CODE, DATA, BSS].iter().position(|flag| section.flags & flag != 0);
        if let Some(kind) = kind {
            let size = section.virtual_size.checked_next_multiple_of(alignment)?;
            sums[kind] = sums[kind].checked_add(size)?;
        }
    }
    Some(sums)
}

/// No two sections share addresses.
fn apart(sections: &[Section]) -> Option<()> {
    let mut sorted = sections.to_vec();
    sorted.sort_by_key(|section| section.address);
    let fits = |pair: &[Section]| {
        u64::from(pair[0].address) + u64::from(pair[0].virtual_size) <= pair[1].address.into()
    };
    sorted.windows(2).all(fits).then_some(())
}
