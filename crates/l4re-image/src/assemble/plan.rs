//! The bytes of an image around its modules: the base image's, with the fields that point at
//! the module data, grown sections and segments, and the wrapper of amd64's multiboot form.

use std::collections::BTreeMap;

use super::base::Base;
use super::payload::{Entry, Form, Payload, lay_out};
use super::write::{Bytes, Frame};
use super::{elf, pe};
use crate::arch::{Arch, Kind};
use crate::image::page_size;

/// Lays out the module data and the bytes around it; `None` when the base image has a shape
/// that L4Re's tools would have to look at.
pub(super) fn plan(
    base: &Base,
    attributes: &BTreeMap<String, String>,
    cmdline: &str,
    entries: &[Entry],
) -> Option<(Payload, Frame)> {
    let info = base.inspection.info.as_ref()?;
    let (outer_at, proper) = match base.inspection.wrapped_at {
        None => (0, base.bytes.clone()),
        Some((at, len)) => {
            let range = usize::try_from(at).ok()?..usize::try_from(at.checked_add(len)?).ok()?;
            (at, base.bytes.get(range)?.to_vec())
        }
    };
    let (kind, start) = (base.inspection.kind, info.module_data_start);
    let data_at = match kind {
        Kind::Efi => pe::file_offset(&proper, start)?,
        Kind::Elf => elf::section(&proper, start)?.0,
    };
    let page = page_size(base.inspection.arch);
    let form = Form { version: info.version, page, file_offset: data_at };
    let payload = lay_out(form, attributes, cmdline, entries)?;
    let info_at = info.file_offset.checked_sub(outer_at).filter(|at| *at < data_at)?;
    let offset = start.checked_sub(info.start)?;
    let mut bytes = Bytes(proper);
    bytes.put64(usize::try_from(info_at + 88).ok()?, offset)?;
    bytes.put64(usize::try_from(info_at + 80).ok()?, offset + payload.header)?;
    point_at_end(base, &mut bytes, data_at, start + payload.end)?;
    let inner = match kind {
        Kind::Efi => pe::frame(&bytes.0, start, payload.end)?,
        Kind::Elf => elf::frame(&bytes.0, start, payload.end)?,
    };
    let frame = match base.inspection.wrapped_at {
        Some((at, _)) => wrap(base, at, inner, payload.end)?,
        None => inner,
    };
    Some((payload, frame))
}

/// Sets the pointer to the end of the modules that arm64 images may have.
fn point_at_end(base: &Base, bytes: &mut Bytes, data_at: u64, end: u64) -> Option<()> {
    let address = base.inspection.info.as_ref()?.end_pointer;
    match base.inspection.arch {
        // A 32-bit Arm image may have a zImage header that must be adjusted, too.
        Arch::Arm => return None,
        Arch::Arm64 if address != 0 => {}
        _ => return Some(()),
    }
    let at = match base.inspection.kind {
        Kind::Efi => pe::file_offset(&bytes.0, address)?,
        Kind::Elf => elf::file_offset(&bytes.0, address)?,
    };
    if at >= data_at {
        return None;
    }
    bytes.put64(usize::try_from(at).ok()?, end)
}

/// Puts the image proper, around `len` bytes of module data, back into its wrapper.
fn wrap(base: &Base, at: u64, inner: Frame, len: u64) -> Option<Frame> {
    let address = elf::address_of(&base.bytes, at)?;
    let len = inner.front.len() as u64 + len + inner.back.len() as u64;
    let outer = elf::frame(&base.bytes, address, len)?;
    let mut front = outer.front;
    front.extend(inner.front);
    let mut back = inner.back;
    back.extend(outer.back);
    Some(Frame { front, back })
}
