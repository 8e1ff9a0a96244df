//! How a command failed, in iPXE's words, and with iPXE's link where it is known.

use std::fmt;

/// iPXE's error: text and the last part of its link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    text: &'static str,
    code: Option<&'static str>,
    /// The number that `${errno}` gives.
    pub(super) errno: u32,
}

impl Failure {
    const fn new(text: &'static str, code: Option<&'static str>, errno: u32) -> Self {
        Self { text, code, errno }
    }

    pub(super) const NOT_FOUND: Self =
        Self::new("No such file or directory", Some("2d0c618e"), 0x2d0c_618e);
    pub(super) const DENIED: Self = Self::new("Permission denied", Some("020c618f"), 0x020c_618f);
    pub(super) const EXEC: Self = Self::new("Exec format error", Some("2e008081"), 0x2e00_8081);
    pub(super) const IO: Self = Self::new("Input/output error", None, 0x1d00_0000);
    pub(super) const UNREACHABLE: Self = Self::new("Network unreachable", None, 0x2800_0000);
    pub(super) const TIMED_OUT: Self = Self::new("Connection timed out", None, 0x4c00_0000);
    pub(super) const RESET: Self = Self::new("Connection reset", None, 0x0f00_0000);
    pub(super) const INVALID: Self = Self::new("Invalid argument", None, 0x1c00_0000);
    pub(super) const UNKNOWN_COMMAND: Self =
        Self::new("Exec format error", Some("2e022001"), 0x2e02_2001);
    pub(super) const NO_IMAGE: Self = Self::new("No such file or directory", None, 0x2d00_0000);
    /// A comparison that does not hold: says nothing.
    pub(super) const FALSE: Self = Self::new("Error", None, 1);
    pub(super) const TOO_DEEP: Self = Self::new("Too many levels of scripts", None, 0x2b00_0000);
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code {
            Some(code) => write!(f, "{} (https://ipxe.org/{code})", self.text),
            None => f.write_str(self.text),
        }
    }
}
