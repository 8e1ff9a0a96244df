//! Collecting what is past its expiry, of every kind that this crate makes, by tags.
//!
//! Invariants: looking changes nothing; only what carries our tags (schedules: our name, and
//! objects: our prefix) is ever looked at; an object is kept that an instance boots from which
//! is not past its expiry, too; and a schedule is never collected before its instance can be seen.

use std::fmt;
use std::time::Duration;

use aws_sdk_ec2::types::{SnapshotState, VolumeState};
use jiff::{SignedDuration, Timestamp};

use crate::ami::filter;
use crate::connect::Cloud;
use crate::error::CloudError;
use crate::expiry::instance_of;
use crate::instance::Instance;
use crate::lifecycle::BECOMES_KNOWN;
use crate::tags;

/// A kind of resource, in the order in which they must go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LeftoverKind {
    /// An instance, with its volume and its network interface.
    Instance,
    /// A schedule whose instance is gone.
    Schedule,
    /// An AMI.
    Image,
    /// A snapshot.
    Snapshot,
    /// A volume that is not attached.
    Volume,
    /// An object in the bucket.
    Object,
    /// A multipart upload that was never finished.
    Upload,
}

impl fmt::Display for LeftoverKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Instance => "instance",
            Self::Schedule => "schedule",
            Self::Image => "image",
            Self::Snapshot => "snapshot",
            Self::Volume => "volume",
            Self::Object => "object",
            Self::Upload => "upload",
        })
    }
}

/// Something that is past its expiry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leftover {
    /// What it is.
    pub kind: LeftoverKind,
    /// Its id; of an object and an upload, the key.
    pub id: String,
    /// Tag `l4re:name`, or what else a person knows it by.
    pub name: Option<String>,
    /// Tag `l4re:owner`.
    pub owner: Option<String>,
    /// When it expired, where that is said.
    pub expired: Option<Timestamp>,
    /// What else the call that removes it needs.
    handle: Handle,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Handle {
    Id,
    Instance(Box<Instance>),
    Object { bucket: String },
    Upload { bucket: String, upload: String },
}

/// Where to look.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GcOptions {
    /// The bucket; `l4re-<account>-<region>` if none.
    pub bucket: Option<String>,
    /// Only what belongs to this owner; objects, uploads and schedules have none and are left.
    pub owner: Option<String>,
}

impl Leftover {
    fn tagged(
        kind: LeftoverKind,
        id: &str,
        tags: &[(String, String)],
        now: Timestamp,
    ) -> Option<Self> {
        let expired = tags::time(tags, tags::EXPIRES).filter(|time| *time <= now)?;
        let tag = |key| tags::value(tags, key).map(ToOwned::to_owned);
        Some(Self {
            kind,
            id: id.to_owned(),
            name: tag(tags::NAME).or_else(|| tag(tags::DISPLAY_NAME)),
            owner: tag(tags::OWNER),
            expired: Some(expired),
            handle: Handle::Id,
        })
    }

    pub(crate) fn object(bucket: &str, key: &str, expired: Timestamp) -> Self {
        Self {
            kind: LeftoverKind::Object,
            id: key.to_owned(),
            name: None,
            owner: None,
            expired: Some(expired),
            handle: Handle::Object { bucket: bucket.to_owned() },
        }
    }

    pub(crate) fn upload(bucket: &str, key: &str, upload: &str) -> Self {
        Self {
            kind: LeftoverKind::Upload,
            id: key.to_owned(),
            name: None,
            owner: None,
            expired: None,
            handle: Handle::Upload { bucket: bucket.to_owned(), upload: upload.to_owned() },
        }
    }
}

impl Cloud {
    /// Everything that is past its expiry at `now`, in the order in which it must go.
    pub async fn leftovers(
        &self,
        options: &GcOptions,
        now: Timestamp,
    ) -> Result<Vec<Leftover>, CloudError> {
        let instances = async {
            // Schedules first: an instance is there before its schedule is.
            let schedules = self.schedules_if_allowed().await?;
            let live = self.live().await?;
            Ok::<_, CloudError>((schedules, live))
        };
        let ((schedules, live), images, snapshots, volumes) = tokio::try_join!(
            instances,
            self.expired_images(now),
            self.expired_snapshots(now),
            self.expired_volumes(now),
        )?;
        let mut found: Vec<Leftover> = Vec::new();
        for instance in &live {
            let leftover =
                Leftover::tagged(LeftoverKind::Instance, &instance.id, &instance.tags, now);
            found.extend(leftover.map(|leftover| Leftover {
                handle: Handle::Instance(Box::new(instance.clone())),
                ..leftover
            }));
        }
        found.extend([images, snapshots, volumes].into_iter().flatten());
        if let Some(owner) = &options.owner {
            found.retain(|leftover| leftover.owner.as_ref() == Some(owner));
        } else {
            found.extend(orphaned(schedules, &live, now));
            let ends =
                |instance: &Instance| found.iter().any(|leftover| leftover.id == instance.id);
            let stay: Vec<Instance> = live.into_iter().filter(|one| !ends(one)).collect();
            found.extend(self.expired_objects(options.bucket.as_deref(), &stay, now).await?);
        }
        found.sort_by(|a, b| (a.kind, &a.expired, &a.id).cmp(&(b.kind, &b.expired, &b.id)));
        Ok(found)
    }

    /// Removes one of [`Cloud::leftovers`]. It is no error if it is gone.
    pub async fn collect(&self, leftover: &Leftover) -> Result<(), CloudError> {
        let id = &leftover.id;
        let removed = match (&leftover.handle, leftover.kind) {
            (Handle::Instance(instance), _) => self.terminate(instance).await.map(drop),
            (Handle::Object { bucket }, _) => self.delete_object(bucket, id).await,
            (Handle::Upload { bucket, upload }, _) => self.abort_upload(bucket, id, upload).await,
            (Handle::Id, LeftoverKind::Schedule) => self.delete_schedule(id).await,
            (Handle::Id, LeftoverKind::Image) => {
                let request = self.ec2().deregister_image().image_id(id);
                self.call("ec2:DeregisterImage", request.send()).await.map(drop)
            }
            (Handle::Id, LeftoverKind::Snapshot) => {
                let request = self.ec2().delete_snapshot().snapshot_id(id);
                self.call("ec2:DeleteSnapshot", request.send()).await.map(drop)
            }
            (Handle::Id, _) => {
                let request = self.ec2().delete_volume().volume_id(id);
                self.call("ec2:DeleteVolume", request.send()).await.map(drop)
            }
        };
        match removed {
            Err(CloudError::NotFound { .. }) => Ok(()),
            Err(CloudError::Service { code, .. }) if code.ends_with(".NotFound") => Ok(()),
            other => other,
        }
    }

    /// All live instances of ours, whoever owns them.
    async fn live(&self) -> Result<Vec<Instance>, CloudError> {
        self.list(&crate::instance::InstanceFilter::default()).await
    }

    async fn schedules_if_allowed(&self) -> Result<Vec<(String, Option<Timestamp>)>, CloudError> {
        let effect = "schedules are not looked at";
        let found = self.optional(effect, "scheduler:ListSchedules", self.schedules()).await?;
        Ok(found.unwrap_or_default())
    }

    async fn expired_images(&self, now: Timestamp) -> Result<Vec<Leftover>, CloudError> {
        let tagged = filter("tag-key", tags::EXPIRES);
        let request = self.ec2().describe_images().owners("self").filters(tagged);
        let pages = request.into_paginator().items().send().collect::<Result<Vec<_>, _>>();
        let found = self.call("ec2:DescribeImages", pages).await?;
        let expired = found.iter().filter_map(|image| {
            let tags = tags::of(image.tags());
            Leftover::tagged(LeftoverKind::Image, image.image_id.as_deref()?, &tags, now)
        });
        Ok(expired.collect())
    }

    async fn expired_snapshots(&self, now: Timestamp) -> Result<Vec<Leftover>, CloudError> {
        const CALL: &str = "ec2:DescribeSnapshots";
        let tagged = filter("tag-key", tags::EXPIRES);
        let request = self.ec2().describe_snapshots().owner_ids("self").filters(tagged);
        let pages = request.into_paginator().items().send().collect::<Result<Vec<_>, _>>();
        let effect = "snapshots are not looked at";
        let found = self.optional(effect, CALL, self.call(CALL, pages)).await?.unwrap_or_default();
        let there = found.iter().filter(|found| found.state != Some(SnapshotState::Recoverable));
        let expired = there.filter_map(|snapshot| {
            let tags = tags::of(snapshot.tags());
            Leftover::tagged(LeftoverKind::Snapshot, snapshot.snapshot_id.as_deref()?, &tags, now)
        });
        Ok(expired.collect())
    }

    /// Volumes that are in use go with their instance.
    async fn expired_volumes(&self, now: Timestamp) -> Result<Vec<Leftover>, CloudError> {
        const CALL: &str = "ec2:DescribeVolumes";
        let tagged = filter("tag-key", tags::EXPIRES);
        let request = self.ec2().describe_volumes().filters(tagged);
        let pages = request.into_paginator().items().send().collect::<Result<Vec<_>, _>>();
        let effect = "volumes are not looked at";
        let found = self.optional(effect, CALL, self.call(CALL, pages)).await?.unwrap_or_default();
        let free = found.iter().filter(|volume| volume.state == Some(VolumeState::Available));
        let expired = free.filter_map(|volume| {
            let tags = tags::of(volume.tags());
            Leftover::tagged(LeftoverKind::Volume, volume.volume_id.as_deref()?, &tags, now)
        });
        Ok(expired.collect())
    }
}

/// Schedules of instances that are gone. A young one's instance may not be visible yet.
fn orphaned(
    schedules: Vec<(String, Option<Timestamp>)>,
    live: &[Instance],
    now: Timestamp,
) -> Vec<Leftover> {
    let settled = |made: Option<Timestamp>| {
        made.is_none_or(|made| now.duration_since(made) > long(BECOMES_KNOWN))
    };
    let lives = |id: &str| live.iter().any(|instance| instance.id == id);
    let gone = |name: &str| instance_of(name).is_some_and(|id| !lives(id));
    let orphans = schedules.into_iter().filter(|(name, made)| gone(name) && settled(*made));
    orphans
        .map(|(name, _)| Leftover {
            kind: LeftoverKind::Schedule,
            name: instance_of(&name).map(ToOwned::to_owned),
            id: name,
            owner: None,
            expired: None,
            handle: Handle::Id,
        })
        .collect()
}

fn long(time: Duration) -> SignedDuration {
    SignedDuration::try_from(time).unwrap_or(SignedDuration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn only_what_says_that_it_has_expired() {
        let now = time("2026-11-01T12:00:00Z");
        let tagged = |expires: &str| {
            let tags = [("l4re:name", "hello"), ("l4re:expires", expires)];
            let tags = tags.map(|(k, v)| (k.to_owned(), v.to_owned()));
            Leftover::tagged(LeftoverKind::Volume, "vol-1", &tags, now)
        };
        assert_eq!(tagged("2026-11-01T11:00:00Z").unwrap().name.as_deref(), Some("hello"));
        assert!(tagged("2026-11-01T12:00:00Z").is_some());
        assert!(tagged("2026-11-01T12:00:01Z").is_none());
        assert!(tagged("soon").is_none());
        assert!(Leftover::tagged(LeftoverKind::Volume, "vol-1", &[], now).is_none());
    }

    #[test]
    fn a_schedule_goes_when_its_instance_is_gone_and_could_have_been_seen() {
        let now = time("2026-11-01T12:00:00Z");
        let schedule =
            |made: &str| vec![("l4re-i-0123456789abcdef0".to_owned(), made.parse().ok())];
        assert_eq!(orphaned(schedule("2026-11-01T11:00:00Z"), &[], now).len(), 1);
        assert_eq!(orphaned(schedule("2026-11-01T11:59:50Z"), &[], now).len(), 0);
        assert_eq!(orphaned(vec![("l4re-nightly".to_owned(), None)], &[], now).len(), 0);
    }
}
