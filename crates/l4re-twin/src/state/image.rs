//! The AMIs that a new twin has: iPXE's official pair, and a UEFI iPXE of the account's own.

use camino::Utf8Path;
use fs_err as fs;

use crate::Config;
use crate::state::{Architecture, BootMode, Tags};

/// Who publishes iPXE's official AMIs.
const IPXE_OWNER: &str = "833372943033";

/// The twin follows arm64 scripts as a build of this day does: IMDSv2 and `sha256sum`.
const FOLLOWED_BUILD: &str = "2026-08-21";

/// Debian 12's build, if the binary does not say.
const DEBIAN_BUILD: &str = "2019-01-25";

/// What an AMI boots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Chain {
    /// SeaBIOS and the network card's iPXE.
    Bios,
    /// UEFI and iPXE for x86_64 on an EFI system partition.
    Uefi,
    /// UEFI and, for arm64, iPXE or the twin in its place.
    Arm64,
}

/// An AMI.
#[derive(Debug, Clone)]
pub(crate) struct Image {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) owner: String,
    pub(crate) architecture: Architecture,
    /// None, as for iPXE's own x86_64 AMI, means BIOS there and UEFI on arm64.
    pub(crate) boot_mode: Option<BootMode>,
    pub(crate) created: String,
    pub(crate) public: bool,
    pub(crate) tags: Tags,
    pub(crate) chain: Chain,
}

impl Image {
    /// How it boots on its architecture.
    pub(crate) fn effective_boot_mode(&self) -> BootMode {
        self.boot_mode.unwrap_or(match self.architecture {
            Architecture::X86_64 => BootMode::LegacyBios,
            Architecture::Arm64 => BootMode::Uefi,
        })
    }
}

/// The AMIs of a new twin.
pub(crate) fn seeded_images(config: &Config, account_id: &str) -> Vec<Image> {
    let debian = build_date(config.ipxe_efi()).unwrap_or_else(|| DEBIAN_BUILD.to_owned());
    let arm64 = config
        .ipxe_arm64
        .as_deref()
        .map_or(Some(FOLLOWED_BUILD.to_owned()), build_date)
        .unwrap_or_else(|| FOLLOWED_BUILD.to_owned());
    let official = |id: &str, date: &str, architecture: Architecture, boot_mode, chain| Image {
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
    };
    vec![
        official("ami-0172e86000000b105", &debian, Architecture::X86_64, None, Chain::Bios),
        official(
            "ami-0172ea64000000ef1",
            &arm64,
            Architecture::Arm64,
            Some(BootMode::Uefi),
            Chain::Arm64,
        ),
        Image {
            id: "ami-0172e86000000efe1".to_owned(),
            name: "l4re-ipxe-uefi-x86_64".to_owned(),
            description: "UEFI iPXE for x86_64".to_owned(),
            owner: account_id.to_owned(),
            architecture: Architecture::X86_64,
            boot_mode: Some(BootMode::Uefi),
            created: format!("{debian}T00:00:00.000Z"),
            public: false,
            tags: Tags::from([("l4re:role".to_owned(), "ipxe".to_owned())]),
            chain: Chain::Uefi,
        },
    ]
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
        let images = seeded_images(&Config::new("/nowhere", vec![]), "111122223333");
        let x86 = images.iter().find(|image| image.name.ends_with("(x86_64)")).unwrap();
        assert_eq!((x86.boot_mode, x86.effective_boot_mode()), (None, BootMode::LegacyBios));
        let own = images.iter().find(|image| image.owner == "111122223333").unwrap();
        assert_eq!(own.boot_mode, Some(BootMode::Uefi));
    }
}
