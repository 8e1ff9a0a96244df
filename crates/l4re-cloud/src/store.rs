//! One object in the store: is it there, and if not, send it.
//!
//! Invariants: an object is sent with its SHA-256, which the store checks; a multipart
//! upload that fails is aborted; nothing stands still for longer than the stall limit twice.

use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumMode, MetadataDirective};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use jiff::Timestamp;
use l4re_image::Image;

use crate::connect::Cloud;
use crate::error::CloudError;
use crate::event::Event;
use crate::multipart::{self, MULTIPART_FROM};
use crate::progress::{Progress, told, unlimited};

/// The object's own metadata, since a multipart upload has no SHA-256 of the whole.
pub(crate) const SUM_METADATA: &str = "l4re-sha256";

/// Until when the object is wanted, for `gc`.
pub(crate) const EXPIRES_METADATA: &str = "l4re-expires";

/// S3 answers 409 while another conditional write of the same key is under way.
const CONFLICT_ATTEMPTS: u32 = 5;

/// Where an object goes.
pub(crate) struct Target {
    pub(crate) bucket: String,
    pub(crate) key: String,
    /// The account that must own the bucket.
    pub(crate) owner: Option<String>,
    /// Until when the object is wanted.
    pub(crate) expires: Timestamp,
}

/// What lies under a key.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Stored {
    /// Nothing that we can see.
    Absent,
    /// The image.
    Same,
    /// The image, which nobody wants any longer: `gc` may take it at any time.
    Expired,
    /// Something else: a half-made or foreign object.
    Other,
}

/// How a conditional write ended.
pub(crate) enum Written {
    Done,
    /// Somebody else has written the same key meanwhile.
    AlreadyThere,
}

impl Cloud {
    /// What lies under the image's key.
    pub(crate) async fn stored(
        &self,
        target: &Target,
        image: &Image,
    ) -> Result<Stored, CloudError> {
        let ask = self
            .s3()
            .head_object()
            .bucket(&target.bucket)
            .key(&target.key)
            .checksum_mode(ChecksumMode::Enabled)
            .set_expected_bucket_owner(target.owner.clone())
            .send();
        let answer = told(self, &target.key, ask).await;
        let error = match answer {
            Ok(head) => return Ok(compare(&head, image, Timestamp::now())),
            Err(error) => error,
        };
        if let Some(actual) = elsewhere(&error, self.region()) {
            return Err(self.bucket_elsewhere(target, Some(actual)));
        }
        match error.raw_response().map(|raw| raw.status().as_u16()) {
            // Without the right to list, an object that is not there is forbidden.
            Some(404 | 403) => Ok(Stored::Absent),
            _ => self.call("s3:HeadObject", std::future::ready(Err(error))).await,
        }
    }

    /// Sends the image. `true` if somebody else had done so meanwhile.
    pub(crate) async fn send(
        &self,
        target: &Target,
        image: &Image,
        conditional: bool,
    ) -> Result<bool, CloudError> {
        let progress = Progress::new(image.size);
        let parts = multipart::parts(image.size);
        self.tell(Event::UploadStarted {
            bucket: target.bucket.clone(),
            key: target.key.clone(),
            size: image.size,
            parts,
        });
        let written = tokio::select! {
            written = self.send_bytes(target, image, conditional, &progress) => written?,
            never = progress.tell(self) => match never {},
        };
        match written {
            Written::AlreadyThere => Ok(true),
            Written::Done => {
                self.tell(Event::Uploaded {
                    key: target.key.clone(),
                    size: image.size,
                    elapsed: progress.elapsed(),
                });
                Ok(false)
            }
        }
    }

    async fn send_bytes(
        &self,
        target: &Target,
        image: &Image,
        conditional: bool,
        progress: &Progress,
    ) -> Result<Written, CloudError> {
        if image.size >= MULTIPART_FROM {
            return self.send_parts(target, image, conditional, progress).await;
        }
        let bytes = multipart::read_whole(image).await?;
        self.put(target, image, bytes, conditional, progress).await
    }

    async fn put(
        &self,
        target: &Target,
        image: &Image,
        bytes: Bytes,
        conditional: bool,
        progress: &Progress,
    ) -> Result<Written, CloudError> {
        const CALL: &str = "s3:PutObject";
        let request = || {
            self.s3()
                .put_object()
                .bucket(&target.bucket)
                .key(&target.key)
                .set_expected_bucket_owner(target.owner.clone())
                .set_if_none_match(conditional.then(|| "*".to_owned()))
                .content_type("application/octet-stream")
                .content_length(image.size.cast_signed())
                .checksum_sha256(base64_of_hex(&image.sha256))
                .metadata(SUM_METADATA, &image.sha256)
                .metadata(EXPIRES_METADATA, target.expires.to_string())
        };
        let limits = unlimited(self.timeouts().connect);
        let send = |body: ByteStream| {
            let limits = aws_sdk_s3::config::Builder::new().timeout_config(limits.clone());
            request().body(body).customize().config_override(limits).send()
        };
        let mut conflicts = 0;
        loop {
            let answer = progress.carry(&target.key, &bytes, self.timeouts().stall, send).await?;
            let status = answer.as_ref().err().and_then(status);
            match status {
                Some(412) => return Ok(Written::AlreadyThere),
                Some(409) if conflicts < CONFLICT_ATTEMPTS => conflicts += 1,
                _ => {
                    self.call(CALL, std::future::ready(answer))
                        .await
                        .map_err(|error| self.about_bucket(error, target))?;
                    return Ok(Written::Done);
                }
            }
        }
    }

    /// Has the store copy the object onto itself with a new expiry: nothing is sent.
    pub(crate) async fn renew(&self, target: &Target, image: &Image) -> Result<(), CloudError> {
        let request = self
            .s3()
            .copy_object()
            .bucket(&target.bucket)
            .key(&target.key)
            .copy_source(format!("{}/{}", target.bucket, target.key))
            .set_expected_bucket_owner(target.owner.clone())
            .metadata_directive(MetadataDirective::Replace)
            .content_type("application/octet-stream")
            .metadata(SUM_METADATA, &image.sha256)
            .metadata(EXPIRES_METADATA, target.expires.to_string());
        self.call("s3:CopyObject", request.send()).await.map(drop)
    }

    /// Names the bucket in the errors that are about it.
    pub(crate) fn about_bucket(&self, error: CloudError, target: &Target) -> CloudError {
        let CloudError::Service { code, message, .. } = &error else { return error };
        match code.as_str() {
            "NoSuchBucket" => CloudError::NoSuchBucket {
                bucket: target.bucket.clone(),
                region: self.region().to_owned(),
            },
            "PermanentRedirect" | "TemporaryRedirect" | "IllegalLocationConstraintException" => {
                self.bucket_elsewhere(target, None)
            }
            "AuthorizationHeaderMalformed" => {
                // "… the region 'us-east-1' is wrong; expecting 'eu-west-1'"
                let actual = message.split("expecting '").nth(1).and_then(|m| m.split('\'').next());
                self.bucket_elsewhere(target, actual.map(ToOwned::to_owned))
            }
            "BadDigest" | "XAmzContentSHA256Mismatch" | "InvalidDigest" => CloudError::Checksum {
                key: target.key.clone(),
                expected: target.key.split('/').nth(1).unwrap_or_default().to_owned(),
                found: message.clone(),
            },
            _ => error,
        }
    }

    fn bucket_elsewhere(&self, target: &Target, actual: Option<String>) -> CloudError {
        CloudError::BucketElsewhere {
            bucket: target.bucket.clone(),
            region: self.region().to_owned(),
            actual,
        }
    }
}

/// The object is the image if its size and what is known of its sum agree.
fn compare(head: &HeadObjectOutput, image: &Image, now: Timestamp) -> Stored {
    let size = head.content_length().is_none_or(|size| size.cast_unsigned() == image.size);
    let noted = head.metadata().and_then(|metadata| metadata.get(SUM_METADATA));
    // The checksum of an object in parts is no sum of the whole. Such a checksum ends in
    // `-<parts>`, or at least the entity tag does.
    let in_parts = |text: &str| text.contains('-');
    let summed =
        head.checksum_sha256().filter(|sum| !in_parts(sum) && !head.e_tag().is_some_and(in_parts));
    let sum = match (summed, noted) {
        (Some(sum), _) => *sum == base64_of_hex(&image.sha256),
        (None, Some(noted)) => *noted == image.sha256,
        (None, None) => true,
    };
    let expires = head.metadata().and_then(|metadata| metadata.get(EXPIRES_METADATA));
    let expires: Option<Timestamp> = expires.and_then(|time| time.parse().ok());
    match size && sum {
        true if expires.is_some_and(|expires| expires <= now) => Stored::Expired,
        true => Stored::Same,
        false => Stored::Other,
    }
}

/// The region that S3 says the bucket is in, if it is another one.
fn elsewhere<E>(error: &SdkError<E, HttpResponse>, region: &str) -> Option<String> {
    let raw = error.raw_response()?;
    let actual = raw.headers().get("x-amz-bucket-region")?;
    let refused = matches!(raw.status().as_u16(), 301 | 307 | 400);
    (refused && actual != region).then(|| actual.to_owned())
}

pub(crate) fn status<E>(error: &SdkError<E, HttpResponse>) -> Option<u16> {
    error.raw_response().map(|raw| raw.status().as_u16())
}

/// S3 writes sums in base64.
pub(crate) fn base64_of_hex(sum: &str) -> String {
    STANDARD.encode(hex::decode(sum).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use l4re_image::{Arch, Kind};

    fn image() -> Image {
        Image {
            path: "x".into(),
            arch: Arch::X86_64,
            kind: Kind::Elf,
            size: 5,
            sha256: "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824".into(),
        }
    }

    #[test]
    fn base64_of_a_sum() {
        assert_eq!(base64_of_hex(&image().sha256), "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=");
    }

    #[test]
    fn an_object_of_another_size_or_sum_is_another() {
        let now: Timestamp = "2026-11-01T12:00:00Z".parse().unwrap();
        let compare = |head: &HeadObjectOutput, image: &Image| super::compare(head, image, now);
        let head = HeadObjectOutput::builder().content_length(5);
        let until = |time| head.clone().metadata(EXPIRES_METADATA, time).build();
        assert_eq!(compare(&until("2026-11-01T12:00:01Z"), &image()), Stored::Same);
        assert_eq!(compare(&until("2026-11-01T12:00:00Z"), &image()), Stored::Expired);
        assert_eq!(compare(&until("nonsense"), &image()), Stored::Same);
        assert_eq!(compare(&head.clone().build(), &image()), Stored::Same);
        assert_eq!(compare(&head.clone().content_length(4).build(), &image()), Stored::Other);
        let sum = base64_of_hex(&image().sha256);
        assert_eq!(compare(&head.clone().checksum_sha256(sum).build(), &image()), Stored::Same);
        assert_eq!(compare(&head.clone().checksum_sha256("AA==").build(), &image()), Stored::Other);
        let parts = head.clone().checksum_sha256("AA==-3").metadata(SUM_METADATA, "wrong");
        assert_eq!(compare(&parts.build(), &image()), Stored::Other);
        let right = head.checksum_sha256("AA==").e_tag("\"66f6-2\"");
        let right = right.metadata(SUM_METADATA, &image().sha256);
        assert_eq!(compare(&right.build(), &image()), Stored::Same);
    }
}
