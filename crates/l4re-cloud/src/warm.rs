//! A new image on a machine that exists, by the quickest way that works.
//!
//! A parked machine fetches its next script from an object: while that is not there the
//! machine waits, and putting it there is all; later, a new object and a reboot. Any other
//! machine has the script as its user data, which changes only while it is stopped.
//!
//! Invariants: a command that was killed can be repeated and ends the same; before anything is
//! changed `l4re:next-image` says what for, so that until it has ended nobody takes the old
//! image for certain; then `l4re:image` and `l4re:launch` are set anew, so that what asks for
//! the same launch later finds it; all other tags stay, the expiry among them.

use std::time::Duration;

use aws_sdk_ec2::primitives::Blob;
use aws_sdk_ec2::types::{Image, SecureBlobAttributeValue, Tag};
use jiff::Timestamp;
use l4re_image::{Arch, Kind};

use crate::attempt::{LaunchOptions, launch_sum};
use crate::connect::Cloud;
use crate::error::CloudError;
use crate::instance::{Instance, InstanceState};
use crate::park::Slot;
use crate::plan::{ImageFacts, PlanError};
use crate::publish::Object;
use crate::script::{AfterFailure, ScriptOptions, file_name, script, start_mark};
use crate::tags;
use crate::types::{BootMode, InstanceTypeFacts};

/// Limit for a machine to stop; metal takes its time.
const STOP_LIMIT: Duration = Duration::from_secs(30 * 60);

/// A machine that exists, and what decides which images boot on it.
#[derive(Debug, Clone)]
pub struct Warm {
    /// The machine.
    pub instance: Instance,
    /// Its type.
    pub machine: InstanceTypeFacts,
    /// The firmware that started it, and so its iPXE.
    pub firmware: BootMode,
}

/// How to boot the new image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RedeployOptions {
    /// The image's command line.
    pub command_line: Option<String>,
    /// What the machine does when the download failed for good.
    pub after_failure: AfterFailure,
}

/// The way that a new image took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Way {
    /// The machine was waiting for it.
    Waiting,
    /// A new object behind the same URL, and a reboot.
    Reboot,
    /// New user data while it was stopped, and a start.
    Restart,
}

/// A new image is on its way.
#[derive(Debug, Clone)]
pub struct Redeployed {
    /// The machine, with its new tag.
    pub instance: Instance,
    /// How.
    pub way: Way,
    /// What the console shows when this boot's script begins; what comes before it is old.
    pub mark: String,
}

impl Warm {
    /// The kind of image that its iPXE starts.
    pub fn kind(&self) -> Kind {
        if self.firmware == BootMode::Uefi { Kind::Efi } else { Kind::Elf }
    }

    /// Refuses an image that cannot boot there.
    pub fn check(&self, image: &ImageFacts) -> Result<(), CloudError> {
        if !self.machine.archs.contains(&image.arch) {
            return Err(CloudError::from(PlanError::ArchMismatch {
                image: image.arch,
                machine: self.machine.ec2_archs.clone(),
                instance_type: self.machine.name.clone(),
            }));
        }
        if image.kind != self.kind() {
            return Err(CloudError::WrongFirmware {
                id: self.instance.id.clone(),
                firmware: self.firmware.ec2(),
                boots: self.kind(),
            });
        }
        Ok(())
    }
}

impl Cloud {
    /// Looks up what a machine can boot. Can be kept for many [`Cloud::redeploy`]s.
    pub async fn warm(&self, name_or_id: &str) -> Result<Warm, CloudError> {
        let instance = self.find(name_or_id).await?;
        let types = [instance.instance_type.clone()];
        let (types, image) = tokio::try_join!(self.instance_types(&types), self.ami_of(&instance))?;
        let machine = types.into_iter().next().ok_or_else(|| CloudError::NotOffered {
            types: vec![instance.instance_type.clone()],
            region: self.region().to_owned(),
        })?;
        let firmware = firmware(&instance, &machine, image.as_ref());
        Ok(Warm { instance, machine, firmware })
    }

    /// Boots the image behind `object` on the machine.
    pub async fn redeploy(
        &self,
        warm: &Warm,
        image: &ImageFacts,
        object: &Object,
        options: &RedeployOptions,
    ) -> Result<Redeployed, CloudError> {
        warm.check(image)?;
        let mark = new_mark();
        let script = script(&ScriptOptions {
            sha256: object.sha256.clone().or_else(|| image.sha256.clone()),
            size: image.size,
            mark: Some(mark.clone()),
            command_line: options.command_line.clone(),
            after_failure: options.after_failure,
            ..ScriptOptions::new(&object.url, file_name(image.arch, image.kind))
        })?;
        let instance = &warm.instance;
        let noted = tags_of(image, options);
        self.note(instance, &[(tags::NEXT_IMAGE, noted[0].1.clone())]).await?;
        let way = match Slot::of(instance) {
            Some(slot) => self.boot_from_slot(instance, &slot, &script, &noted).await?,
            None => self.boot_from_user_data(instance, script, &noted).await?,
        };
        let mut instance = instance.clone();
        instance.image.clone_from(&image.sha256);
        for (key, value) in noted {
            instance.tags.retain(|(known, _)| known != key);
            instance.tags.push((key.to_owned(), value));
        }
        instance.state = match way {
            Way::Restart => InstanceState::Pending,
            _ => instance.state,
        };
        Ok(Redeployed { instance, way, mark: start_mark(&mark) })
    }

    /// Whether the machine still waits is told by the object itself: it can be made only once.
    async fn boot_from_slot(
        &self,
        instance: &Instance,
        slot: &Slot,
        script: &str,
        noted: &Noted,
    ) -> Result<Way, CloudError> {
        let expires = instance.expires.unwrap_or(Timestamp::MAX);
        let given = instance.image.is_some();
        if !given && self.put_script(slot, script, expires, true).await? {
            self.note(instance, noted).await?;
            return self.start_if_stopped(instance, Way::Waiting).await;
        }
        self.put_script(slot, script, expires, false).await?;
        if instance.state != InstanceState::Running {
            self.note(instance, noted).await?;
            return self.start_if_stopped(instance, Way::Reboot).await;
        }
        let (rebooted, noted) = tokio::join!(self.reboot(instance), self.note(instance, noted));
        rebooted.and(noted)?;
        Ok(Way::Reboot)
    }

    async fn start_if_stopped(&self, instance: &Instance, way: Way) -> Result<Way, CloudError> {
        match instance.state {
            InstanceState::Stopped | InstanceState::Stopping => {
                self.wait_for(&instance.id, InstanceState::Stopped, STOP_LIMIT).await?;
                self.start(instance).await?;
                Ok(Way::Restart)
            }
            _ => Ok(way),
        }
    }

    async fn boot_from_user_data(
        &self,
        instance: &Instance,
        script: String,
        noted: &Noted,
    ) -> Result<Way, CloudError> {
        match instance.state {
            InstanceState::Stopped | InstanceState::Stopping => {}
            _ => drop(self.stop(instance).await?),
        }
        self.wait_for(&instance.id, InstanceState::Stopped, STOP_LIMIT).await?;
        let script = SecureBlobAttributeValue::builder().value(Blob::new(script)).build();
        let request =
            self.ec2().modify_instance_attribute().instance_id(&instance.id).user_data(script);
        self.call("ec2:ModifyInstanceAttribute", request.send()).await?;
        self.note(instance, noted).await?;
        self.start(instance).await?;
        Ok(Way::Restart)
    }

    async fn note(
        &self,
        instance: &Instance,
        noted: &[(&'static str, String)],
    ) -> Result<(), CloudError> {
        let tag =
            |(key, value): &(&'static str, String)| Tag::builder().key(*key).value(value).build();
        let tags = Some(noted.iter().map(tag).collect());
        let request = self.ec2().create_tags().resources(&instance.id).set_tags(tags);
        self.call("ec2:CreateTags", request.send()).await.map(drop)
    }

    /// The AMI of an instance; `None` if it is registered no longer.
    async fn ami_of(&self, instance: &Instance) -> Result<Option<Image>, CloudError> {
        let Some(ami) = &instance.ami else { return Ok(None) };
        let request = self.ec2().describe_images().image_ids(ami);
        match self.call("ec2:DescribeImages", request.send()).await {
            Ok(answer) => Ok(answer.images.unwrap_or_default().into_iter().next()),
            Err(CloudError::Service { code, .. }) if code.starts_with("InvalidAMIID") => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Tags that another image changes.
type Noted = [(&'static str, String); 2];

/// What the instance would say of itself had it been launched with the image.
fn tags_of(image: &ImageFacts, options: &RedeployOptions) -> Noted {
    let launch =
        LaunchOptions { command_line: options.command_line.clone(), ..LaunchOptions::default() };
    let sum = image.sha256.as_deref().unwrap_or("unknown");
    [(tags::IMAGE, sum.to_owned()), (tags::LAUNCH, launch_sum(image, &launch))]
}

/// The firmware that a machine started with: the AMI's wish where the type leaves a choice,
/// and without a wish what the type does by default.
fn firmware(instance: &Instance, machine: &InstanceTypeFacts, ami: Option<&Image>) -> BootMode {
    let wish = ami.and_then(|ami| ami.boot_mode.as_ref());
    match wish.and_then(|wish| BootMode::from_ec2(wish.as_str())) {
        Some(BootMode::LegacyBios) => BootMode::LegacyBios,
        Some(BootMode::Uefi) => BootMode::Uefi,
        Some(BootMode::UefiPreferred) if machine.boots(BootMode::Uefi) => BootMode::Uefi,
        Some(BootMode::UefiPreferred) => BootMode::LegacyBios,
        None if instance.arch == Some(Arch::Arm64) => BootMode::Uefi,
        None if machine.boots(BootMode::LegacyBios) => BootMode::LegacyBios,
        None => BootMode::Uefi,
    }
}

/// A word that no other boot has.
fn new_mark() -> String {
    format!("{:x}", Timestamp::now().as_nanosecond())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::machine;
    use aws_sdk_ec2::types::BootModeValues;

    fn instance() -> Instance {
        let found = aws_sdk_ec2::types::Instance::builder().instance_id("i-1").build();
        Instance::from_ec2(&found).unwrap()
    }

    #[test]
    fn firmware_by_the_ami_and_the_type() {
        let of = |name: &str, mode: Option<BootModeValues>| {
            let ami = Image::builder().set_boot_mode(mode).build();
            firmware(&instance(), &machine(name), Some(&ami))
        };
        assert_eq!(of("m7g.metal", None), BootMode::Uefi);
        assert_eq!(of("c7i-flex.large", None), BootMode::LegacyBios);
        assert_eq!(of("c7i-flex.large", Some(BootModeValues::Uefi)), BootMode::Uefi);
        assert_eq!(of("c5.metal", Some(BootModeValues::UefiPreferred)), BootMode::LegacyBios);
        assert_eq!(of("c7i-flex.large", Some(BootModeValues::UefiPreferred)), BootMode::Uefi);
        assert_eq!(firmware(&instance(), &machine("c5.metal"), None), BootMode::LegacyBios);
    }

    #[test]
    fn an_image_of_the_wrong_sort_is_refused_with_the_right_one() {
        let warm =
            |firmware| Warm { instance: instance(), machine: machine("c7i-flex.large"), firmware };
        let image = crate::testing::image(Arch::X86_64, Kind::Efi);
        assert!(warm(BootMode::Uefi).check(&image).is_ok());
        let error = warm(BootMode::LegacyBios).check(&image).unwrap_err();
        assert_eq!(error.to_string(), "i-1 was started by legacy-bios: it boots ELF images only");
        let other = crate::testing::image(Arch::Arm64, Kind::Efi);
        assert_eq!(warm(BootMode::Uefi).check(&other).unwrap_err().code(), "arch-mismatch");
    }
}
