//! The module data of an image: attributes, header, table, strings, and where each module
//! goes (`write_attrs` and `export_modules` of L4Re's `Image.pm`).
//!
//! Invariant: pure; places are relative to the start of the module data.

use std::collections::BTreeMap;

use crate::image::{HEADER_MAGIC, MODULE_MAGIC};

/// A module as the table describes it.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) flags: u64,
    pub(super) name: String,
    /// Quoted.
    pub(super) cmdline: String,
    pub(super) size: u64,
    /// Its size before it was compressed; the same if it was not.
    pub(super) unpacked: u64,
    pub(super) md5: String,
    pub(super) attributes: BTreeMap<String, String>,
}

/// What the layout depends on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Form {
    /// Version of the structures, 1 or 2.
    pub(super) version: u32,
    pub(super) page: u64,
    /// Where the module data starts in the image's file: some things are aligned there.
    pub(super) file_offset: u64,
}

/// The module data without the modules' bytes.
#[derive(Debug)]
pub(super) struct Payload {
    /// Attributes, header, table, strings.
    pub(super) front: Vec<u8>,
    /// Where the module header is.
    pub(super) header: u64,
    /// Where each module starts, in order.
    pub(super) starts: Vec<u64>,
    /// Where the last module ends.
    pub(super) end: u64,
}

/// Lays out the module data; `None` when a number does not fit its field.
pub(super) fn lay_out(
    form: Form,
    attributes: &BTreeMap<String, String>,
    cmdline: &str,
    entries: &[Entry],
) -> Option<Payload> {
    let mut front = Vec::new();
    write_attributes(&mut front, attributes);
    let own: Vec<Option<u64>> = entries
        .iter()
        .map(|entry| {
            let at = front.len() as u64;
            write_attributes(&mut front, &entry.attributes);
            (!entry.attributes.is_empty()).then_some(at)
        })
        .collect();
    let end = form.file_offset + front.len() as u64;
    let header = end.next_multiple_of(8) - form.file_offset;
    front.resize(usize::try_from(header).ok()?, 0);

    let entry_size: u64 = if form.version == 1 { 92 } else { 96 };
    let table_end = header + 56 + entries.len() as u64 * entry_size;
    let mut strings = Strings { bytes: Vec::new(), start: table_end };
    let cmdline_at = strings.add(cmdline);
    let texts: Vec<[u64; 4]> = entries
        .iter()
        .map(|entry| {
            // Both sums are those of the unpacked bytes (`update_module` of `Image.pm`).
            [&entry.name, &entry.cmdline, &entry.md5, &entry.md5].map(|text| strings.add(text))
        })
        .collect();

    let mut next = (table_end + strings.bytes.len() as u64).next_multiple_of(form.page);
    let mut starts = Vec::new();
    let mut last = table_end + strings.bytes.len() as u64;
    for entry in entries {
        starts.push(next);
        last = next + entry.size;
        next = last.next_multiple_of(form.page);
    }

    front.extend(HEADER_MAGIC);
    front.extend(u32::try_from(entries.len()).ok()?.to_le_bytes());
    front.extend(0_u32.to_le_bytes());
    put(&mut front, cmdline_at - header);
    put(&mut front, 56);
    for (((entry, texts), start), own) in entries.iter().zip(texts).zip(&starts).zip(own) {
        let at = front.len() as u64;
        front.extend(MODULE_MAGIC);
        match form.version {
            1 => front.extend(u32::try_from(entry.flags).ok()?.to_le_bytes()),
            _ => put(&mut front, entry.flags),
        }
        put(&mut front, start - at);
        front.extend(u32::try_from(entry.size).ok()?.to_le_bytes());
        front.extend(u32::try_from(entry.unpacked).ok()?.to_le_bytes());
        texts.iter().for_each(|text| put(&mut front, text - at));
        // Attributes lie before the table: a negative offset.
        put(&mut front, own.map_or(0, |own| own.wrapping_sub(at)));
    }
    front.extend(strings.bytes);
    Some(Payload { front, header, starts, end: last })
}

struct Strings {
    bytes: Vec<u8>,
    start: u64,
}

impl Strings {
    /// Adds a string; says where it is.
    fn add(&mut self, text: &str) -> u64 {
        let at = self.start + self.bytes.len() as u64;
        self.bytes.extend(text.bytes().chain([0]));
        at
    }
}

fn put(bytes: &mut Vec<u8>, value: u64) {
    bytes.extend(value.to_le_bytes());
}

fn write_attributes(bytes: &mut Vec<u8>, attributes: &BTreeMap<String, String>) {
    if attributes.is_empty() {
        return;
    }
    bytes.extend(b"ATTR");
    for (key, value) in attributes {
        let (key_exp, value_exp) = (exponent(key.len()), exponent(value.len()));
        bytes.push(0x80 | key_exp | value_exp << 2);
        bytes.extend(&key.len().to_le_bytes()[..1 << key_exp]);
        bytes.extend(&value.len().to_le_bytes()[..1 << value_exp]);
        bytes.extend(key.bytes().chain(value.bytes()));
    }
    bytes.push(0);
}

/// The width of a length field as a power of two.
fn exponent(len: usize) -> u8 {
    match len {
        0..=0xff => 0,
        0x100..=0xffff => 1,
        0x1_0000..=0xffff_ffff => 2,
        _ => 3,
    }
}
