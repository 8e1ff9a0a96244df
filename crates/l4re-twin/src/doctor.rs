//! What is missing on this machine, found before it costs anything.

use std::fmt;

use camino::{Utf8Path, Utf8PathBuf};

use crate::Config;
use crate::state::Chain;

/// A file that an instance would need and that is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What it is, such as `UEFI firmware for arm64`.
    pub what: &'static str,
    /// Where it was looked for.
    pub file: Utf8PathBuf,
    /// The Debian package that brings it, when one does.
    pub package: Option<&'static str>,
    /// The architecture that cannot be booted without it, in EC2's spelling; both when empty.
    pub architecture: &'static str,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is missing: {}", self.what, self.file)?;
        match self.package {
            Some(package) => write!(f, " (Debian package {package})"),
            None => Ok(()),
        }
    }
}

/// Everything that is missing for any kind of instance. Nothing is started.
#[must_use]
pub fn doctor(config: &Config) -> Vec<Finding> {
    let mut findings: Vec<Finding> = Vec::new();
    for chain in [Chain::Uefi, Chain::Bios, Chain::Arm64] {
        for finding in missing_for(config, chain) {
            if !findings.contains(&finding) {
                findings.push(finding);
            }
        }
    }
    findings
}

/// What is missing for one way to boot.
pub(crate) fn missing_for(config: &Config, chain: Chain) -> Vec<Finding> {
    let files = &config.firmware;
    let rom = files.ipxe_roms.join("efi-virtio.rom");
    let mut needed: Vec<(&'static str, &Utf8Path, Option<&'static str>, &'static str)> = Vec::new();
    let x86 = "x86_64";
    let arm = "arm64";
    match chain {
        Chain::Uefi => needed.extend([
            ("QEMU for x86_64", &*files.qemu_x86_64, Some("qemu-system-x86"), x86),
            ("UEFI firmware for x86_64", &files.ovmf_code, Some("ovmf"), x86),
            ("the variable store of x86_64's firmware", &files.ovmf_vars, Some("ovmf"), x86),
            (
                "UEFI iPXE for x86_64",
                config.ipxe_efi(),
                config.ipxe_x86_64_efi.is_none().then_some("ipxe"),
                x86,
            ),
        ]),
        Chain::Bios => needed.extend([
            ("QEMU for x86_64", &*files.qemu_x86_64, Some("qemu-system-x86"), x86),
            ("BIOS iPXE for x86_64", &rom, Some("ipxe-qemu"), x86),
        ]),
        // What it needs depends on the firmware, which callers ask for.
        Chain::Disk => {}
        Chain::Arm64 => {
            let package = Some("qemu-efi-aarch64");
            needed.extend([
                ("QEMU for arm64", &*files.qemu_aarch64, Some("qemu-system-arm"), arm),
                ("UEFI firmware for arm64", &files.aavmf_code, package, arm),
                ("the variable store of arm64's firmware", &files.aavmf_vars, package, arm),
            ]);
            if let Some(ipxe) = &config.ipxe_arm64 {
                needed.push(("UEFI iPXE for arm64", ipxe, None, arm));
            }
        }
    }
    needed
        .into_iter()
        .filter(|(_, file, ..)| !file.is_file())
        .map(|(what, file, package, architecture)| Finding {
            what,
            file: file.to_owned(),
            package,
            architecture,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_file_is_named_with_its_package() {
        let mut config = Config::new("/nowhere", vec![]);
        config.firmware.aavmf_code = "/nowhere/CODE.fd".into();
        let findings = missing_for(&config, Chain::Arm64);
        let finding = findings.iter().find(|finding| finding.file == "/nowhere/CODE.fd").unwrap();
        assert_eq!(
            finding.to_string(),
            "UEFI firmware for arm64 is missing: /nowhere/CODE.fd (Debian package qemu-efi-aarch64)"
        );
        assert_eq!(finding.architecture, "arm64");
    }
}
