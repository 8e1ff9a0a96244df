//! The AMIs that a new twin has: iPXE's official pair, and a UEFI iPXE of the account's own.

use camino::Utf8Path;
use fs_err as fs;

use crate::Config;
use crate::state::{Account, Architecture, BootMode, Chain, Device, Image, Tags};

/// Who publishes iPXE's official AMIs.
const IPXE_OWNER: &str = "833372943033";

/// The twin follows arm64 scripts as a build of this day does: IMDSv2 and `sha256sum`.
const FOLLOWED_BUILD: &str = "2026-08-21";

/// Debian 12's build, if the binary does not say.
const DEBIAN_BUILD: &str = "2019-01-25";

/// The AMIs of a twin but those that its account has deregistered.
pub(crate) fn seeded_images(config: &Config, account: &Account) -> Vec<Image> {
    let debian = build_date(config.ipxe_efi()).unwrap_or_else(|| DEBIAN_BUILD.to_owned());
    let arm64 = config
        .ipxe_arm64
        .as_deref()
        .map_or(Some(FOLLOWED_BUILD.to_owned()), build_date)
        .unwrap_or_else(|| FOLLOWED_BUILD.to_owned());
    let mut images = vec![
        official("ami-0172e86000000b105", &debian, Architecture::X86_64, None, Chain::Bios),
        official(
            "ami-0172ea64000000ef1",
            &arm64,
            Architecture::Arm64,
            Some(BootMode::Uefi),
            Chain::Arm64,
        ),
        own(&debian, &account.id),
    ];
    images.retain(|image| !account.deregistered.contains(&image.id));
    images
}

fn official(
    id: &str,
    date: &str,
    architecture: Architecture,
    boot_mode: Option<BootMode>,
    chain: Chain,
) -> Image {
    Image {
        id: id.to_owned(),
        name: format!("iPXE ({date}) ({})", architecture.name()),
        description: "iPXE network boot firmware, played by the twin".to_owned(),
        owner: IPXE_OWNER.to_owned(),
        architecture,
        boot_mode,
        created: format!("{date}T00:00:00.000Z"),
        public: true,
        tags: Tags::new(),
        chain,
        root_device: "/dev/sda1".to_owned(),
        devices: vec![Device {
            name: "/dev/sda1".to_owned(),
            snapshot_id: Some(id.replacen("ami-", "snap-", 1)),
            size_gib: 1,
            volume_type: "gp2".to_owned(),
            delete_on_termination: true,
        }],
        ena_support: true,
        sriov_support: true,
        tokens_required: false,
        tpm_support: false,
        source: None,
        client_token: None,
        seeded: true,
    }
}

fn own(date: &str, account: &str) -> Image {
    let id = "ami-0172e86000000efe1";
    Image {
        name: "l4re-ipxe-uefi-x86_64".to_owned(),
        description: "UEFI iPXE for x86_64".to_owned(),
        owner: account.to_owned(),
        public: false,
        tags: Tags::from([("l4re:role".to_owned(), "ipxe".to_owned())]),
        ..official(id, date, Architecture::X86_64, Some(BootMode::Uefi), Chain::Uefi)
    }
}

/// The day of an iPXE build, `YYYY-MM-DD`, from the version in Debian's binary
/// (`1.0.0+git-20190125.36a4c85-5.1`).
fn build_date(binary: &Utf8Path) -> Option<String> {
    date_in(&fs::read(binary).ok()?)
}

fn date_in(bytes: &[u8]) -> Option<String> {
    const MARK: &[u8] = b"+git-";
    let at = bytes.windows(MARK.len()).position(|window| window == MARK)? + MARK.len();
    let digits = std::str::from_utf8(bytes.get(at..at + 8)?).ok()?;
    let date = jiff::civil::Date::strptime("%Y%m%d", digits).ok()?;
    Some(date.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_build_date_is_read_from_debians_version() {
        let version = b"\0\0iPXE 1.0.0+git-20190125.36a4c85-5.1\0";
        assert_eq!(date_in(version).as_deref(), Some("2019-01-25"));
        assert_eq!(date_in(b"+git-2019"), None);
        assert_eq!(date_in(b"+git-99999999."), None);
    }

    #[test]
    fn the_official_x86_image_has_no_boot_mode_and_boots_by_bios() {
        let dir = camino_tempfile::tempdir().unwrap();
        let config = Config::new(dir.path(), vec![]);
        let mut account = Account::open(&config).unwrap();
        let images = seeded_images(&config, &account);
        let x86 = images.iter().find(|image| image.name.ends_with("(x86_64)")).unwrap();
        assert_eq!((x86.boot_mode, x86.effective_boot_mode(true)), (None, BootMode::LegacyBios));
        let own = images.iter().find(|image| image.owner == account.id).unwrap();
        assert_eq!(own.boot_mode, Some(BootMode::Uefi));
        account.deregistered.insert(own.id.clone());
        assert_eq!(seeded_images(&config, &account).len(), 2);
    }
}
