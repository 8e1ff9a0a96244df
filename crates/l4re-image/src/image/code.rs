//! The bootstrapper's own bytes in an image: what `inspect --diff` tells apart when headers,
//! attributes and modules are the same.
//!
//! Left out is what L4Re's tools write when they make an image of it: the image info, the
//! pointer to the end of the modules, and all from the module data on.

use std::ops::Range;

use sha2::{Digest, Sha256};

use super::ImageError;
use super::file::ImageFile;
use super::info::INFO_SIZE;
use super::inspection::Inspection;
use super::layout::Layout;

/// The SHA-256 of the bootstrapper's bytes; `None` for an image that is not L4Re's, or whose
/// areas share bytes.
pub(super) fn sum(file: &ImageFile, inspection: &Inspection) -> Result<Option<String>, ImageError> {
    let Some(info) = &inspection.info else { return Ok(None) };
    let mut layout = Layout::read(file)?;
    let inner = layout.inner.take();
    let (file, layout) = match &inner {
        Some(inner) => (&inner.0, &inner.1),
        None => (file, &layout),
    };
    let info_at = info.file_offset.saturating_sub(file.base());
    let pointer = Some(info.end_pointer).filter(|address| *address != 0);
    let pointer = pointer.and_then(|address| layout.file_offset(address));
    let written = [Some((info_at, INFO_SIZE)), pointer.map(|at| (at, 8))];
    let range = |(at, len): (u64, u64)| at..at.saturating_add(len);
    let mut written: Vec<Range<u64>> = written.into_iter().flatten().map(range).collect();
    written.sort_unstable_by_key(|range| range.start);
    let mut hash = Sha256::new();
    let mut budget = file.len();
    for area in &layout.areas {
        let own = info.module_data_start.saturating_sub(area.address).min(area.bytes);
        for range in without(area.offset..area.offset.saturating_add(own), &written) {
            let len = range.end - range.start;
            // Areas that share bytes, as only forged images have them, could take for ever.
            let Some(left) = budget.checked_sub(len) else { return Ok(None) };
            budget = left;
            file.stream("bootstrapper", range.start, len, |piece| hash.update(piece))?;
        }
    }
    Ok(Some(hex::encode(hash.finalize())))
}

/// What is left of a range without others, which are in order.
fn without(range: Range<u64>, others: &[Range<u64>]) -> Vec<Range<u64>> {
    let mut left = Vec::new();
    let mut from = range.start;
    for other in others {
        left.push(from..other.start.clamp(from, range.end));
        from = other.end.clamp(from, range.end);
    }
    left.push(from..range.end);
    left.retain(|range| !range.is_empty());
    left
}

#[cfg(test)]
mod tests {
    use super::without;

    #[test]
    fn parts_are_left_out() {
        assert_eq!(without(10..20, &[12..14, 18..30]), [10..12, 14..18]);
        assert_eq!(without(10..20, &[0..5, 0..12, 15..16]), [12..15, 16..20]);
        assert_eq!(without(10..20, &[5..12, 11..30]), []);
        assert_eq!(without(10..20, &[13..13, 40..50]), [10..13, 13..20]);
    }
}
