//! Large images: parts in parallel, read once and in order so that the sum of the whole is
//! known, with the sum of each part checked by the store.
//!
//! Invariant: at most `PARALLEL` parts are in memory; an upload that fails is aborted.

use std::fs::File;
use std::io::Read;

use aws_sdk_s3::operation::abort_multipart_upload::builders::AbortMultipartUploadFluentBuilder;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart};
use bytes::Bytes;
use futures::{TryStreamExt, stream};
use l4re_image::Image;
use sha2::{Digest, Sha256};

use crate::connect::Cloud;
use crate::error::CloudError;
use crate::progress::{Progress, assembling, unlimited};
use crate::store::{EXPIRES_METADATA, SUM_METADATA, Target, Written, base64_of_hex, status};
use crate::unfinished::{CLEANING, Unfinished};

/// One PutObject is quicker below.
pub(crate) const MULTIPART_FROM: u64 = 16 << 20;

const SMALLEST_PART: u64 = 8 << 20;
/// S3 takes 10,000.
const MOST_PARTS: u64 = 5_000;
const PARALLEL: usize = 8;

/// The whole file, if it is still the image.
pub(crate) async fn read_whole(image: &Image) -> Result<Bytes, CloudError> {
    let path = image.path.clone();
    let read = move || std::fs::read(&path).map(|bytes| (sum(&bytes), bytes));
    let read =
        tokio::task::spawn_blocking(read).await.unwrap_or_else(|e| Err(std::io::Error::other(e)));
    let (sum, bytes) =
        read.map_err(|source| CloudError::File { path: image.path.clone(), source })?;
    if sum != image.sha256 {
        return Err(CloudError::FileChanged { path: image.path.clone() });
    }
    Ok(Bytes::from(bytes))
}

/// SHA-256 in lower-case hexadecimal.
pub(crate) fn sum(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// Bytes of a part.
fn part_size(size: u64) -> u64 {
    size.div_ceil(MOST_PARTS).max(SMALLEST_PART)
}

/// The number of parts that an object of `size` bytes is sent in.
pub(crate) fn parts(size: u64) -> u32 {
    if size < MULTIPART_FROM {
        return 1;
    }
    u32::try_from(size.div_ceil(part_size(size))).unwrap_or(u32::MAX)
}

/// A piece of the file.
struct Piece {
    number: i32,
    bytes: Bytes,
    sum: String,
}

/// The file, read in order.
struct Reader {
    file: File,
    image: Image,
    whole: Sha256,
    rest: u64,
    number: i32,
}

impl Reader {
    fn open(image: &Image) -> Result<Self, CloudError> {
        let file = File::open(&image.path)
            .map_err(|source| CloudError::File { path: image.path.clone(), source })?;
        let (image, rest) = (image.clone(), image.size);
        Ok(Self { file, image, whole: Sha256::new(), rest, number: 0 })
    }

    /// The next piece; after the last one, whether the whole is still the image.
    fn next(&mut self) -> Result<Option<Piece>, CloudError> {
        let path = || self.image.path.clone();
        if self.rest == 0 {
            let whole = hex::encode(self.whole.clone().finalize());
            let same = whole == self.image.sha256;
            return if same { Ok(None) } else { Err(CloudError::FileChanged { path: path() }) };
        }
        let size = part_size(self.image.size).min(self.rest);
        let mut bytes = vec![0; usize::try_from(size).unwrap_or(usize::MAX)];
        self.file
            .read_exact(&mut bytes)
            .map_err(|source| CloudError::File { path: path(), source })?;
        self.rest -= size;
        self.number += 1;
        self.whole.update(&bytes);
        Ok(Some(Piece { number: self.number, sum: sum(&bytes), bytes: Bytes::from(bytes) }))
    }

    /// The same on a thread that may wait and reckon.
    async fn step(mut self) -> Result<Option<(Piece, Self)>, CloudError> {
        let path = self.image.path.clone();
        let step = move || Ok(self.next()?.map(|piece| (piece, self)));
        let lost = |error| CloudError::File { path, source: std::io::Error::other(error) };
        tokio::task::spawn_blocking(step).await.map_err(lost)?
    }
}

impl Cloud {
    pub(crate) async fn send_parts(
        &self,
        target: &Target,
        image: &Image,
        conditional: bool,
        progress: &Progress,
    ) -> Result<Written, CloudError> {
        let reader = Reader::open(image)?;
        let upload = self.create_upload(target, image).await?;
        let guard = AbortOnDrop::new(self, target, &upload);
        let written = self.fill_upload(target, conditional, progress, &upload, reader).await;
        match &written {
            Ok(Written::Done) => guard.disarm(),
            _ => guard.abort().await,
        }
        written
    }

    async fn create_upload(&self, target: &Target, image: &Image) -> Result<String, CloudError> {
        const CALL: &str = "s3:CreateMultipartUpload";
        let request = self
            .s3()
            .create_multipart_upload()
            .bucket(&target.bucket)
            .key(&target.key)
            .set_expected_bucket_owner(target.owner.clone())
            .content_type("application/octet-stream")
            .checksum_algorithm(ChecksumAlgorithm::Sha256)
            .metadata(SUM_METADATA, &image.sha256)
            .metadata(EXPIRES_METADATA, target.expires.to_string());
        let answer = self
            .call(CALL, request.send())
            .await
            .map_err(|error| self.about_bucket(error, target))?;
        let lacks = || CloudError::BadAnswer { call: CALL, cause: "no upload id".to_owned() };
        answer.upload_id.ok_or_else(lacks)
    }

    async fn fill_upload(
        &self,
        target: &Target,
        conditional: bool,
        progress: &Progress,
        upload: &str,
        reader: Reader,
    ) -> Result<Written, CloudError> {
        let mut done: Vec<CompletedPart> = stream::try_unfold(reader, Reader::step)
            .map_ok(|piece| self.send_part(target, upload, piece, progress))
            .try_buffer_unordered(PARALLEL)
            .try_collect()
            .await?;
        done.sort_by_key(CompletedPart::part_number);
        self.complete_upload(target, upload, done, conditional).await
    }

    async fn send_part(
        &self,
        target: &Target,
        upload: &str,
        piece: Piece,
        progress: &Progress,
    ) -> Result<CompletedPart, CloudError> {
        let sum = base64_of_hex(&piece.sum);
        let request = || {
            self.s3()
                .upload_part()
                .bucket(&target.bucket)
                .key(&target.key)
                .set_expected_bucket_owner(target.owner.clone())
                .upload_id(upload)
                .part_number(piece.number)
                .content_length(i64::try_from(piece.bytes.len()).unwrap_or(i64::MAX))
                .checksum_sha256(&sum)
        };
        let limits = unlimited(self.timeouts().connect);
        let send = |body: ByteStream| {
            let limits = aws_sdk_s3::config::Builder::new().timeout_config(limits.clone());
            request().body(body).customize().config_override(limits).send()
        };
        let what = format!("part {} of {}", piece.number, target.key);
        let answer = progress.carry(&what, &piece.bytes, self.timeouts().stall, send).await?;
        let answer = self
            .call("s3:UploadPart", std::future::ready(answer))
            .await
            .map_err(|error| self.about_bucket(error, target))?;
        Ok(CompletedPart::builder()
            .part_number(piece.number)
            .set_e_tag(answer.e_tag)
            .checksum_sha256(sum)
            .build())
    }

    async fn complete_upload(
        &self,
        target: &Target,
        upload: &str,
        parts: Vec<CompletedPart>,
        conditional: bool,
    ) -> Result<Written, CloudError> {
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        let limits = assembling(self.timeouts().connect);
        let answer = self
            .s3()
            .complete_multipart_upload()
            .bucket(&target.bucket)
            .key(&target.key)
            .set_expected_bucket_owner(target.owner.clone())
            .set_if_none_match(conditional.then(|| "*".to_owned()))
            .upload_id(upload)
            .multipart_upload(parts)
            .customize()
            .config_override(aws_sdk_s3::config::Builder::new().timeout_config(limits))
            .send()
            .await;
        if answer.as_ref().err().and_then(status) == Some(412) {
            return Ok(Written::AlreadyThere);
        }
        self.call("s3:CompleteMultipartUpload", std::future::ready(answer))
            .await
            .map_err(|error| self.about_bucket(error, target))?;
        Ok(Written::Done)
    }
}

/// Aborts the upload also when the future that sends it is dropped, as by a Ctrl-C.
struct AbortOnDrop {
    abort: Option<AbortMultipartUploadFluentBuilder>,
    unfinished: Unfinished,
}

impl AbortOnDrop {
    fn new(cloud: &Cloud, target: &Target, upload: &str) -> Self {
        let request = cloud
            .s3()
            .abort_multipart_upload()
            .bucket(&target.bucket)
            .key(&target.key)
            .set_expected_bucket_owner(target.owner.clone())
            .upload_id(upload);
        Self { abort: Some(request), unfinished: cloud.unfinished().clone() }
    }

    fn disarm(mut self) {
        self.abort = None;
    }

    async fn abort(mut self) {
        if let Some(request) = self.abort.take() {
            abort(request).await;
        }
    }
}

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        if let Some(request) = self.abort.take() {
            self.unfinished.spawn(abort(request));
        }
    }
}

/// An abort that fails leaves parts that `gc` and the bucket's life-cycle rule remove.
async fn abort(request: AbortMultipartUploadFluentBuilder) {
    match tokio::time::timeout(CLEANING, request.send()).await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => tracing::warn!(%error, "multipart upload not aborted"),
        Err(_) => tracing::warn!("multipart upload not aborted in time"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_of_parts() {
        assert_eq!(parts(0), 1);
        assert_eq!(parts(MULTIPART_FROM - 1), 1);
        assert_eq!(parts(MULTIPART_FROM), 2);
        assert_eq!(parts(MULTIPART_FROM + 1), 3);
        let huge = 5 << 40;
        assert!(parts(huge) <= 10_000 && part_size(huge) >= SMALLEST_PART);
    }
}
