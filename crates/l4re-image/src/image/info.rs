//! L4Re's structures in an image: image info, module header, module table, attributes
//! (bootstrap's `boot_modules.cc` and `mod_info.h`; L4Re's `tool/lib/L4/Image.pm`).
//!
//! Invariant: what strings and attributes take in memory is at most the size of the file, even
//! if all of them point at the same bytes of a forged one.

use super::ImageError;
use super::file::{Fields, ImageFile};
use super::inspection::{Attribute, ImageInfo, Module, ModuleKind};
use super::layout::Layout;

pub(crate) const INFO_MAGIC: &[u8; 32] = b"<< L4Re Bootstrap Image Info >>\0";
pub(crate) const HEADER_MAGIC: &[u8; 32] = b"<< L4Re-bootstrap-modinfo-hdr >>";
pub(crate) const MODULE_MAGIC: &[u8; 32] = b"<< L4Re-bootstrap-modinfo-mod >>";
/// Magic, crc32, version, seven numbers.
pub(super) const INFO_SIZE: u64 = 32 + 8 + 56;
pub(super) const HEADER_SIZE: u64 = 56;

/// All that L4Re put into an image.
#[derive(Debug)]
pub(super) struct Contents {
    pub(super) info: ImageInfo,
    pub(super) cmdline: Option<String>,
    pub(super) modules: Vec<Module>,
    pub(super) attributes: Vec<Attribute>,
}

impl Contents {
    /// Reads them; `None` for an image without L4Re's image info.
    pub(super) fn read(file: &ImageFile, layout: &Layout) -> Result<Option<Self>, ImageError> {
        let Some(at) = find_info(file)? else { return Ok(None) };
        let info = info(file, at)?;
        let mut reader = Reader { file, budget: file.len() };
        let place = |field, offset: u64, field_at: u64| {
            let address = info.start.checked_add(offset);
            address.and_then(|address| layout.file_offset(address)).ok_or_else(|| {
                file.bad(field, at + field_at, offset, "leads to no address in the image")
            })
        };
        let attributes = match info.attributes {
            0 => Vec::new(),
            offset => reader.attributes(place("image info attributes", offset, 88)?)?,
        };
        let (cmdline, modules) = match info.module_header {
            0 => (None, Vec::new()),
            offset => {
                let header = place("image info module header", offset, 80)?;
                let (cmdline, modules) = reader.modules(header, info.version)?;
                (Some(cmdline), modules)
            }
        };
        let info = ImageInfo { file_offset: file.base() + at, ..info };
        Ok(Some(Self { info, cmdline, modules, attributes }))
    }
}

/// Where the magic of the image info is.
fn find_info(file: &ImageFile) -> Result<Option<u64>, ImageError> {
    let size = usize::try_from(file.len()).unwrap_or(usize::MAX).min(256 * 1024);
    let mut buffer = vec![0; size.max(INFO_MAGIC.len() + 1)];
    let mut at = 0;
    loop {
        let count = file.fill(&mut buffer, at)?;
        if let Some(found) = find(&buffer[..count], INFO_MAGIC) {
            return Ok(Some(at + found as u64));
        }
        if count < buffer.len() {
            return Ok(None);
        }
        // The magic may lie across the end of the buffer.
        at += (count - INFO_MAGIC.len()) as u64;
    }
}

/// The place of `wanted` in `bytes`.
pub(super) fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    let first = *wanted.first()?;
    let mut from = 0;
    loop {
        from += bytes.get(from..)?.iter().position(|&byte| byte == first)?;
        if bytes[from..].starts_with(wanted) {
            return Some(from);
        }
        from += 1;
    }
}

fn info(file: &ImageFile, at: u64) -> Result<ImageInfo, ImageError> {
    let bytes = file.bytes("image info", at, INFO_SIZE)?;
    let fields = Fields::little(&bytes);
    let version = fields.u32(36);
    if !matches!(version, 1 | 2) {
        return Err(file.bad("image info version", at + 36, version.into(), "neither 1 nor 2"));
    }
    Ok(ImageInfo {
        file_offset: at,
        crc32: fields.u32(32),
        version,
        flags: fields.u64(40),
        start: fields.u64(48),
        end: fields.u64(56),
        module_data_start: fields.u64(64),
        end_pointer: fields.u64(72),
        module_header: fields.u64(80),
        attributes: fields.u64(88),
    })
}

/// Where the numbers of a module's entry are, by structure version.
struct ModuleFields {
    size: u64,
    start: usize,
}

const MODULE_V1: ModuleFields = ModuleFields { size: 92, start: 36 };
const MODULE_V2: ModuleFields = ModuleFields { size: 96, start: 40 };

struct Reader<'a> {
    file: &'a ImageFile,
    /// Bytes that strings may still take.
    budget: u64,
}

impl Reader<'_> {
    fn modules(&mut self, at: u64, version: u32) -> Result<(String, Vec<Module>), ImageError> {
        let header = self.file.bytes("module header", at, HEADER_SIZE)?;
        self.magic("module header magic", at, &header, HEADER_MAGIC)?;
        let fields = Fields::little(&header);
        let count = u64::from(fields.u32(32));
        let end = at + HEADER_SIZE;
        let cmdline = self.string("command line offset", (at, end), at + 40, fields.u64(40))?;
        let first = self.behind("module table offset", (at, end), at + 48, fields.u64(48))?;
        let layout = if version == 1 { MODULE_V1 } else { MODULE_V2 };
        let table = self.file.bytes("module table", first, count * layout.size)?;
        let modules = table
            .chunks_exact(layout.size as usize)
            .zip(0..)
            .map(|(entry, index)| self.module(first + index * layout.size, entry, &layout))
            .collect::<Result<_, _>>()?;
        Ok((cmdline, modules))
    }

    fn module(
        &mut self,
        at: u64,
        entry: &[u8],
        layout: &ModuleFields,
    ) -> Result<Module, ImageError> {
        self.magic("module magic", at, entry, MODULE_MAGIC)?;
        let fields = Fields::little(entry);
        let flags = if layout.start == 36 { fields.u32(32).into() } else { fields.u64(32) };
        let (start, end) = (layout.start, at + layout.size);
        let mut text = |field, offset: usize| {
            self.string(field, (at, end), at + offset as u64, fields.u64(offset))
        };
        let name = text("module name offset", start + 16)?;
        let cmdline = text("module command line offset", start + 24)?;
        let md5 = text("module MD5 offset", start + 32)?;
        let md5_uncompressed = text("module uncompressed MD5 offset", start + 40)?;
        let attributes = match fields.u64(start + 48) {
            0 => Vec::new(),
            offset => {
                let field_at = at + start as u64 + 48;
                let place = self.target("module attributes offset", at, field_at, offset)?;
                self.attributes(place)?
            }
        };
        let data = self.behind("module start", (at, end), at + start as u64, fields.u64(start))?;
        let size = fields.u32(start + 8).into();
        self.file.within("module data", data, size)?;
        Ok(Module {
            kind: ModuleKind::of_flags(flags),
            name,
            cmdline,
            flags,
            file_offset: self.file.base() + data,
            size,
            size_uncompressed: fields.u32(start + 12).into(),
            md5,
            md5_uncompressed,
            attributes,
        })
    }

    fn magic(
        &self,
        field: &'static str,
        at: u64,
        bytes: &[u8],
        magic: &[u8; 32],
    ) -> Result<(), ImageError> {
        match bytes.starts_with(magic) {
            true => Ok(()),
            false => {
                let value = Fields::little(bytes).u64(0);
                Err(self.file.bad(field, at, value, "not the text that must be there"))
            }
        }
    }

    /// The place that an offset from `base` leads to; offsets are signed.
    fn target(
        &self,
        field: &'static str,
        base: u64,
        field_at: u64,
        offset: u64,
    ) -> Result<u64, ImageError> {
        base.checked_add_signed(offset.cast_signed())
            .filter(|&place| place <= self.file.len())
            .ok_or_else(|| self.file.bad(field, field_at, offset, "leads out of the file"))
    }

    /// The place that an offset leads to from a structure, given by its start and end, to
    /// what lies behind it.
    fn behind(
        &self,
        field: &'static str,
        structure: (u64, u64),
        field_at: u64,
        offset: u64,
    ) -> Result<u64, ImageError> {
        let place = self.target(field, structure.0, field_at, offset)?;
        match place >= structure.1 {
            true => Ok(place),
            false => {
                Err(self.file.bad(field, field_at, offset, "does not lead behind its structure"))
            }
        }
    }

    /// A string that ends with a zero byte.
    fn string(
        &mut self,
        field: &'static str,
        structure: (u64, u64),
        field_at: u64,
        offset: u64,
    ) -> Result<String, ImageError> {
        let mut place = self.behind(field, structure, field_at, offset)?;
        let mut bytes = Vec::new();
        loop {
            let mut piece = [0; 256];
            let count = self.file.fill(&mut piece, place)?;
            let end = piece[..count].iter().position(|&byte| byte == 0);
            let text = &piece[..end.unwrap_or(count)];
            self.spend(field, field_at, offset, text.len() as u64)?;
            bytes.extend_from_slice(text);
            if end.is_some() {
                return Ok(String::from_utf8_lossy(&bytes).into_owned());
            }
            if count < piece.len() {
                return Err(self.file.bad(field, field_at, offset, "a string without end"));
            }
            place += count as u64;
        }
    }

    /// `ATTR` and records of key and value, up to a byte without bit 7.
    fn attributes(&mut self, at: u64) -> Result<Vec<Attribute>, ImageError> {
        let mut attributes = Vec::new();
        if self.file.bytes("attributes", at, 4)? != b"ATTR" {
            return Ok(attributes);
        }
        let mut at = at + 4;
        loop {
            let kind = self.file.bytes("attribute type", at, 1)?[0];
            if kind & 0x80 == 0 {
                return Ok(attributes);
            }
            let (key_width, value_width) = (1 << (kind & 3), 1 << (kind >> 2 & 3));
            let key_len = self.number("attribute key length", at + 1, key_width)?;
            let value_len =
                self.number("attribute value length", at + 1 + key_width, value_width)?;
            at += 1 + key_width + value_width;
            let key = self.text("attribute key", at, key_len)?;
            at += key_len;
            let value = self.text("attribute value", at, value_len)?;
            at += value_len;
            attributes.push(Attribute { key, value });
        }
    }

    fn number(&self, field: &'static str, at: u64, width: u64) -> Result<u64, ImageError> {
        let mut bytes = self.file.bytes(field, at, width)?;
        bytes.resize(8, 0);
        Ok(Fields::little(&bytes).u64(0))
    }

    fn text(&mut self, field: &'static str, at: u64, len: u64) -> Result<String, ImageError> {
        let bytes = self.file.bytes(field, at, len)?;
        self.spend(field, at, len, len + 1)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn spend(
        &mut self,
        field: &'static str,
        field_at: u64,
        value: u64,
        amount: u64,
    ) -> Result<(), ImageError> {
        let why = "strings take more than the file holds";
        let left = self.budget.checked_sub(amount);
        self.budget = left.ok_or_else(|| self.file.bad(field, field_at, value, why))?;
        Ok(())
    }
}

impl ModuleKind {
    fn of_flags(flags: u64) -> Self {
        match flags & 7 {
            0 => Self::Module,
            1 => Self::Kernel,
            2 => Self::Sigma0,
            3 => Self::Roottask,
            _ => Self::Reserved,
        }
    }
}
