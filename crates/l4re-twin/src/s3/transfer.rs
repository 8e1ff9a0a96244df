//! The calls that carry an object's bytes here, whole or in parts.
//!
//! Invariant: bytes are received beside their place and get there only when every sum that
//! the client claimed was found true.

use futures::StreamExt as _;
use s3s::dto::*;
use s3s::{S3Error, S3Request, S3Response, S3Result, s3_error};
use tokio::io::AsyncWriteExt as _;

use crate::s3::objects::{Condition, Object};
use crate::s3::refusals::refuse_unkept;
use crate::s3::service::{Store, sealed};
use crate::s3::uploads::{Part as StoredPart, Upload};
use crate::s3::{Checks, Objects, Summed, Sums, Uploads};

/// How much is read from or written to disk at once.
pub(super) const BLOCK: usize = 256 * 1024;

/// What the request for a new object says of it. The inputs have the same members, and no
/// trait in common.
macro_rules! header_of {
    ($input:ident) => {
        $crate::s3::Header {
            content_type: $input.content_type,
            content_encoding: $input.content_encoding,
            content_disposition: $input.content_disposition,
            content_language: $input.content_language,
            cache_control: $input.cache_control,
            expires: $input.expires.as_ref().and_then($crate::s3::transfer::http_date),
            metadata: $input.metadata.unwrap_or_default().into_iter().collect(),
        }
    };
}
pub(super) use header_of;

impl Store {
    /// Writes a request's body to a file; its size, MD5 and sums once they are known right.
    async fn receive(
        &self,
        path: &camino::Utf8Path,
        mut body: StreamingBlob,
        mut claimed: Sums,
        algorithm: Option<&str>,
        content_md5: Option<&str>,
        trailers: Option<s3s::TrailingHeaders>,
    ) -> S3Result<(u64, String, Sums)> {
        let mut checks = Checks::new(&claimed, algorithm);
        let file = tokio::fs::File::create(path).await.map_err(S3Error::internal_error)?;
        let mut file = tokio::io::BufWriter::with_capacity(BLOCK, file);
        let mut size = 0;
        while let Some(chunk) = body.next().await {
            let chunk = chunk.map_err(|error| {
                s3_error!(IncompleteBody, "the request's body broke off: {error}")
            })?;
            checks.update(&chunk);
            size += chunk.len() as u64;
            file.write_all(&chunk).await.map_err(S3Error::internal_error)?;
        }
        file.flush().await.map_err(S3Error::internal_error)?;
        if let Some(trailers) = trailers.and_then(|trailers| trailers.take()) {
            claimed.read_trailers(&trailers);
        }
        let (md5, sums) = checks.finish(&claimed, content_md5)?;
        Ok((size, md5, sums))
    }

    /// S3's `PutObject`.
    pub(super) async fn put(
        &self,
        req: S3Request<PutObjectInput>,
    ) -> S3Result<S3Response<PutObjectOutput>> {
        refuse_unkept(&req.headers)?;
        let input = req.input;
        self.check_bucket(&input.bucket)?;
        let condition = condition(input.if_match.as_ref(), input.if_none_match.as_ref())?;
        if condition == Condition::Absent && self.objects.object(&input.bucket, &input.key).is_ok()
        {
            // Said before the body is read, so that an unchanged image costs one request.
            return Err(s3_error!(PreconditionFailed));
        }
        let data = Objects::new_data();
        let path = self.objects.data(&input.bucket, &data);
        let mut unfinished = Unfinished(Some(path.clone()));
        let claimed = Sums {
            crc32: input.checksum_crc32,
            crc32c: input.checksum_crc32c,
            crc64nvme: input.checksum_crc64nvme,
            sha1: input.checksum_sha1,
            sha256: input.checksum_sha256,
        };
        let algorithm = input.checksum_algorithm.as_ref().map(ChecksumAlgorithm::as_str);
        let body = input.body.ok_or_else(|| s3_error!(IncompleteBody))?;
        let md5 = input.content_md5.as_deref();
        let (size, e_tag, sums) =
            self.receive(&path, body, claimed, algorithm, md5, req.trailing_headers).await?;
        let object = Object {
            key: input.key,
            size,
            e_tag: e_tag.clone(),
            sums: sums.clone(),
            modified: std::time::SystemTime::now(),
            header: header_of!(input),
            data,
        };
        self.objects.commit(&input.bucket, &object, &condition)?;
        unfinished.done();
        Ok(S3Response::new(PutObjectOutput {
            e_tag: Some(ETag::Strong(e_tag)),
            server_side_encryption: sealed(),
            ..Summed::with(sums)
        }))
    }

    /// S3's `UploadPart`.
    pub(super) async fn put_part(
        &self,
        req: S3Request<UploadPartInput>,
    ) -> S3Result<S3Response<UploadPartOutput>> {
        let input = req.input;
        let uploads = Uploads(&self.objects);
        uploads.find(&input.upload_id, &input.bucket, &input.key)?;
        let incoming = uploads.incoming(&input.upload_id, input.part_number)?;
        let mut unfinished = Unfinished(Some(incoming.clone()));
        let claimed = Sums {
            crc32: input.checksum_crc32,
            crc32c: input.checksum_crc32c,
            crc64nvme: input.checksum_crc64nvme,
            sha1: input.checksum_sha1,
            sha256: input.checksum_sha256,
        };
        let algorithm = input.checksum_algorithm.as_ref().map(ChecksumAlgorithm::as_str);
        let body = input.body.ok_or_else(|| s3_error!(IncompleteBody))?;
        let md5 = input.content_md5.as_deref();
        let (size, e_tag, sums) =
            self.receive(&incoming, body, claimed, algorithm, md5, req.trailing_headers).await?;
        let part = StoredPart {
            number: input.part_number,
            size,
            e_tag: e_tag.clone(),
            sums: sums.clone(),
        };
        uploads.add(&input.upload_id, &part, &incoming)?;
        unfinished.done();
        Ok(S3Response::new(UploadPartOutput {
            e_tag: Some(ETag::Strong(e_tag)),
            server_side_encryption: sealed(),
            ..Summed::with(sums)
        }))
    }

    /// S3's `CompleteMultipartUpload`.
    pub(super) async fn complete_upload(
        &self,
        req: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        let input = req.input;
        let condition = condition(input.if_match.as_ref(), input.if_none_match.as_ref())?;
        let upload = Uploads(&self.objects).find(&input.upload_id, &input.bucket, &input.key)?;
        let wanted = input.multipart_upload.and_then(|upload| upload.parts).unwrap_or_default();
        let (objects, id) = (self.objects.clone(), input.upload_id);
        let object = tokio::task::spawn_blocking(move || -> S3Result<Object> {
            let uploads = Uploads(&objects);
            let object = uploads.assemble(&id, &upload, &wanted)?;
            objects.commit(&upload.bucket, &object, &condition)?;
            uploads.remove(&id)?;
            Ok(object)
        })
        .await
        .map_err(S3Error::internal_error)??;
        Ok(S3Response::new(CompleteMultipartUploadOutput {
            location: Some(format!("/{}/{}", input.bucket, object.key)),
            bucket: Some(input.bucket),
            key: Some(object.key),
            e_tag: Some(ETag::Strong(object.e_tag)),
            server_side_encryption: sealed(),
            ..Summed::with(object.sums)
        }))
    }

    /// S3's `CreateMultipartUpload`.
    pub(super) fn create_upload(
        &self,
        req: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        refuse_unkept(&req.headers)?;
        let input = req.input;
        let whole = input.checksum_type.as_ref().is_some_and(|kind| kind.as_str() == "FULL_OBJECT");
        let upload = Upload {
            bucket: input.bucket.clone(),
            key: input.key.clone(),
            header: header_of!(input),
            whole_sum: input
                .checksum_algorithm
                .as_ref()
                .filter(|_| whole)
                .map(|algorithm| algorithm.as_str().to_owned()),
        };
        let id = Uploads(&self.objects).create(&upload)?;
        Ok(S3Response::new(CreateMultipartUploadOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            upload_id: Some(id),
            checksum_algorithm: input.checksum_algorithm,
            checksum_type: input.checksum_type,
            server_side_encryption: sealed(),
            ..Default::default()
        }))
    }
}

/// Removes a file that was not finished.
pub(super) struct Unfinished(pub(super) Option<camino::Utf8PathBuf>);

impl Unfinished {
    pub(super) fn done(&mut self) {
        self.0 = None;
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            let _ = std::fs::remove_file(path);
        }
    }
}

pub(super) fn condition(
    if_match: Option<&ETagCondition>,
    if_none_match: Option<&ETagCondition>,
) -> S3Result<Condition> {
    Ok(match (if_match, if_none_match) {
        (None, None) => Condition::None,
        (None, Some(ETagCondition::Any)) => Condition::Absent,
        (Some(ETagCondition::Any), None) => Condition::Present,
        (Some(ETagCondition::ETag(e_tag)), None) => Condition::ETag(e_tag.value().to_owned()),
        _ => {
            return Err(s3_error!(
                NotImplemented,
                "A header you provided implies functionality that is not implemented"
            ));
        }
    })
}

/// A length as S3 writes it.
pub(super) fn signed(length: u64) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}

/// A header's time as records keep it.
pub(super) fn http_date(stamp: &Timestamp) -> Option<String> {
    let mut text = Vec::new();
    stamp.format(TimestampFormat::HttpDate, &mut text).ok()?;
    String::from_utf8(text).ok()
}
