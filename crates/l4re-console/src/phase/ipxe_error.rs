//! iPXE's error numbers, explained.

/// An iPXE error as its URL names it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct IpxeError {
    /// The eight digits of `https://ipxe.org/xxxxxxxx`.
    pub code: u32,
    /// What it means here and what helps.
    pub explanation: &'static str,
}

/// Explains the number of an iPXE error URL.
#[must_use]
pub fn explain(code: u32) -> &'static str {
    todo!()
}
