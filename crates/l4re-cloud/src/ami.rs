//! The AMIs that machines start from, resolved at run time.
//!
//! Invariant: no AMI id is known to this crate; the importer of the official ones keeps
//! only the newest three.

use aws_sdk_ec2::types::{Filter, Image};
use jiff::Timestamp;
use l4re_image::Arch;

use crate::connect::Cloud;
use crate::error::CloudError;
use crate::tags;
use crate::types::{BootMode, InstanceTypeFacts};

/// The account that publishes the official iPXE AMIs.
pub const IPXE_OWNER: &str = "833372943033";

/// Whose AMI it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AmiOwner {
    /// The iPXE project's.
    Ipxe,
    /// This account's, with the tag `l4re:role`.
    Own,
}

/// One AMI: an iPXE's, or one that holds an image itself.
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
    /// Whether the tag `l4re:imds` = `v1` says that its iPXE does not speak IMDSv2.
    pub imds_v1_only: bool,
    /// SHA-256 of the image that starts from it; `None` for an iPXE.
    pub image: Option<String>,
}

/// The first day whose iPXE builds speak IMDSv2 (iPXE commit 345abfba1).
const IMDS_V2_SINCE: &str = "2026-07-14";

impl AmiFacts {
    /// The day its iPXE was built, `YYYY-MM-DD`: of an official AMI the date in the name if
    /// that is older than the AMI.
    pub fn built(&self) -> String {
        let created = self.created.strftime("%Y-%m-%d").to_string();
        let named = self.name.strip_prefix("iPXE (").and_then(|rest| rest.split(')').next());
        match named.filter(|day| self.owner == AmiOwner::Ipxe && is_day(day)) {
            Some(day) if *day < *created => day.to_owned(),
            _ => created,
        }
    }

    /// Whether its iPXE can fetch user data where IMDS demands a token.
    pub fn speaks_imds_v2(&self) -> bool {
        // An image that starts from its own disk asks IMDS for nothing.
        self.image.is_some() || (!self.imds_v1_only && self.built().as_str() >= IMDS_V2_SINCE)
    }

    /// Whether it starts by UEFI. Without a boot mode a machine does what its type does by
    /// default: BIOS on x86_64, UEFI on arm64.
    pub fn is_uefi(&self) -> bool {
        match self.boot_mode {
            Some(BootMode::Uefi | BootMode::UefiPreferred) => true,
            Some(BootMode::LegacyBios) => false,
            None => self.arch == Arch::Arm64,
        }
    }

    /// Whether a machine of the type can start it.
    pub fn starts(&self, machine: &InstanceTypeFacts) -> bool {
        let firmware = if self.is_uefi() { BootMode::Uefi } else { BootMode::LegacyBios };
        machine.archs.contains(&self.arch) && machine.boots(firmware)
    }
}

fn is_day(text: &str) -> bool {
    text.parse::<jiff::civil::Date>().is_ok() && text.len() == 10
}

/// Test images of the same account are named `ipxetest …`.
const IPXE_NAME: &str = "iPXE (*";

const CALL: &str = "ec2:DescribeImages";

impl Cloud {
    /// The AMIs of this region that L4Re boots from, official and own, newest first.
    pub async fn amis(&self) -> Result<Vec<AmiFacts>, CloudError> {
        let (official, own) = tokio::try_join!(
            self.images(IPXE_OWNER, filter("name", IPXE_NAME)),
            self.images("self", filter("tag-key", tags::ROLE)),
        )?;
        let official = official.iter().filter_map(|image| facts(image, AmiOwner::Ipxe));
        let own = own.iter().filter_map(|image| facts(image, AmiOwner::Own));
        let mut amis: Vec<AmiFacts> = official.chain(own).collect();
        amis.sort_by(|a, b| b.created.cmp(&a.created).then_with(|| a.id.cmp(&b.id)));
        Ok(amis)
    }

    /// Available AMIs of an owner by one filter.
    pub(crate) async fn images(
        &self,
        owner: &str,
        filter: Filter,
    ) -> Result<Vec<Image>, CloudError> {
        let available = self::filter("state", "available");
        let request = self.ec2().describe_images().owners(owner).filters(filter).filters(available);
        Ok(self.call(CALL, request.send()).await?.images.unwrap_or_default())
    }
}

/// A filter with one value.
pub(crate) fn filter(name: &str, value: &str) -> Filter {
    Filter::builder().name(name).values(value).build()
}

/// `None` for an AMI of an architecture that L4Re does not have, or without a date.
pub(crate) fn facts(image: &Image, owner: AmiOwner) -> Option<AmiFacts> {
    let arch = image.architecture.as_ref()?.as_str();
    let tags = tags::of(image.tags());
    let holds_image = tags::value(&tags, tags::ROLE) == Some(tags::ROLE_IMAGE);
    Some(AmiFacts {
        id: image.image_id.clone()?,
        name: image.name.clone().unwrap_or_default(),
        arch: Arch::all().find(|a| a.ec2() == Some(arch))?,
        boot_mode: image.boot_mode.as_ref().and_then(|mode| BootMode::from_ec2(mode.as_str())),
        created: image.creation_date.as_deref()?.parse().ok()?,
        owner,
        imds_v1_only: tags::value(&tags, tags::IMDS) == Some("v1"),
        image: tags::value(&tags, tags::IMAGE).filter(|_| holds_image).map(ToOwned::to_owned),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_ec2::types::{ArchitectureValues, BootModeValues, Tag};

    fn official(name: &str, created: &str) -> AmiFacts {
        AmiFacts {
            id: "ami-1".into(),
            name: name.into(),
            arch: Arch::Arm64,
            boot_mode: None,
            created: created.parse().unwrap(),
            owner: AmiOwner::Ipxe,
            imds_v1_only: false,
            image: None,
        }
    }

    #[test]
    fn the_build_is_no_younger_than_the_name_says() {
        let ami = official("iPXE (2026-07-13) (arm64)", "2026-07-14T02:00:00.000Z");
        assert_eq!(ami.built(), "2026-07-13");
        assert!(!ami.speaks_imds_v2());
        assert!(official("iPXE (2026-07-14) (arm64)", "2026-07-14T02:00:00Z").speaks_imds_v2());
        assert_eq!(official("iPXE (someday)", "2026-08-01T00:00:00Z").built(), "2026-08-01");
        let copy = AmiFacts {
            owner: AmiOwner::Own,
            ..official("iPXE (2020-01-01)", "2026-08-01T00:00:00Z")
        };
        assert_eq!(copy.built(), "2026-08-01");
        assert!(!AmiFacts { imds_v1_only: true, ..copy }.speaks_imds_v2());
    }

    #[test]
    fn no_boot_mode_means_the_default_of_the_type() {
        let ami = official("iPXE (x)", "2026-08-01T00:00:00Z");
        assert!(ami.is_uefi());
        assert!(!AmiFacts { arch: Arch::X86_64, ..ami }.is_uefi());
    }

    #[test]
    fn facts_of_an_image() {
        let image = Image::builder()
            .image_id("ami-2")
            .name("mine")
            .architecture(ArchitectureValues::X8664)
            .boot_mode(BootModeValues::Uefi)
            .creation_date("2026-10-01T10:00:00.000Z")
            .tags(Tag::builder().key("l4re:imds").value("v1").build())
            .build();
        let ami = facts(&image, AmiOwner::Own).unwrap();
        assert_eq!((ami.arch, ami.boot_mode), (Arch::X86_64, Some(BootMode::Uefi)));
        assert!(ami.imds_v1_only && ami.is_uefi());
        assert!(facts(&Image::builder().image_id("ami-3").build(), AmiOwner::Own).is_none());
    }
}
