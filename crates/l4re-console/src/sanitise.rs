//! Takes from console bytes what could harm a terminal.

/// A streaming filter.
#[derive(Debug, Default)]
pub struct Sanitiser {}

impl Sanitiser {
    /// Appends what of `raw` may reach a terminal to `safe`.
    pub fn push(&mut self, raw: &[u8], safe: &mut Vec<u8>) {
        todo!()
    }
}
