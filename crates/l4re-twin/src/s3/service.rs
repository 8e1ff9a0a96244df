//! S3's calls over the store. s3s reads and writes the protocol and checks signatures;
//! every object is private, since a request without a signature is refused.

use std::sync::Arc;

use futures::StreamExt as _;
use s3s::auth::SimpleAuth;
use s3s::dto::*;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{S3, S3Error, S3Request, S3Response, S3Result, s3_error};
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _, AsyncWriteExt as _};

use crate::s3::listing::list;
use crate::s3::objects::{Condition, Object};
use crate::s3::uploads::{Part as StoredPart, Upload};
use crate::s3::{Checks, Header, Objects, Sums, Uploads};
use crate::sigv4::Credentials;

/// How much is read from or written to disk at once.
const BLOCK: usize = 256 * 1024;

/// The service behind the wire.
pub(crate) type S3Endpoint = S3Service;

/// Makes the service for a store.
pub(crate) fn endpoint(
    objects: Arc<Objects>,
    region: &str,
    credentials: &Credentials,
) -> S3Service {
    let mut builder = S3ServiceBuilder::new(Store { objects, region: region.to_owned() });
    builder.set_auth(SimpleAuth::from_single(
        credentials.access_key_id.clone(),
        credentials.secret_access_key.clone(),
    ));
    builder.build()
}

struct Store {
    objects: Arc<Objects>,
    region: String,
}

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

    fn check_bucket(&self, bucket: &str) -> S3Result<()> {
        self.objects.bucket_created(bucket).map(|_| ())
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

fn signed(length: u64) -> i64 {
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

#[async_trait::async_trait]
impl S3 for Store {
    async fn create_bucket(
        &self,
        req: S3Request<CreateBucketInput>,
    ) -> S3Result<S3Response<CreateBucketOutput>> {
        let constraint = req
            .input
            .create_bucket_configuration
            .and_then(|configuration| configuration.location_constraint)
            .map_or("us-east-1".to_owned(), |constraint| constraint.as_str().to_owned());
        if constraint != self.region {
            let what = if constraint == "us-east-1" { "unspecified" } else { constraint.as_str() };
            return Err(s3_error!(
                IllegalLocationConstraintException,
                "The {what} location constraint is incompatible for the region specific endpoint \
                 this request was sent to."
            ));
        }
        self.objects.create_bucket(&req.input.bucket)?;
        Ok(S3Response::new(CreateBucketOutput {
            location: Some(format!("/{}", req.input.bucket)),
            ..Default::default()
        }))
    }

    async fn delete_bucket(
        &self,
        req: S3Request<DeleteBucketInput>,
    ) -> S3Result<S3Response<DeleteBucketOutput>> {
        self.objects.delete_bucket(&req.input.bucket)?;
        Ok(S3Response::new(DeleteBucketOutput {}))
    }

    async fn head_bucket(
        &self,
        req: S3Request<HeadBucketInput>,
    ) -> S3Result<S3Response<HeadBucketOutput>> {
        self.check_bucket(&req.input.bucket)?;
        Ok(S3Response::new(HeadBucketOutput {
            bucket_region: Some(self.region.clone()),
            ..Default::default()
        }))
    }

    async fn get_bucket_location(
        &self,
        req: S3Request<GetBucketLocationInput>,
    ) -> S3Result<S3Response<GetBucketLocationOutput>> {
        self.check_bucket(&req.input.bucket)?;
        let elsewhere = (self.region != "us-east-1").then(|| self.region.clone().into());
        Ok(S3Response::new(GetBucketLocationOutput { location_constraint: elsewhere }))
    }

    async fn list_buckets(
        &self,
        _: S3Request<ListBucketsInput>,
    ) -> S3Result<S3Response<ListBucketsOutput>> {
        let mut buckets = Vec::new();
        for name in self.objects.buckets().map_err(S3Error::internal_error)? {
            let created = self.objects.bucket_created(&name)?;
            buckets.push(Bucket {
                creation_date: Some(Timestamp::from(created)),
                name: Some(name),
                bucket_region: Some(self.region.clone()),
            });
        }
        Ok(S3Response::new(ListBucketsOutput { buckets: Some(buckets), ..Default::default() }))
    }

    async fn list_objects_v2(
        &self,
        req: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        let objects = self.objects.objects(&req.input.bucket)?;
        Ok(S3Response::new(list(objects, req.input)))
    }

    async fn list_objects(
        &self,
        req: S3Request<ListObjectsInput>,
    ) -> S3Result<S3Response<ListObjectsOutput>> {
        let marker = req.input.marker.clone();
        let page = self.list_objects_v2(req.map_input(Into::into)).await?;
        Ok(page.map_output(|page| ListObjectsOutput {
            contents: page.contents,
            common_prefixes: page.common_prefixes,
            delimiter: page.delimiter,
            encoding_type: page.encoding_type,
            name: page.name,
            prefix: page.prefix,
            marker,
            max_keys: page.max_keys,
            is_truncated: page.is_truncated,
            next_marker: page.next_continuation_token,
            ..Default::default()
        }))
    }

    async fn put_object(
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

    async fn get_object(
        &self,
        req: S3Request<GetObjectInput>,
    ) -> S3Result<S3Response<GetObjectOutput>> {
        let input = req.input;
        let object = self.objects.object(&input.bucket, &input.key)?;
        check_read(&object, input.if_match.as_ref(), input.if_none_match.as_ref())?;
        let (start, length, content_range) = range_of(&object, input.range)?;
        let path = self.objects.data(&input.bucket, &object.data);
        let mut file = tokio::fs::File::open(path).await.map_err(S3Error::internal_error)?;
        file.seek(std::io::SeekFrom::Start(start)).await.map_err(S3Error::internal_error)?;
        let sums = sums_for(&object, input.checksum_mode.as_ref(), content_range.is_none());
        Ok(S3Response::new(GetObjectOutput {
            accept_ranges: Some("bytes".to_owned()),
            body: Some(StreamingBlob::wrap(blocks(file, length))),
            content_length: Some(signed(length)),
            content_range,
            last_modified: Some(Timestamp::from(object.modified)),
            e_tag: Some(ETag::Strong(object.e_tag)),
            metadata: Some(object.header.metadata.into_iter().collect()),
            content_type: object.header.content_type,
            content_encoding: object.header.content_encoding,
            content_disposition: object.header.content_disposition,
            content_language: object.header.content_language,
            cache_control: object.header.cache_control,
            checksum_crc32: sums.crc32,
            checksum_crc32c: sums.crc32c,
            checksum_crc64nvme: sums.crc64nvme,
            checksum_sha1: sums.sha1,
            checksum_sha256: sums.sha256,
            ..Default::default()
        }))
    }

    async fn head_object(
        &self,
        req: S3Request<HeadObjectInput>,
    ) -> S3Result<S3Response<HeadObjectOutput>> {
        let input = req.input;
        let object = self.objects.object(&input.bucket, &input.key)?;
        check_read(&object, input.if_match.as_ref(), input.if_none_match.as_ref())?;
        let (_, length, content_range) = range_of(&object, input.range)?;
        let sums = sums_for(&object, input.checksum_mode.as_ref(), content_range.is_none());
        Ok(S3Response::new(HeadObjectOutput {
            accept_ranges: Some("bytes".to_owned()),
            content_length: Some(signed(length)),
            content_range,
            last_modified: Some(Timestamp::from(object.modified)),
            e_tag: Some(ETag::Strong(object.e_tag)),
            metadata: Some(object.header.metadata.into_iter().collect()),
            content_type: object.header.content_type,
            content_encoding: object.header.content_encoding,
            content_disposition: object.header.content_disposition,
            content_language: object.header.content_language,
            cache_control: object.header.cache_control,
            checksum_crc32: sums.crc32,
            checksum_crc32c: sums.crc32c,
            checksum_crc64nvme: sums.crc64nvme,
            checksum_sha1: sums.sha1,
            checksum_sha256: sums.sha256,
            ..Default::default()
        }))
    }

    async fn delete_object(
        &self,
        req: S3Request<DeleteObjectInput>,
    ) -> S3Result<S3Response<DeleteObjectOutput>> {
        self.objects.delete(&req.input.bucket, &req.input.key)?;
        Ok(S3Response::with_status(DeleteObjectOutput::default(), http::StatusCode::NO_CONTENT))
    }

    async fn delete_objects(
        &self,
        req: S3Request<DeleteObjectsInput>,
    ) -> S3Result<S3Response<DeleteObjectsOutput>> {
        let mut deleted = Vec::new();
        for object in req.input.delete.objects {
            self.objects.delete(&req.input.bucket, &object.key)?;
            deleted.push(DeletedObject { key: Some(object.key), ..Default::default() });
        }
        Ok(S3Response::new(DeleteObjectsOutput { deleted: Some(deleted), ..Default::default() }))
    }

    async fn copy_object(
        &self,
        req: S3Request<CopyObjectInput>,
    ) -> S3Result<S3Response<CopyObjectOutput>> {
        let input = req.input;
        let CopySource::Bucket { bucket, key, .. } = &input.copy_source else {
            return Err(s3_error!(NotImplemented));
        };
        self.check_bucket(&input.bucket)?;
        let mut object = self.objects.object(bucket, key)?;
        let from = self.objects.data(bucket, &object.data);
        object.data = Objects::new_data();
        // Bytes are never changed in place, so a second name for them is a copy.
        std::fs::hard_link(from, self.objects.data(&input.bucket, &object.data))
            .map_err(S3Error::internal_error)?;
        object.key = input.key;
        object.modified = std::time::SystemTime::now();
        self.objects.commit(&input.bucket, &object, &Condition::None)?;
        Ok(S3Response::new(CopyObjectOutput {
            copy_object_result: Some(CopyObjectResult {
                e_tag: Some(ETag::Strong(object.e_tag)),
                last_modified: Some(Timestamp::from(object.modified)),
                ..Default::default()
            }),
            ..Default::default()
        }))
    }

    async fn create_multipart_upload(
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

    async fn upload_part(
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

    async fn list_parts(
        &self,
        req: S3Request<ListPartsInput>,
    ) -> S3Result<S3Response<ListPartsOutput>> {
        let input = req.input;
        let uploads = Uploads(&self.objects);
        uploads.find(&input.upload_id, &input.bucket, &input.key)?;
        let parts = uploads.parts(&input.upload_id)?.into_iter().map(|part| Part {
            part_number: Some(part.number),
            size: Some(signed(part.size)),
            e_tag: Some(ETag::Strong(part.e_tag)),
            ..Default::default()
        });
        Ok(S3Response::new(ListPartsOutput {
            parts: Some(parts.collect()),
            bucket: Some(input.bucket),
            key: Some(input.key),
            upload_id: Some(input.upload_id),
            is_truncated: Some(false),
            ..Default::default()
        }))
    }

    async fn complete_multipart_upload(
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

    async fn abort_multipart_upload(
        &self,
        req: S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        let input = req.input;
        let uploads = Uploads(&self.objects);
        uploads.find(&input.upload_id, &input.bucket, &input.key)?;
        uploads.remove(&input.upload_id)?;
        Ok(S3Response::new(AbortMultipartUploadOutput::default()))
    }
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
