//! The iPXE images that machines start from, resolved at run time.
//!
//! Invariant: no AMI id is known to this crate; the importer of the official ones keeps
//! only the newest three.

use jiff::Timestamp;
use l4re_image::Arch;

use crate::types::BootMode;

/// The account that publishes the official iPXE AMIs.
pub const IPXE_OWNER: &str = "833372943033";

/// Whose AMI it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AmiOwner {
    /// The iPXE project's.
    Ipxe,
    /// This account's, with the tag `l4re:role` = `ipxe`.
    Own,
}

/// One iPXE AMI.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AmiFacts {
    /// `ami-…`.
    pub id: String,
    /// `iPXE (2026-08-01) (arm64)`.
    pub name: String,
    /// Its architecture.
    pub arch: Arch,
    /// Its boot mode; `None` means what the type does by default, so BIOS on x86_64.
    pub boot_mode: Option<BootMode>,
    /// CreationDate.
    pub created: Timestamp,
    /// Whose it is.
    pub owner: AmiOwner,
    /// Whether the AMI itself demands IMDSv2 (`ImdsSupport` = `v2.0`).
    pub imds_v2: bool,
}
