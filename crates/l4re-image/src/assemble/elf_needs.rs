//! The libraries that a program needs: DT_NEEDED and the interpreter, as L4Re's tools take
//! them from `objdump -p` and `readelf -l`. A file that is no ELF file needs none.

use std::fs::File;
use std::os::unix::fs::FileExt;

use camino::Utf8Path;

const PT_DYNAMIC: u32 = 2;
const PT_INTERP: u32 = 3;
const PT_LOAD: u32 = 1;
const DT_NEEDED: u64 = 1;
const DT_STRTAB: u64 = 5;
/// More than any dynamic section or interpreter path takes.
const MOST: u64 = 1 << 20;

struct Segment {
    kind: u32,
    offset: u64,
    address: u64,
    bytes: u64,
}

struct Elf {
    file: File,
    wide: bool,
}

/// The names, in no particular order; `Err` when only binutils can tell.
pub(super) fn needs(path: &Utf8Path) -> Result<Vec<String>, String> {
    let file = File::open(path).map_err(|error| format!("{path}: {error}"))?;
    let mut ident = [0; 64];
    if file.read_exact_at(&mut ident, 0).is_err() || !ident.starts_with(b"\x7fELF") {
        return Ok(Vec::new());
    }
    let elf = match (ident[4], ident[5]) {
        (1, 1) => Elf { file, wide: false },
        (2, 1) => Elf { file, wide: true },
        _ => return Err(format!("{path}: an ELF file of an unusual class or byte order")),
    };
    elf.names(&ident).ok_or_else(|| format!("{path}: a dynamic section that cannot be read"))
}

impl Elf {
    fn names(&self, header: &[u8]) -> Option<Vec<String>> {
        let segments = self.segments(header)?;
        let mut names = Vec::new();
        for segment in &segments {
            match segment.kind {
                PT_DYNAMIC => names.extend(self.needed(segment, &segments)?),
                PT_INTERP => {
                    let path = self.text(segment.offset, segment.bytes)?;
                    names.extend(path.rsplit_once('/').map(|(_, name)| name.to_owned()));
                }
                _ => {}
            }
        }
        Some(names)
    }

    fn segments(&self, header: &[u8]) -> Option<Vec<Segment>> {
        let word = |at| self.number(header, at);
        let (table, size, count) = match self.wide {
            true => (word(0x20)?, half(header, 0x36)?, half(header, 0x38)?),
            false => (word(0x1c)?, half(header, 0x2a)?, half(header, 0x2c)?),
        };
        let size = usize::from(size);
        if size < if self.wide { 56 } else { 32 } {
            return (count == 0).then(Vec::new);
        }
        let table = self.bytes(table, u64::try_from(size * usize::from(count)).ok()?)?;
        table
            .chunks_exact(size)
            .map(|entry| {
                let field =
                    |wide, narrow| self.number(entry, if self.wide { wide } else { narrow });
                let kind = u32::from_le_bytes(entry.get(..4)?.try_into().ok()?);
                let (offset, address) = (field(8, 4)?, field(16, 8)?);
                Some(Segment { kind, offset, address, bytes: field(32, 16)? })
            })
            .collect()
    }

    fn needed(&self, dynamic: &Segment, segments: &[Segment]) -> Option<Vec<String>> {
        let width = if self.wide { 8 } else { 4 };
        let bytes = self.bytes(dynamic.offset, dynamic.bytes)?;
        let entries: Vec<(u64, u64)> = bytes
            .chunks_exact(2 * width)
            .filter_map(|entry| Some((self.number(entry, 0)?, self.number(entry, width)?)))
            .take_while(|(tag, _)| *tag != 0)
            .collect();
        let wanted = || entries.iter().filter(|(tag, _)| *tag == DT_NEEDED);
        if wanted().next().is_none() {
            return Some(Vec::new());
        }
        let (_, address) = *entries.iter().find(|(tag, _)| *tag == DT_STRTAB)?;
        let strings = segments.iter().find_map(|segment| {
            let within = address.checked_sub(segment.address)?;
            (segment.kind == PT_LOAD && within < segment.bytes).then(|| segment.offset + within)
        })?;
        wanted().map(|(_, offset)| self.text(strings.checked_add(*offset)?, 4096)).collect()
    }

    /// A word of the file's width.
    fn number(&self, bytes: &[u8], at: usize) -> Option<u64> {
        match self.wide {
            true => Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?)),
            false => Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?).into()),
        }
    }

    fn bytes(&self, offset: u64, len: u64) -> Option<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(len.min(MOST)).ok()?];
        self.file.read_exact_at(&mut bytes, offset).ok()?;
        (len <= MOST).then_some(bytes)
    }

    /// The text up to a zero byte, of at most `most` bytes.
    fn text(&self, offset: u64, most: u64) -> Option<String> {
        let mut bytes = vec![0; usize::try_from(most.min(4096)).ok()?];
        let mut count = 0;
        while count < bytes.len() {
            match self.file.read_at(&mut bytes[count..], offset + count as u64).ok()? {
                0 => break,
                more => count += more,
            }
        }
        let end = bytes[..count].iter().position(|&byte| byte == 0).unwrap_or(count);
        String::from_utf8(bytes[..end].to_vec()).ok()
    }
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}
