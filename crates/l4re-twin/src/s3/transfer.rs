//! The calls that carry an object's bytes, up and down, whole or in parts.
//!
//! Invariant: bytes are received beside their place and get there only when every sum that
//! the client claimed was found true.

use futures::StreamExt as _;
use s3s::dto::*;
use s3s::{S3Error, S3Request, S3Response, S3Result, s3_error};
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _, AsyncWriteExt as _};

use crate::s3::objects::{Condition, Object};
use crate::s3::service::Store;
use crate::s3::uploads::{Part as StoredPart, Upload};
use crate::s3::{Checks, Header, Objects, Sums, Uploads};

/// How much is read from or written to disk at once.
const BLOCK: usize = 256 * 1024;

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
        let input = req.input;
        self.check_bucket(&input.bucket)?;
        let condition = condition(input.if_match.as_ref(), input.if_none_match.as_ref())?;
        if condition == Condition::Absent && self.objects.object(&input.bucket, &input.key).is_ok()
        {
            // Said before the body is read, so that an unchanged image costs one request.
            return Err(s3_error!(
                PreconditionFailed,
                "At least one of the pre-conditions you specified did not hold"
            ));
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
            header: Header {
                content_type: input.content_type,
                content_encoding: input.content_encoding,
                content_disposition: input.content_disposition,
                content_language: input.content_language,
                cache_control: input.cache_control,
                metadata: input.metadata.unwrap_or_default().into_iter().collect(),
            },
            data,
        };
        self.objects.commit(&input.bucket, &object, &condition)?;
        unfinished.done();
        Ok(S3Response::new(PutObjectOutput {
            e_tag: Some(ETag::Strong(e_tag)),
            checksum_crc32: sums.crc32,
            checksum_crc32c: sums.crc32c,
            checksum_crc64nvme: sums.crc64nvme,
            checksum_sha1: sums.sha1,
            checksum_sha256: sums.sha256,
            ..Default::default()
        }))
    }

    /// S3's `GetObject`.
    pub(super) async fn get(
        &self,
        req: S3Request<GetObjectInput>,
    ) -> S3Result<S3Response<GetObjectOutput>> {
        let input = req.input;
        let (object, start, head) = self.look(HeadObjectInput {
            bucket: input.bucket.clone(),
            key: input.key,
            if_match: input.if_match,
            if_none_match: input.if_none_match,
            range: input.range,
            checksum_mode: input.checksum_mode,
            ..Default::default()
        })?;
        let path = self.objects.data(&input.bucket, &object.data);
        let mut file = tokio::fs::File::open(path).await.map_err(S3Error::internal_error)?;
        file.seek(std::io::SeekFrom::Start(start)).await.map_err(S3Error::internal_error)?;
        let length = head.content_length.and_then(|length| length.try_into().ok()).unwrap_or(0);
        Ok(S3Response::new(GetObjectOutput {
            body: Some(StreamingBlob::wrap(blocks(file, length))),
            accept_ranges: head.accept_ranges,
            content_length: head.content_length,
            content_range: head.content_range,
            last_modified: head.last_modified,
            e_tag: head.e_tag,
            metadata: head.metadata,
            content_type: head.content_type,
            content_encoding: head.content_encoding,
            content_disposition: head.content_disposition,
            content_language: head.content_language,
            cache_control: head.cache_control,
            checksum_crc32: head.checksum_crc32,
            checksum_crc32c: head.checksum_crc32c,
            checksum_crc64nvme: head.checksum_crc64nvme,
            checksum_sha1: head.checksum_sha1,
            checksum_sha256: head.checksum_sha256,
            ..Default::default()
        }))
    }

    /// S3's `HeadObject`.
    pub(super) async fn head(
        &self,
        req: S3Request<HeadObjectInput>,
    ) -> S3Result<S3Response<HeadObjectOutput>> {
        self.look(req.input).map(|(_, _, head)| S3Response::new(head))
    }

    /// An object, where what is asked for begins in it, and what its headers say of that.
    fn look(&self, input: HeadObjectInput) -> S3Result<(Object, u64, HeadObjectOutput)> {
        let object = self.objects.object(&input.bucket, &input.key)?;
        check_read(&object, input.if_match.as_ref(), input.if_none_match.as_ref())?;
        let (start, length, content_range) = range_of(&object, input.range)?;
        let sums = sums_for(&object, input.checksum_mode.as_ref(), content_range.is_none());
        let header = object.header.clone();
        let head = HeadObjectOutput {
            accept_ranges: Some("bytes".to_owned()),
            content_length: Some(signed(length)),
            content_range,
            last_modified: Some(Timestamp::from(object.modified)),
            e_tag: Some(ETag::Strong(object.e_tag.clone())),
            metadata: Some(header.metadata.into_iter().collect()),
            content_type: header.content_type,
            content_encoding: header.content_encoding,
            content_disposition: header.content_disposition,
            content_language: header.content_language,
            cache_control: header.cache_control,
            checksum_crc32: sums.crc32,
            checksum_crc32c: sums.crc32c,
            checksum_crc64nvme: sums.crc64nvme,
            checksum_sha1: sums.sha1,
            checksum_sha256: sums.sha256,
            ..Default::default()
        };
        Ok((object, start, head))
    }

    /// S3's `UploadPart`.
    pub(super) async fn put_part(
        &self,
        req: S3Request<UploadPartInput>,
    ) -> S3Result<S3Response<UploadPartOutput>> {
        let input = req.input;
        let uploads = Uploads(&self.objects);
        uploads.find(&input.upload_id, &input.bucket, &input.key)?;
        let path = uploads.part_file(&input.upload_id, input.part_number)?;
        let beside = crate::state::files::beside(&path);
        let mut unfinished = Unfinished(Some(beside.clone()));
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
            self.receive(&beside, body, claimed, algorithm, md5, req.trailing_headers).await?;
        fs_err::rename(&beside, &path).map_err(S3Error::internal_error)?;
        unfinished.done();
        let part = StoredPart {
            number: input.part_number,
            size,
            e_tag: e_tag.clone(),
            sums: sums.clone(),
        };
        uploads.add(&input.upload_id, &part)?;
        Ok(S3Response::new(UploadPartOutput {
            e_tag: Some(ETag::Strong(e_tag)),
            checksum_crc32: sums.crc32,
            checksum_crc32c: sums.crc32c,
            checksum_crc64nvme: sums.crc64nvme,
            checksum_sha1: sums.sha1,
            checksum_sha256: sums.sha256,
            ..Default::default()
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
            checksum_crc32: object.sums.crc32,
            checksum_crc32c: object.sums.crc32c,
            checksum_crc64nvme: object.sums.crc64nvme,
            checksum_sha1: object.sums.sha1,
            checksum_sha256: object.sums.sha256,
            ..Default::default()
        }))
    }

    /// S3's `CreateMultipartUpload`.
    pub(super) fn create_upload(
        &self,
        req: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        let input = req.input;
        let whole = input.checksum_type.as_ref().is_some_and(|kind| kind.as_str() == "FULL_OBJECT");
        let upload = Upload {
            bucket: input.bucket.clone(),
            key: input.key.clone(),
            header: Header {
                content_type: input.content_type,
                content_encoding: input.content_encoding,
                content_disposition: input.content_disposition,
                content_language: input.content_language,
                cache_control: input.cache_control,
                metadata: input.metadata.unwrap_or_default().into_iter().collect(),
            },
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
            ..Default::default()
        }))
    }
}

/// Removes a file that was not finished.
struct Unfinished(Option<camino::Utf8PathBuf>);

impl Unfinished {
    fn done(&mut self) {
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

fn condition(
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

/// Conditions of GET and HEAD.
fn check_read(
    object: &Object,
    if_match: Option<&ETagCondition>,
    if_none_match: Option<&ETagCondition>,
) -> S3Result<()> {
    let fits = |condition: &ETagCondition| match condition {
        ETagCondition::Any => true,
        ETagCondition::ETag(e_tag) => e_tag.value() == object.e_tag,
    };
    if if_match.is_some_and(|condition| !fits(condition)) {
        return Err(s3_error!(PreconditionFailed));
    }
    if if_none_match.is_some_and(fits) {
        return Err(s3_error!(NotModified));
    }
    Ok(())
}

/// A length as S3 writes it.
pub(super) fn signed(length: u64) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}

fn sums_for(object: &Object, mode: Option<&ChecksumMode>, whole: bool) -> Sums {
    let asked = mode.is_some_and(|mode| mode.as_str() == ChecksumMode::ENABLED);
    if asked && whole { object.sums.clone() } else { Sums::default() }
}

/// A range of an object as start, length and header.
fn range_of(object: &Object, range: Option<Range>) -> S3Result<(u64, u64, Option<String>)> {
    let Some(range) = range else { return Ok((0, object.size, None)) };
    let range = range.check(object.size)?;
    let header = format!("bytes {}-{}/{}", range.start, range.end - 1, object.size);
    Ok((range.start, range.end - range.start, Some(header)))
}

/// A file's next bytes as a stream of large blocks.
fn blocks(
    file: tokio::fs::File,
    length: u64,
) -> impl futures::Stream<Item = std::io::Result<bytes::Bytes>> + Send + Sync + 'static {
    futures::stream::unfold((file, length), |(mut file, left)| async move {
        if left == 0 {
            return None;
        }
        let size = usize::try_from(left).unwrap_or(usize::MAX).min(BLOCK);
        let mut block = bytes::BytesMut::with_capacity(size);
        let read = (&mut file).take(size as u64).read_buf(&mut block).await;
        match read {
            Ok(0) => Some((Err(std::io::ErrorKind::UnexpectedEof.into()), (file, 0))),
            Ok(count) => Some((Ok(block.freeze()), (file, left - count as u64))),
            Err(error) => Some((Err(error), (file, 0))),
        }
    })
}
