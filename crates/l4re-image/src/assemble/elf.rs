//! Replacing the section of an ELF file that holds the module data, as L4Re's `Image/Elf.pm`
//! does: sizes and places of what covers it or comes after it are adjusted, nothing else.

use super::write::{Bytes, Frame};

const SHT_NULL: u32 = 0;
const SHT_NOBITS: u32 = 8;

/// Where the fields of interest are in a table's entries, and how wide they are.
#[derive(Clone, Copy, Debug)]
struct Table {
    at: u64,
    size: usize,
    count: usize,
}

struct Elf {
    bytes: Bytes,
    wide: bool,
    programs: Table,
    sections: Table,
}

/// A header's own places of its fields: address, offset, size in the file, size in memory.
#[derive(Clone, Copy)]
struct Fields {
    address: usize,
    offset: usize,
    size: usize,
    memory: Option<usize>,
}

impl Elf {
    fn read(base: &[u8]) -> Option<Self> {
        let bytes = Bytes(base.to_vec());
        let ident: [u8; 16] = bytes.get(0)?;
        if !(ident.starts_with(b"\x7fELF") && ident[5] == 1) {
            return None;
        }
        let wide = match ident[4] {
            1 => false,
            2 => true,
            _ => return None,
        };
        let counts = if wide { 0x36 } else { 0x2a };
        let table = |at: Option<u64>, size: usize| {
            let (size, count) = (bytes.u16(size)?.into(), bytes.u16(size + 2)?.into());
            Some(Table { at: at?, size, count })
        };
        let (programs_at, sections_at) = match wide {
            true => (bytes.u64(0x20), bytes.u64(0x28)),
            false => (bytes.u32(0x1c).map(u64::from), bytes.u32(0x20).map(u64::from)),
        };
        let programs = table(programs_at, counts)?;
        let sections = table(sections_at, counts + 4)?;
        Some(Self { wide, programs, sections, bytes })
    }

    fn program_fields(&self) -> Fields {
        match self.wide {
            true => Fields { address: 16, offset: 8, size: 32, memory: Some(40) },
            false => Fields { address: 8, offset: 4, size: 16, memory: Some(20) },
        }
    }

    fn section_fields(&self) -> Fields {
        match self.wide {
            true => Fields { address: 16, offset: 24, size: 32, memory: None },
            false => Fields { address: 12, offset: 16, size: 20, memory: None },
        }
    }

    fn number(&self, at: usize) -> Option<u64> {
        match self.wide {
            true => self.bytes.u64(at),
            false => self.bytes.u32(at).map(u64::from),
        }
    }

    fn put(&mut self, at: usize, value: u64) -> Option<()> {
        match self.wide {
            true => self.bytes.put64(at, value),
            false => self.bytes.put32(at, u32::try_from(value).ok()?),
        }
    }

    fn entries(&self, table: Table) -> Option<Vec<usize>> {
        let at = usize::try_from(table.at).ok()?;
        // All of it within the file, so that sums of places in it cannot overflow.
        let end = at.checked_add(table.count.checked_mul(table.size)?)?;
        (end <= self.bytes.0.len()).then(|| (0..table.count).map(|i| at + i * table.size).collect())
    }

    /// The last section at exactly this address: its place and size in the file.
    fn section(&self, address: u64) -> Option<(u64, u64)> {
        let fields = self.section_fields();
        let mut found = None;
        for at in self.entries(self.sections)? {
            if self.number(at + fields.address)? == address {
                found = Some((self.number(at + fields.offset)?, self.number(at + fields.size)?));
            }
        }
        found.filter(|(offset, _)| *offset != 0)
    }

    /// Adjusts one entry to `amount` more bytes at `offset`.
    fn patch(&mut self, at: usize, fields: Fields, offset: u64, amount: i64) -> Option<()> {
        let (start, size) = (self.number(at + fields.offset)?, self.number(at + fields.size)?);
        if start > offset {
            return self.put(at + fields.offset, start.checked_add_signed(amount)?);
        }
        if start.checked_add(size)? > offset {
            self.put(at + fields.size, size.checked_add_signed(amount)?)?;
            if let Some(memory) = fields.memory {
                let size = self.number(at + memory)?.checked_add_signed(amount)?;
                self.put(at + memory, size)?;
            }
        }
        Some(())
    }

    fn patch_all(&mut self, offset: u64, amount: i64) -> Option<()> {
        let fields = self.program_fields();
        for at in self.entries(self.programs)? {
            self.patch(at, fields, offset, amount)?;
        }
        let fields = self.section_fields();
        for at in self.entries(self.sections)? {
            if !matches!(self.bytes.u32(at + 4)?, SHT_NULL | SHT_NOBITS) {
                self.patch(at, fields, offset, amount)?;
            }
        }
        let (programs_at, sections_at) = if self.wide { (0x20, 0x28) } else { (0x1c, 0x20) };
        for (field, table) in [(programs_at, self.programs), (sections_at, self.sections)] {
            if table.at >= offset {
                self.put(field, table.at.checked_add_signed(amount)?)?;
            }
        }
        Some(())
    }
}

/// The place in the file of an address (`vaddr_to_file_offset`).
pub(super) fn file_offset(base: &[u8], address: u64) -> Option<u64> {
    let elf = Elf::read(base)?;
    let fields = elf.program_fields();
    elf.entries(elf.programs)?.into_iter().find_map(|at| {
        let within = address.checked_sub(elf.number(at + fields.address)?)?;
        let inside = within < elf.number(at + fields.size)?;
        inside.then(|| elf.number(at + fields.offset)?.checked_add(within)).flatten()
    })
}

/// The place of the section at exactly this address, and its size.
pub(super) fn section(base: &[u8], address: u64) -> Option<(u64, u64)> {
    Elf::read(base)?.section(address)
}

/// The address of the section at this place in the file.
pub(super) fn address_of(base: &[u8], offset: u64) -> Option<u64> {
    let elf = Elf::read(base)?;
    let fields = elf.section_fields();
    elf.entries(elf.sections)?
        .into_iter()
        .find(|&at| {
            !matches!(elf.bytes.u32(at + 4), Some(SHT_NULL | SHT_NOBITS))
                && elf.number(at + fields.offset) == Some(offset)
        })
        .and_then(|at| elf.number(at + fields.address))
}

/// The file around `len` bytes in place of the section at `address`; `None` when it cannot be
/// done.
pub(super) fn frame(base: &[u8], address: u64, len: u64) -> Option<Frame> {
    let mut elf = Elf::read(base)?;
    let (offset, size) = elf.section(address)?;
    let amount = i64::try_from(len).ok()?.checked_sub_unsigned(size)?;
    // Tables in the section that goes cannot stay.
    let replaced = offset..offset.checked_add(size)?;
    if replaced.contains(&elf.programs.at) || replaced.contains(&elf.sections.at) {
        return None;
    }
    elf.patch_all(offset, amount)?;
    elf.bytes.split(usize::try_from(offset).ok()?, usize::try_from(replaced.end).ok()?)
}
