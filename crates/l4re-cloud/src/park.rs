//! Machines that wait in iPXE for their next image.
//!
//! Invariants: what a parked machine waits for is one object, named by its tag `l4re:next`,
//! which is not there until the first image is deployed on it; a machine that has been given
//! an image boots from the same object at each reboot, so a new image is a new object and a
//! reboot. The URL in the user data ends with the machine's expiry, after seven days, or with
//! the credentials that signed it, whatever comes first.

use std::time::Duration;

use aws_sdk_s3::primitives::ByteStream;
use jiff::{SignedDuration, Timestamp};
use l4re_image::{Arch, Kind};
use sha2::{Digest, Sha256};

use crate::attempt::LaunchOptions;
use crate::connect::Cloud;
use crate::error::CloudError;
use crate::event::Event;
use crate::instance::Instance;
use crate::launch::Launched;
use crate::parked::{LONGEST_PAUSE, parked_script};
use crate::plan::ImageFacts;
use crate::prepare::Prepared;
use crate::publish::{Object, PublishOptions};
use crate::store::{EXPIRES_METADATA, Target, status};
use crate::tags;

/// How to park.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParkOptions {
    /// For images of this architecture.
    pub arch: Arch,
    /// For this kind of image; the one that suits the machine if none.
    pub kind: Option<Kind>,
    /// Where the machine looks for its image, and for how long.
    pub publish: PublishOptions,
    /// Whether it looks every second, and not every five.
    pub eager: bool,
    /// The rest.
    pub launch: LaunchOptions,
}

impl ParkOptions {
    /// What the plan is made for: an image of which only the sort is known yet.
    pub fn image(&self, prepared: &Prepared) -> ImageFacts {
        let kind = self.kind.unwrap_or_else(|| prepared.best_kind(self.arch).kind);
        ImageFacts { arch: self.arch, kind, size: None, sha256: None, wants_el2: None }
    }
}

/// A launch whose machine waits for an object.
pub(crate) struct Parking {
    pub(crate) object: Object,
    pub(crate) launch: LaunchOptions,
}

/// Where a parked machine looks for its next script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) bucket: String,
    pub(crate) key: String,
}

impl Slot {
    /// A slot that no other machine has.
    fn new(bucket: String, name: &str, now: Timestamp) -> Self {
        let sum = Sha256::digest(format!("{name} {now}"));
        Self { bucket, key: format!("l4re/next/{}/next.ipxe", hex::encode(&sum[..16])) }
    }

    /// The slot of an instance, if it has one.
    pub(crate) fn of(instance: &Instance) -> Option<Self> {
        let (bucket, key) = tags::value(&instance.tags, tags::NEXT)?.split_once('/')?;
        Some(Self { bucket: bucket.to_owned(), key: key.to_owned() })
    }

    fn tag(&self) -> (String, String) {
        (tags::NEXT.to_owned(), format!("{}/{}", self.bucket, self.key))
    }
}

impl Cloud {
    /// Launches a machine that waits in iPXE for an image: see [`Cloud::redeploy`].
    pub async fn park(
        &self,
        prepared: &Prepared,
        options: &ParkOptions,
    ) -> Result<Launched, CloudError> {
        let bucket = self.park_bucket(&options.publish).await?;
        let parking = self.parking(prepared, options, bucket).await?;
        self.warn_of_session(options.publish.valid_for).await;
        let image = options.image(prepared);
        self.launch(prepared, &image, Some(&parking.object), &parking.launch).await
    }

    /// The launch of a machine that waits for an object in this bucket.
    pub(crate) async fn parking(
        &self,
        prepared: &Prepared,
        options: &ParkOptions,
        bucket: String,
    ) -> Result<Parking, CloudError> {
        let slot = Slot::new(bucket, &prepared.options.name, Timestamp::now());
        let url = self.signed_url(&slot.bucket, &slot.key, &options.publish).await?;
        let mut launch = options.launch.clone();
        let pause = if options.eager { 1 } else { LONGEST_PAUSE };
        launch.user_data = Some(parked_script(&url, options.publish.valid_for, pause)?);
        launch.tags.push(slot.tag());
        Ok(Parking { object: Object::at_url(url, None), launch })
    }

    /// The bucket's name.
    pub(crate) async fn park_bucket_name(
        &self,
        options: &PublishOptions,
    ) -> Result<String, CloudError> {
        match &options.bucket {
            Some(bucket) => Ok(bucket.clone()),
            None => self.default_bucket().await,
        }
    }

    /// The bucket, which must exist before anything waits for an object in it.
    async fn park_bucket(&self, options: &PublishOptions) -> Result<String, CloudError> {
        let bucket = self.park_bucket_name(options).await?;
        let owner = match &options.bucket {
            Some(_) => None,
            None => Some(self.identity().await?.account),
        };
        let request = self.s3().head_bucket().bucket(&bucket).set_expected_bucket_owner(owner);
        match request.send().await {
            Ok(_) => Ok(bucket),
            Err(error) if status(&error) == Some(404) => match options.make_bucket {
                true => self.make_bucket(&bucket).await.map(|()| bucket),
                false => Err(CloudError::NoSuchBucket { bucket, region: self.region().to_owned() }),
            },
            Err(error) => {
                let failed = std::future::ready(Err::<(), _>(error));
                self.call("s3:HeadBucket", failed).await.map(|()| bucket)
            }
        }
    }

    /// Temporary credentials end what they signed.
    async fn warn_of_session(&self, waits: Duration) {
        let Some(end) = self.credentials_end().await else { return };
        let waits = SignedDuration::try_from(waits).unwrap_or(SignedDuration::MAX);
        if Timestamp::now().checked_add(waits).is_ok_and(|until| end < until) {
            let text = format!(
                "these credentials end at {}: from then on the parked machine sees no new image",
                end.strftime("%Y-%m-%d %H:%M UTC")
            );
            self.tell(Event::Warning { text });
        }
    }

    /// Puts a script into the slot. `false` if `fresh` is asked for and one is there.
    pub(crate) async fn put_script(
        &self,
        slot: &Slot,
        script: &str,
        expires: Timestamp,
        fresh: bool,
    ) -> Result<bool, CloudError> {
        let answer = self
            .s3()
            .put_object()
            .bucket(&slot.bucket)
            .key(&slot.key)
            .set_if_none_match(fresh.then(|| "*".to_owned()))
            .content_type("text/plain")
            .metadata(EXPIRES_METADATA, expires.to_string())
            .body(ByteStream::from(script.as_bytes().to_vec()))
            .send()
            .await;
        if fresh && answer.as_ref().err().and_then(status) == Some(412) {
            return Ok(false);
        }
        let target =
            Target { bucket: slot.bucket.clone(), key: slot.key.clone(), owner: None, expires };
        self.call("s3:PutObject", std::future::ready(answer))
            .await
            .map_err(|error| self.about_bucket(error, &target))?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_found_again_by_its_tag() {
        let now = Timestamp::UNIX_EPOCH;
        let slot = Slot::new("pics".to_owned(), "größe", now);
        assert_ne!(slot, Slot::new("pics".to_owned(), "hello", now));
        let (key, value) = slot.tag();
        assert_eq!(key, "l4re:next");
        assert!(value.starts_with("pics/l4re/next/") && value.is_ascii() && value.len() < 256);
        assert_eq!(value.split_once('/'), Some((slot.bucket.as_str(), slot.key.as_str())));
    }
}
