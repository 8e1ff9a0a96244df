//! iPXE's error numbers, explained.
//!
//! `https://ipxe.org/xxxxxxxx`: bits 24–30 a POSIX error in iPXE's own numbering, bits 13–23
//! the source file, bits 8–12 the variant, bits 0–7 the platform's own error, which differs
//! between BIOS and EFI builds and is left out here. Source: iPXE `errno.h`, `errfile.h`.

use super::rules::{NO_DHCP, NO_LINK};

/// An iPXE error as its URL names it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct IpxeError {
    /// The eight digits of `https://ipxe.org/xxxxxxxx`.
    pub code: u32,
    /// What it means here and what helps.
    pub explanation: &'static str,
}

impl IpxeError {
    /// Finds the error in a line without escapes.
    #[must_use]
    pub fn parse(line: &[u8]) -> Option<Self> {
        let at = memchr::memmem::find(line, b"ipxe.org/")?;
        let code = code(&line[at + b"ipxe.org/".len()..])?;
        Some(Self { code, explanation: explain(code) })
    }
}

/// Eight hexadecimal digits at the start of `rest`.
pub(super) fn code(rest: &[u8]) -> Option<u32> {
    let digits = rest.get(..8)?;
    if rest.get(8).is_some_and(u8::is_ascii_hexdigit) {
        return None;
    }
    u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

const FILE: u32 = 0x00ff_e000;
const HTTP: u32 = 0x000c_6000;
const TCP: u32 = 0x000a_6000;
const DHCP: u32 = 0x0010_6000;
const DNS: u32 = 0x0011_6000;
const NETDEVICE: u32 = 0x0008_6000;
const IMAGE: u32 = 0x0000_8000;
const EFI_IMAGE: u32 = 0x0004_8000;
const IFMGMT: u32 = 0x000e_e000;
const TLS: u32 = 0x000d_e000;
const X509: u32 = 0x0016_e000;
const VALIDATOR: u32 = 0x002e_e000;
const OCSP: u32 = 0x002f_e000;
const MONOJOB: u32 = 0x0007_2000;
const OPEN: u32 = 0x0009_2000;
const AUTOBOOT: u32 = 0x0003_e000;
const ENA: u32 = 0x00c9_4000;

/// Explains the number of an iPXE error URL.
#[must_use]
pub fn explain(code: u32) -> &'static str {
    match (code >> 24, code & FILE) {
        (0x02, HTTP) => {
            "HTTP 401: the server wants authorisation; from 169.254.169.254 it means that the \
             instance requires IMDSv2 and this iPXE build speaks only IMDSv1"
        }
        (0x41, HTTP) => "HTTP 403: the presigned URL is wrong or has expired",
        (0x2d, HTTP) => "HTTP 404: no such object or no user data",
        (0x1d, HTTP) => "HTTP: the server answered with an error (5xx, or 4xx of its own)",
        (_, HTTP) => "HTTP: the server's answer was not understood",
        (0x4c, TCP) => "no answer to the TCP connection: check routes, and the VPC endpoint",
        (0x0e | 0x0f, TCP) => "the server refused or reset the TCP connection",
        (0x4c, DHCP) | (0x04 | 0x4c, IFMGMT) => NO_DHCP,
        (_, DHCP) => "DHCP failed",
        (_, DNS) => "the host name could not be resolved: check the VPC's DNS",
        (_, ENA) => {
            "the network card does not start: this build's ENA driver does not know it (types of \
             the 7th and 8th generation need builds of 2025-10 and later)"
        }
        (0x1a | 0x38, NETDEVICE) => NO_LINK,
        (0x4c, MONOJOB) => {
            "no byte came for so long: check the URL, the route to S3, the security group's egress \
             and the VPC endpoint"
        }
        (0x3c, OPEN) => "this iPXE build does not speak that protocol: use a plain http:// URL",
        (0x2d, AUTOBOOT) => {
            "DHCP names nothing to boot, and this iPXE has no script that reads user data"
        }
        (0x17, _) => "the server cannot be reached: no route to it, or nobody has its address",
        (0x26 | 0x28, _) => "the network is not up: no address or no route",
        (0x2e, IMAGE) => {
            "not something that this iPXE build can start: user data must begin with `#!ipxe`, \
             an image must fit the firmware and the architecture"
        }
        (_, EFI_IMAGE) => {
            "the firmware refused the image: it must be a PE file of the machine's architecture"
        }
        (_, TLS | X509 | VALIDATOR | OCSP) => {
            "TLS failed: iPXE needs public certificates and plain HTTP to ca.ipxe.org; a plain \
             http:// URL with a sum is the better way"
        }
        (0x4c, _) => "something did not answer in time",
        (0x31, _) => "iPXE has not enough memory for the image",
        (0x2e, _) => "not an executable image of a kind that this iPXE build starts",
        (0x02 | 0x41, _) => "permission denied",
        (0x2d, _) => "not found",
        _ => "see the URL",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_codes_are_explained_for_bios_and_efi() {
        let cases = [
            (b"Permission denied (https://ipxe.org/020c618f)".as_slice(), "IMDSv2"),
            (b"Exec format error (https://ipxe.org/2e008081)", "#!ipxe"),
            (b"Not found (http://ipxe.org/2d0c618e)", "404"),
            (b"Not found (http://ipxe.org/2d0c613b)", "404"),
            (b"No configuration methods succeeded (http://ipxe.org/040ee119)", "DHCP"),
            (b"Connection timed out (http://ipxe.org/4c0a6035)", "TCP"),
            (b"Operation not permitted (https://ipxe.org/410c618f)", "403"),
            (
                b"http://169.254.170.9/x.... Connection timed out (http://ipxe.org/4c072092)",
                "no byte",
            ),
            (b"Operation not supported (http://ipxe.org/3c092083)", "protocol"),
            (b"Nothing to boot: No such file or directory (https://ipxe.org/2d03e13b)", "nothing"),
            // As an account's c6a.large printed it.
            (b"Could not open net0: Input/output error (https://ipxe.org/1dc94039)", "ENA"),
        ];
        for (line, part) in cases {
            let error = IpxeError::parse(line).unwrap();
            assert!(error.explanation.contains(part), "{:x}: {}", error.code, error.explanation);
        }
    }

    #[test]
    fn other_urls_are_not_errors() {
        for line in [
            "http://ipxe.org",
            "http://ipxe.org/",
            "http://ipxe.org/2d0c",
            "http://ipxe.org/2d0c618e0",
            "http://ipxe.org/wimboot1",
        ] {
            assert_eq!(IpxeError::parse(line.as_bytes()), None, "{line}");
        }
    }

    #[test]
    fn every_code_has_some_explanation() {
        assert_eq!(explain(0), "see the URL");
        assert_eq!(explain(u32::MAX), "see the URL");
    }
}
