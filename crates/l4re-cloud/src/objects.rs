//! The bucket as a whole: which objects have expired, and their removal.
//!
//! Invariant: only keys below `l4re/` are looked at. An object says in its metadata until
//! when it is wanted; what says nothing counts as old as the bucket's own rule has it.

use aws_sdk_s3::types::Object;
use futures::{StreamExt, TryStreamExt, stream};
use jiff::{SignedDuration, Timestamp};

use crate::bucket::{OBJECT_DAYS, UNFINISHED_UPLOAD_DAYS};
use crate::connect::Cloud;
use crate::error::CloudError;
use crate::gc::Leftover;
use crate::instance::Instance;
use crate::store::EXPIRES_METADATA;
use crate::tags;

/// What all our keys begin with.
const PREFIX: &str = "l4re/";

/// Objects that are asked for their metadata at a time.
const PARALLEL: usize = 16;

impl Cloud {
    /// What has expired in the bucket and no live instance boots from. A bucket that does not
    /// exist holds nothing.
    pub(crate) async fn expired_objects(
        &self,
        bucket: Option<&str>,
        live: &[Instance],
        now: Timestamp,
    ) -> Result<Vec<Leftover>, CloudError> {
        let (bucket, owner) = match bucket {
            Some(bucket) => (bucket.to_owned(), None),
            None => (self.default_bucket().await?, Some(self.identity().await?.account)),
        };
        let listed = self.objects(&bucket, owner.as_deref()).await;
        let objects = match listed {
            Err(CloudError::Service { code, .. }) if code == "NoSuchBucket" => return Ok(vec![]),
            listed => listed?,
        };
        let unused = objects.into_iter().filter(|object| {
            object
                .key()
                .is_some_and(|key| !live.iter().any(|instance| uses(instance, &bucket, key)))
        });
        let expired = stream::iter(unused)
            .map(|object| self.expired_object(&bucket, object, now))
            .buffer_unordered(PARALLEL)
            .try_filter_map(|found| std::future::ready(Ok(found)))
            .try_collect::<Vec<_>>();
        let uploads = self.stale_uploads(&bucket, owner.as_deref(), now);
        let (mut found, uploads) = tokio::try_join!(expired, uploads)?;
        found.extend(uploads);
        Ok(found)
    }

    async fn objects(&self, bucket: &str, owner: Option<&str>) -> Result<Vec<Object>, CloudError> {
        let pages = self
            .s3()
            .list_objects_v2()
            .bucket(bucket)
            .prefix(PREFIX)
            .set_expected_bucket_owner(owner.map(ToOwned::to_owned))
            .into_paginator()
            .send()
            .collect::<Result<Vec<_>, _>>();
        let pages = self.call("s3:ListBucket", pages).await?;
        Ok(pages.into_iter().flat_map(|page| page.contents.unwrap_or_default()).collect())
    }

    async fn expired_object(
        &self,
        bucket: &str,
        object: Object,
        now: Timestamp,
    ) -> Result<Option<Leftover>, CloudError> {
        let Some(key) = object.key else { return Ok(None) };
        let request = self.s3().head_object().bucket(bucket).key(&key);
        let head = match request.send().await {
            Ok(head) => head,
            // Gone meanwhile.
            Err(error) if crate::store::status(&error) == Some(404) => return Ok(None),
            Err(error) => {
                let failed = std::future::ready(Err::<(), _>(error));
                return self.call("s3:HeadObject", failed).await.map(|()| None);
            }
        };
        let noted = head.metadata().and_then(|metadata| metadata.get(EXPIRES_METADATA));
        let modified = object.last_modified.and_then(|time| Timestamp::new(time.secs(), 0).ok());
        let expires = noted
            .and_then(|noted| noted.parse().ok())
            .or_else(|| days_after(modified?, OBJECT_DAYS));
        let expired = expires.filter(|expires: &Timestamp| *expires <= now);
        Ok(expired.map(|expired| Leftover::object(bucket, &key, expired)))
    }

    async fn stale_uploads(
        &self,
        bucket: &str,
        owner: Option<&str>,
        now: Timestamp,
    ) -> Result<Vec<Leftover>, CloudError> {
        const CALL: &str = "s3:ListBucketMultipartUploads";
        let request = self
            .s3()
            .list_multipart_uploads()
            .bucket(bucket)
            .prefix(PREFIX)
            .set_expected_bucket_owner(owner.map(ToOwned::to_owned));
        let effect = "unfinished uploads are left to the bucket's rule";
        let answer = self.optional(effect, CALL, self.call(CALL, request.send())).await?;
        let uploads = answer.and_then(|answer| answer.uploads).unwrap_or_default();
        let stale = uploads.into_iter().filter_map(|upload| {
            let begun = upload.initiated.and_then(|time| Timestamp::new(time.secs(), 0).ok())?;
            let over = days_after(begun, UNFINISHED_UPLOAD_DAYS).is_some_and(|over| over <= now);
            over.then(|| Some(Leftover::upload(bucket, &upload.key?, &upload.upload_id?)))?
        });
        Ok(stale.collect())
    }

    pub(crate) async fn delete_object(&self, bucket: &str, key: &str) -> Result<(), CloudError> {
        let request = self.s3().delete_object().bucket(bucket).key(key);
        self.call("s3:DeleteObject", request.send()).await.map(drop)
    }

    pub(crate) async fn abort_upload(
        &self,
        bucket: &str,
        key: &str,
        upload: &str,
    ) -> Result<(), CloudError> {
        let request = self.s3().abort_multipart_upload().bucket(bucket).key(key).upload_id(upload);
        match self.call("s3:AbortMultipartUpload", request.send()).await {
            Err(CloudError::Service { code, .. }) if code == "NoSuchUpload" => Ok(()),
            other => other.map(drop),
        }
    }
}

/// Whether an instance boots from the object: its image, or the script that it waits for.
fn uses(instance: &Instance, bucket: &str, key: &str) -> bool {
    let sum = key.strip_prefix(PREFIX).and_then(|rest| rest.split('/').next());
    let images = [instance.image.as_deref(), instance.next_image()];
    let boots = images.into_iter().flatten().any(|image| sum == Some(image));
    let next = tags::value(&instance.tags, tags::NEXT);
    boots || next.and_then(|next| next.split_once('/')) == Some((bucket, key))
}

fn days_after(time: Timestamp, days: i32) -> Option<Timestamp> {
    time.checked_add(SignedDuration::from_hours(24 * i64::from(days))).ok()
}
