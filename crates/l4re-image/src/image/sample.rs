//! A small writer of images for tests: PE32+, ELF32, ELF64, and ELF64 wrapped in ELF32, each
//! with L4Re's image info, attributes and modules. Written from the formats, not from the
//! readers, so that a mistake in one shows in the other.

use md5::{Digest, Md5};

use super::info::{HEADER_MAGIC, INFO_MAGIC, MODULE_MAGIC};

/// Where the image info is in memory, and in the files that are not wrapped.
const TEXT: u64 = 0x1000;
/// Where the module data is.
const DATA: u64 = 0x2000;

/// What a sample is made of.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    /// Version of the structures, 1 or 2.
    pub(crate) version: u32,
    /// Architecture flags of the image info.
    pub(crate) flags: u64,
    /// Type, name, command line, bytes.
    pub(crate) modules: Vec<(u64, &'static str, &'static str, Vec<u8>)>,
}

impl Sample {
    pub(crate) fn new(flags: u64) -> Self {
        let kernel = b"kernel\0mp\0arm:hyp\0rest".repeat(3);
        let modules = vec![
            (1, "fiasco", "fiasco -serial_esc", kernel),
            (2, "sigma0", "sigma0", vec![7; 4100]),
            (3, "moe", "moe --init=rom/hello", vec![8; 100]),
            (0, "hello", "hello", vec![9; 10]),
        ];
        Self { version: 2, flags, modules }
    }

    /// A PE32+ file for UEFI.
    pub(crate) fn pe(&self, machine: u16) -> Vec<u8> {
        let (text, data) = (self.text(), self.data());
        let mut file = b"MZ".to_vec();
        file.resize(0x3c, 0);
        put32(&mut file, 64);
        file.extend(b"PE\0\0");
        [machine, 2].iter().for_each(|&n| put16(&mut file, n));
        [0, 0, 0].iter().for_each(|&n| put32(&mut file, n));
        [240, 0x22e].iter().for_each(|&n| put16(&mut file, n));
        let optional = file.len();
        put16(&mut file, 0x20b);
        file.resize(optional + 32, 0);
        [0x1000, 0x200].iter().for_each(|&n| put32(&mut file, n));
        file.resize(optional + 56, 0);
        put32(&mut file, (DATA + round(data.len() as u64, 0x1000)) as u32);
        put32(&mut file, 0x200);
        file.resize(optional + 68, 0);
        put16(&mut file, 10);
        file.resize(optional + 108, 0);
        put32(&mut file, 16);
        file.resize(optional + 240, 0);
        section(&mut file, b".text\0\0\0", TEXT, text.len(), 0x200);
        section(&mut file, b".modules", DATA, data.len(), 0x200 + text.len());
        file.resize(0x200, 0);
        file.extend(text);
        file.extend(data);
        file
    }

    /// An ELF64 file.
    pub(crate) fn elf64(&self, machine: u16) -> Vec<u8> {
        let (text, data) = (self.text(), self.data());
        let mut file = ident(2);
        [2, machine].iter().for_each(|&n| put16(&mut file, n));
        put32(&mut file, 1);
        [TEXT, 64, 0].iter().for_each(|&n| put64(&mut file, n));
        put32(&mut file, 0);
        [64, 56, 2, 64, 0, 0].iter().for_each(|&n| put16(&mut file, n));
        let text_at = 0x100;
        let data_at = text_at + text.len() as u64;
        for (address, offset, len) in [(TEXT, text_at, text.len()), (DATA, data_at, data.len())] {
            [1, 7].iter().for_each(|&n| put32(&mut file, n));
            let len = len as u64;
            [offset, address, address, len, len, 1].iter().for_each(|&n| put64(&mut file, n));
        }
        file.resize(text_at as usize, 0);
        file.extend(text);
        file.extend(data);
        file
    }

    /// An ELF32 file.
    pub(crate) fn elf32(&self, machine: u16) -> Vec<u8> {
        let (text, data) = (self.text(), self.data());
        let mut file = elf32_header(machine, 2, 0, 0);
        let (text_at, data_at) = (0x100, 0x100 + text.len());
        for (address, offset, len) in [(TEXT, text_at, text.len()), (DATA, data_at, data.len())] {
            segment32(&mut file, address as u32, offset as u32, len as u32);
        }
        file.resize(text_at, 0);
        file.extend(text);
        file.extend(data);
        file
    }

    /// A multiboot file for amd64: an ELF64 file in a section of an ELF32 file for the 386.
    pub(crate) fn wrapped(&self) -> Vec<u8> {
        let inner = self.elf64(62);
        let (inner_at, names) = (0x200, b"\0.data.elf64\0.shstrtab\0");
        let names_at = inner_at + inner.len();
        let sections_at = 0x100;
        let mut file = elf32_header(3, 1, sections_at, 3);
        segment32(&mut file, 0x10_0000, inner_at as u32, inner.len() as u32);
        file.resize(sections_at as usize, 0);
        section32(&mut file, 0, 0, 0, 0);
        section32(&mut file, 1, 1, inner_at, inner.len());
        section32(&mut file, 13, 3, names_at, names.len());
        file.resize(inner_at, 0);
        file.extend(inner);
        file.extend(names);
        file
    }

    /// The part of the bootstrapper that holds the image info.
    fn text(&self) -> Vec<u8> {
        let mut text = b"code".to_vec();
        text.resize(0x40, 0x90);
        text.extend(INFO_MAGIC);
        [0, self.version].iter().for_each(|&n| put32(&mut text, n));
        let header = DATA + self.attributes().len().next_multiple_of(8) as u64;
        [self.flags, 0, DATA, DATA, 0, header, DATA].iter().for_each(|&n| put64(&mut text, n));
        text.resize(0x100, 0x90);
        text
    }

    fn attributes(&self) -> Vec<u8> {
        let mut bytes = b"ATTR".to_vec();
        for (key, value) in [("l4i:PT", "pc"), ("l4i:uefi", "y")] {
            bytes.extend([0x80, key.len() as u8, value.len() as u8]);
            bytes.extend(key.bytes().chain(value.bytes()));
        }
        bytes.push(0);
        bytes
    }

    /// Attributes, module header, table, strings, modules; offsets relative to each structure.
    fn data(&self) -> Vec<u8> {
        let mut data = self.attributes();
        data.resize(data.len().next_multiple_of(8), 0);
        let header = data.len();
        let entry = if self.version == 1 { 92 } else { 96 };
        let strings_at = header + 56 + self.modules.len() * entry;
        let mut strings = b"bootstrap -modaddr=0x01100000\0".to_vec();
        let mut texts = Vec::new();
        for (_, name, cmdline, bytes) in &self.modules {
            let md5 = hex::encode(Md5::digest(bytes));
            texts.push([*name, *cmdline, &md5, &md5].map(|text| {
                let at = strings_at + strings.len();
                strings.extend(text.bytes().chain([0]));
                at
            }));
        }
        let mut start = round((strings_at + strings.len()) as u64, 0x1000) as usize;
        data.extend(HEADER_MAGIC);
        [self.modules.len() as u32, 0].iter().for_each(|&n| put32(&mut data, n));
        [(strings_at - header) as u64, 56].iter().for_each(|&n| put64(&mut data, n));
        let mut starts = Vec::new();
        for ((kind, _, _, bytes), texts) in self.modules.iter().zip(texts) {
            let at = data.len();
            data.extend(MODULE_MAGIC);
            match self.version {
                1 => put32(&mut data, *kind as u32),
                _ => put64(&mut data, *kind),
            }
            put64(&mut data, (start - at) as u64);
            [bytes.len() as u32; 2].iter().for_each(|&n| put32(&mut data, n));
            texts.iter().for_each(|text| put64(&mut data, (text - at) as u64));
            put64(&mut data, 0);
            starts.push((start, bytes));
            start = round((start + bytes.len()) as u64, 0x1000) as usize;
        }
        data.extend(strings);
        for (start, bytes) in starts {
            data.resize(start, 0);
            data.extend(bytes);
        }
        data
    }
}

fn round(value: u64, to: u64) -> u64 {
    value.next_multiple_of(to)
}

fn put16(bytes: &mut Vec<u8>, value: u16) {
    bytes.extend(value.to_le_bytes());
}

fn put32(bytes: &mut Vec<u8>, value: u32) {
    bytes.extend(value.to_le_bytes());
}

fn put64(bytes: &mut Vec<u8>, value: u64) {
    bytes.extend(value.to_le_bytes());
}

fn section(file: &mut Vec<u8>, name: &[u8; 8], address: u64, len: usize, offset: usize) {
    file.extend(name);
    [len as u32, address as u32, len as u32, offset as u32].iter().for_each(|&n| put32(file, n));
    [0, 0, 0, 0x6000_0020].iter().for_each(|&n| put32(file, n));
}

fn ident(class: u8) -> Vec<u8> {
    let mut file = b"\x7fELF".to_vec();
    file.extend([class, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    file
}

fn elf32_header(machine: u16, segments: u16, sections_at: u32, sections: u16) -> Vec<u8> {
    let mut file = ident(1);
    [2, machine].iter().for_each(|&n| put16(&mut file, n));
    [1, TEXT as u32, 52, sections_at, 0].iter().for_each(|&n| put32(&mut file, n));
    [52, 32, segments, 40, sections, sections.saturating_sub(1)]
        .iter()
        .for_each(|&n| put16(&mut file, n));
    file
}

fn segment32(file: &mut Vec<u8>, address: u32, offset: u32, len: u32) {
    [1, offset, address, address, len, len, 7, 1].iter().for_each(|&n| put32(file, n));
}

fn section32(file: &mut Vec<u8>, name: u32, kind: u32, offset: usize, len: usize) {
    [name, kind, 0, 0, offset as u32, len as u32, 0, 0, 1, 0].iter().for_each(|&n| put32(file, n));
}
