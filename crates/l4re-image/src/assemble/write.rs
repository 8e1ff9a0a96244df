//! Bytes before and after the module data, and fields in them.

/// An image around its module data.
#[derive(Debug, Default)]
pub(super) struct Frame {
    /// All that comes before the module data.
    pub(super) front: Vec<u8>,
    /// All that comes after it.
    pub(super) back: Vec<u8>,
}

/// Little-endian numbers at places in a file's bytes; `None` beyond them.
#[derive(Debug)]
pub(super) struct Bytes(pub(super) Vec<u8>);

impl Bytes {
    pub(super) fn get<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        self.0.get(at..at.checked_add(N)?)?.try_into().ok()
    }

    pub(super) fn u16(&self, at: usize) -> Option<u16> {
        self.get(at).map(u16::from_le_bytes)
    }

    pub(super) fn u32(&self, at: usize) -> Option<u32> {
        self.get(at).map(u32::from_le_bytes)
    }

    pub(super) fn u64(&self, at: usize) -> Option<u64> {
        self.get(at).map(u64::from_le_bytes)
    }

    pub(super) fn put(&mut self, at: usize, bytes: &[u8]) -> Option<()> {
        self.0.get_mut(at..at.checked_add(bytes.len())?)?.copy_from_slice(bytes);
        Some(())
    }

    pub(super) fn put32(&mut self, at: usize, value: u32) -> Option<()> {
        self.put(at, &value.to_le_bytes())
    }

    pub(super) fn put64(&mut self, at: usize, value: u64) -> Option<()> {
        self.put(at, &value.to_le_bytes())
    }

    /// Parts the bytes: up to `from`, and after `to`; what is between goes.
    pub(super) fn split(mut self, from: usize, to: usize) -> Option<Frame> {
        let back = self.0.get(to.max(from)..)?.to_vec();
        self.0.truncate(from);
        Some(Frame { front: self.0, back })
    }
}
