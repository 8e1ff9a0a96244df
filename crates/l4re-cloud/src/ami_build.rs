//! AMIs of this account's own: made from a disk's file, listed, removed.
//!
//! Invariants: AMI and snapshot are tagged by the calls that make them, with the digest of
//! what is on them; the same disk is never registered twice. Removing begins with the AMI,
//! and a snapshot that is left without one is listed and removed like one.

use std::time::Instant;

use aws_sdk_ec2::types::{
    ArchitectureValues, BlockDeviceMapping, BootModeValues, EbsBlockDevice, ImdsSupportValues,
    ResourceType, Tag, TagSpecification, VolumeType,
};
use camino::Utf8Path;
use jiff::Timestamp;
use l4re_image::Arch;

use crate::ami::{AmiFacts, AmiOwner, facts, filter};
use crate::blocks::DiskBlocks;
use crate::connect::Cloud;
use crate::error::CloudError;
use crate::event::Event;
use crate::lifecycle::BECOMES_KNOWN;
use crate::rehearse::PlannedCall;
use crate::snapshot::OwnSnapshot;
use crate::tags::{self, AmiTags, ami_tags};

const ROOT_DEVICE: &str = "/dev/xvda";

/// What to make an AMI from.
#[derive(Debug, Clone, Copy)]
pub struct AmiRequest<'a> {
    /// The disk: raw, whole GiB.
    pub disk: &'a Utf8Path,
    /// What it boots on.
    pub arch: Arch,
    /// The name by which it is listed and removed.
    pub name: &'a str,
    /// Tag `l4re:owner`; the caller's name if none.
    pub owner: Option<&'a str>,
    /// Tag `l4re:expires`.
    pub expires: Option<Timestamp>,
    /// What starts from it.
    pub holds: AmiContent<'a>,
}

/// What starts from an AMI.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AmiContent<'a> {
    /// An image, by its SHA-256 in lower-case hexadecimal.
    Image(&'a str),
    /// An iPXE, which speaks IMDSv2 or does not.
    Ipxe {
        /// Whether it does.
        imds_v2: bool,
    },
}

/// An AMI of this account with its snapshot, or a snapshot that has none (yet or any more).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnAmi {
    /// The AMI.
    pub ami: Option<AmiFacts>,
    /// Its snapshot.
    pub snapshot: Option<String>,
    /// Tag `l4re:name`, or the AMI's own.
    pub name: String,
    /// Tag `l4re:role`: `ipxe`, `image`.
    pub role: Option<String>,
    /// Tag `l4re:owner`.
    pub owner: Option<String>,
    /// When it was made.
    pub created: Option<Timestamp>,
    /// Tag `l4re:expires`.
    pub expires: Option<Timestamp>,
}

impl OwnAmi {
    /// The AMI's id, else the snapshot's.
    pub fn id(&self) -> &str {
        let ami = self.ami.as_ref().map(|ami| ami.id.as_str());
        ami.or(self.snapshot.as_deref()).unwrap_or_default()
    }

    fn new(ami: Option<AmiFacts>, snapshot: Option<String>, tags: &[(String, String)]) -> Self {
        let tag = |key| tags::value(tags, key).map(ToOwned::to_owned);
        let own_name = ami.as_ref().map(|ami| ami.name.clone());
        Self {
            name: tag(tags::NAME).or(own_name).unwrap_or_default(),
            role: tag(tags::ROLE),
            owner: tag(tags::OWNER),
            created: tags::time(tags, tags::CREATED).or(ami.as_ref().map(|ami| ami.created)),
            expires: tags::time(tags, tags::EXPIRES),
            ami,
            snapshot,
        }
    }
}

/// An AMI that can be launched, and whether it was there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuiltAmi {
    /// The AMI.
    pub ami: AmiFacts,
    /// Whether nothing had to be made.
    pub reused: bool,
}

impl Cloud {
    /// Makes an AMI of a disk, or finds the one that was made of it.
    pub async fn build_ami(&self, request: &AmiRequest<'_>) -> Result<BuiltAmi, CloudError> {
        let disk = DiskBlocks::of(request.disk).await?;
        let same_disk = || filter(&format!("tag:{}", tags::DISK), &disk.digest);
        let (amis, snapshots, identity) = tokio::try_join!(
            self.images("self", same_disk()),
            self.snapshots(same_disk()),
            self.identity(),
        )?;
        if let Some(ami) = amis.iter().find_map(|image| facts(image, AmiOwner::Own)) {
            return Ok(BuiltAmi { ami, reused: true });
        }
        let tags = ami_tags(&AmiTags {
            name: request.name,
            owner: request.owner.unwrap_or_else(|| identity.owner()),
            created: Timestamp::now(),
            expires: request.expires,
            holds: request.holds,
            disk: &disk.digest,
        });
        let snapshot = self.snapshot(&disk, snapshots, &tags).await?;
        let id = self.register(request, &disk.digest, &snapshot, &tags).await?;
        let ami = self.becomes_available(&id).await?;
        self.tell(Event::AmiMade { id: ami.id.clone(), name: request.name.to_owned() });
        Ok(BuiltAmi { ami, reused: false })
    }

    /// What [`Cloud::build_ami`] would call, nothing if there is an AMI of this disk; only looks.
    pub async fn planned_ami(
        &self,
        request: &AmiRequest<'_>,
    ) -> Result<Vec<PlannedCall>, CloudError> {
        let disk = DiskBlocks::of(request.disk).await?;
        let same_disk = || filter(&format!("tag:{}", tags::DISK), &disk.digest);
        let (amis, snapshots) =
            tokio::try_join!(self.images("self", same_disk()), self.snapshots(same_disk()))?;
        if amis.iter().any(|image| facts(image, AmiOwner::Own).is_some()) {
            return Ok(Vec::new());
        }
        let [size, blocks] = [u64::from(disk.size_gib), disk.list.len() as u64];
        let [size, blocks] = [size, blocks].map(|number| number.to_string());
        let name = ami_name(request, &disk.digest);
        let mut calls = Vec::new();
        if snapshots.is_empty() {
            calls.push(PlannedCall::new("ebs:StartSnapshot", &[("VolumeSize", &size)]));
        }
        calls.extend([
            PlannedCall::new("ebs:PutSnapshotBlock", &[("Blocks", &blocks)]),
            PlannedCall::new("ebs:CompleteSnapshot", &[("ChangedBlocksCount", &blocks)]),
            PlannedCall::new("ec2:RegisterImage", &[("Name", &name)]),
        ]);
        Ok(calls)
    }

    /// What [`Cloud::remove_ami`] would call.
    pub fn planned_removal(&self, own: &OwnAmi) -> Vec<PlannedCall> {
        let image = own.ami.as_ref().map(|ami| ("ec2:DeregisterImage", "ImageId", &ami.id));
        let snapshot = own.snapshot.as_ref().map(|id| ("ec2:DeleteSnapshot", "SnapshotId", id));
        let call = |(name, key, id): (&'static str, &str, &String)| {
            PlannedCall::new(name, &[(key, id.as_str())])
        };
        [image, snapshot].into_iter().flatten().map(call).collect()
    }

    /// RegisterImage. Its defaults are for machines of another age: all that a boot depends
    /// on is said. There are no UEFI variables to bring along.
    async fn register(
        &self,
        request: &AmiRequest<'_>,
        digest: &str,
        snapshot: &str,
        tags: &[(String, String)],
    ) -> Result<String, CloudError> {
        const CALL: &str = "ec2:RegisterImage";
        let name = ami_name(request, digest);
        let disk = EbsBlockDevice::builder()
            .snapshot_id(snapshot)
            .volume_type(VolumeType::Gp3)
            .delete_on_termination(true)
            .build();
        let root = BlockDeviceMapping::builder().device_name(ROOT_DEVICE).ebs(disk).build();
        let pair = |(key, value): &(String, String)| Tag::builder().key(key).value(value).build();
        let tags = TagSpecification::builder()
            .resource_type(ResourceType::Image)
            .set_tags(Some(tags.iter().map(pair).collect()))
            .build();
        // A launch of it asks for IMDSv2 unless told otherwise; an iPXE that cannot must not.
        let v2 = !matches!(request.holds, AmiContent::Ipxe { imds_v2: false });
        let call = self
            .ec2()
            .register_image()
            .name(&name)
            .description(format!("cargo l4re: {}", request.name))
            .architecture(ArchitectureValues::from(request.arch.ec2().unwrap_or_default()))
            .virtualization_type("hvm")
            .boot_mode(BootModeValues::Uefi)
            .ena_support(true)
            .sriov_net_support("simple")
            .set_imds_support(v2.then_some(ImdsSupportValues::V20))
            .root_device_name(ROOT_DEVICE)
            .block_device_mappings(root)
            .tag_specifications(tags);
        let lacks = || CloudError::BadAnswer { call: CALL, cause: "no id in it".to_owned() };
        match self.call(CALL, call.send()).await {
            // The command was killed before it had the answer, and is repeated.
            Err(CloudError::Service { code, .. }) if code == "InvalidAMIName.Duplicate" => {
                let found = self.images("self", filter("name", &name)).await?;
                found.into_iter().find_map(|image| image.image_id).ok_or_else(lacks)
            }
            other => other?.image_id.ok_or_else(lacks),
        }
    }

    /// Right after it was made an AMI may be unknown or pending.
    async fn becomes_available(&self, id: &str) -> Result<AmiFacts, CloudError> {
        let start = Instant::now();
        loop {
            let found = self.images("self", filter("image-id", id)).await?;
            if let Some(ami) = found.iter().find_map(|image| facts(image, AmiOwner::Own)) {
                return Ok(ami);
            }
            if start.elapsed() >= BECOMES_KNOWN {
                let [state, wanted] = ["unknown", "available"].map(ToOwned::to_owned);
                let id = id.to_owned();
                return Err(CloudError::WaitTimedOut { id, state, wanted, after: BECOMES_KNOWN });
            }
            tokio::time::sleep(self.poll()).await;
        }
    }

    /// This account's AMIs that were made here, and snapshots left without one; newest first.
    pub async fn own_amis(&self) -> Result<Vec<OwnAmi>, CloudError> {
        let ours = || filter("tag-key", tags::ROLE);
        let (images, snapshots) =
            tokio::try_join!(self.images("self", ours()), self.snapshots(ours()))?;
        let mut list = Vec::new();
        let mut used = Vec::new();
        for image in &images {
            let Some(ami) = facts(image, AmiOwner::Own) else { continue };
            let devices = image.block_device_mappings().iter();
            let mut snapshot =
                devices.filter_map(|device| device.ebs.as_ref()?.snapshot_id.clone());
            let snapshot = snapshot.next();
            used.extend(snapshot.clone());
            list.push(OwnAmi::new(Some(ami), snapshot, &tags::of(image.tags())));
        }
        let left = snapshots.into_iter().filter(|snapshot| !used.contains(&snapshot.id));
        list.extend(left.map(|OwnSnapshot { id, tags, .. }| OwnAmi::new(None, Some(id), &tags)));
        list.sort_by(|a, b| b.created.cmp(&a.created).then_with(|| a.id().cmp(b.id())));
        Ok(list)
    }

    /// Removes an AMI and its snapshot. It is no error if they are gone.
    pub async fn remove_ami(&self, own: &OwnAmi) -> Result<(), CloudError> {
        if let Some(ami) = &own.ami {
            let request = self.ec2().deregister_image().image_id(&ami.id);
            match self.call("ec2:DeregisterImage", request.send()).await {
                Err(CloudError::Service { code, .. })
                    if matches!(
                        code.as_str(),
                        "InvalidAMIID.NotFound" | "InvalidAMIID.Unavailable"
                    ) => {}
                other => drop(other?),
            }
        }
        let Some(snapshot) = &own.snapshot else { return Ok(()) };
        let start = Instant::now();
        loop {
            match self.delete_snapshot(snapshot).await {
                // Until EC2 has noticed everywhere that the AMI is gone.
                Err(CloudError::Service { code, .. })
                    if code == "InvalidSnapshot.InUse" && start.elapsed() < BECOMES_KNOWN =>
                {
                    tokio::time::sleep(self.poll()).await;
                }
                other => return other,
            }
        }
    }
}

/// The same for the same disk, so that EC2 itself refuses a second one; only characters that
/// an AMI's name may have.
fn ami_name(request: &AmiRequest<'_>, digest: &str) -> String {
    let role = request.holds.role();
    let arch = request.arch.ec2().unwrap_or_default();
    format!("l4re-{role}-{arch}-{}", &digest[..16])
}

impl AmiContent<'_> {
    /// The value of the tag `l4re:role`.
    pub(crate) fn role(self) -> &'static str {
        match self {
            Self::Image(_) => tags::ROLE_IMAGE,
            Self::Ipxe { .. } => tags::ROLE_IPXE,
        }
    }
}
