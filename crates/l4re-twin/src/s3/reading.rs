//! `GetObject` and `HeadObject`: which bytes of an object are wanted, under which conditions, and
//! what its headers say. Spec: RFC 9110, 13.2.2 (order of conditions) and 14.2 (ranges).
//!
//! Invariant: HEAD says of an object what GET says of it.

use std::time::SystemTime;

use s3s::dto::*;
use s3s::{S3Error, S3Request, S3Response, S3Result, s3_error};
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};

use crate::s3::objects::Object;
use crate::s3::refusals::refuse_versions;
use crate::s3::service::{Store, sealed};
use crate::s3::transfer::{BLOCK, signed};
use crate::s3::{Summed, Sums};

/// What S3 says of a content that nobody named.
const UNNAMED: &str = "binary/octet-stream";
/// How often the bytes of an object may be replaced while they are being opened.
const REPLACED: u32 = 16;

impl Store {
    /// S3's `GetObject`.
    pub(super) async fn get(
        &self,
        req: S3Request<GetObjectInput>,
    ) -> S3Result<S3Response<GetObjectOutput>> {
        let bucket = req.input.bucket.clone();
        let wanted = head_input(req.input);
        let mut tries = 0;
        let (mut file, start, head) = loop {
            let (object, start, head) = self.look(wanted.clone())?;
            match tokio::fs::File::open(self.objects.data(&bucket, &object.data)).await {
                Ok(file) => break (file, start, head),
                // Another object has come to its place since the record was read.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound && tries < REPLACED => {
                    tries += 1;
                }
                Err(error) => return Err(S3Error::internal_error(error)),
            }
        };
        file.seek(std::io::SeekFrom::Start(start)).await.map_err(S3Error::internal_error)?;
        let length = head.content_length.and_then(|length| length.try_into().ok()).unwrap_or(0);
        Ok(S3Response::new(GetObjectOutput {
            body: Some(StreamingBlob::wrap(blocks(file, length))),
            accept_ranges: head.accept_ranges,
            content_length: head.content_length,
            content_range: head.content_range,
            last_modified: head.last_modified,
            e_tag: head.e_tag,
            expires: head.expires,
            metadata: head.metadata,
            content_type: head.content_type,
            content_encoding: head.content_encoding,
            content_disposition: head.content_disposition,
            content_language: head.content_language,
            cache_control: head.cache_control,
            server_side_encryption: head.server_side_encryption,
            checksum_crc32: head.checksum_crc32,
            checksum_crc32c: head.checksum_crc32c,
            checksum_crc64nvme: head.checksum_crc64nvme,
            checksum_sha1: head.checksum_sha1,
            checksum_sha256: head.checksum_sha256,
            ..Default::default()
        }))
    }

    /// S3's `HeadObject`.
    pub(super) fn head(
        &self,
        req: S3Request<HeadObjectInput>,
    ) -> S3Result<S3Response<HeadObjectOutput>> {
        self.look(req.input).map(|(_, _, head)| S3Response::new(head))
    }

    /// An object, where what is asked for begins in it, and what its headers say of that.
    fn look(&self, input: HeadObjectInput) -> S3Result<(Object, u64, HeadObjectOutput)> {
        refuse_versions(input.version_id.as_deref())?;
        let object = self.objects.object(&input.bucket, &input.key)?;
        Conditions {
            if_match: input.if_match.as_ref(),
            if_none_match: input.if_none_match.as_ref(),
            if_modified_since: input.if_modified_since.as_ref(),
            if_unmodified_since: input.if_unmodified_since.as_ref(),
        }
        .check(&object)?;
        refuse_parts(&object, input.part_number)?;
        let (start, length, content_range) = range_of(&object, input.range)?;
        let sums = sums_for(&object, input.checksum_mode.as_ref(), content_range.is_none());
        let header = object.header.clone();
        let head = HeadObjectOutput {
            accept_ranges: Some("bytes".to_owned()),
            content_length: Some(signed(length)),
            content_range,
            last_modified: Some(Timestamp::from(object.modified)),
            e_tag: Some(ETag::Strong(object.e_tag.clone())),
            expires: input.response_expires.or_else(|| {
                Timestamp::parse(TimestampFormat::HttpDate, header.expires.as_deref()?).ok()
            }),
            metadata: Some(header.metadata.into_iter().collect()),
            content_type: input
                .response_content_type
                .or(header.content_type)
                .or_else(|| Some(UNNAMED.to_owned())),
            content_encoding: input.response_content_encoding.or(header.content_encoding),
            content_disposition: input.response_content_disposition.or(header.content_disposition),
            content_language: input.response_content_language.or(header.content_language),
            cache_control: input.response_cache_control.or(header.cache_control),
            server_side_encryption: sealed(),
            ..Summed::with(sums)
        };
        Ok((object, start, head))
    }
}

/// The same question without the body.
fn head_input(input: GetObjectInput) -> HeadObjectInput {
    HeadObjectInput {
        bucket: input.bucket,
        key: input.key,
        version_id: input.version_id,
        part_number: input.part_number,
        range: input.range,
        if_match: input.if_match,
        if_none_match: input.if_none_match,
        if_modified_since: input.if_modified_since,
        if_unmodified_since: input.if_unmodified_since,
        checksum_mode: input.checksum_mode,
        response_cache_control: input.response_cache_control,
        response_content_disposition: input.response_content_disposition,
        response_content_encoding: input.response_content_encoding,
        response_content_language: input.response_content_language,
        response_content_type: input.response_content_type,
        response_expires: input.response_expires,
        ..Default::default()
    }
}

/// What must hold of an object that is read.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Conditions<'a> {
    pub(super) if_match: Option<&'a ETagCondition>,
    pub(super) if_none_match: Option<&'a ETagCondition>,
    pub(super) if_modified_since: Option<&'a Timestamp>,
    pub(super) if_unmodified_since: Option<&'a Timestamp>,
}

impl Conditions<'_> {
    /// A sum decides where there is one, and the time only where there is none.
    pub(super) fn check(&self, object: &Object) -> S3Result<()> {
        let fits = |condition: &ETagCondition| match condition {
            ETagCondition::Any => true,
            ETagCondition::ETag(e_tag) => e_tag.value() == object.e_tag,
        };
        let modified = whole_seconds(object.modified);
        let wanted = match (self.if_match, self.if_unmodified_since) {
            (Some(condition), _) => fits(condition),
            (None, Some(since)) => modified <= *since,
            (None, None) => true,
        };
        if !wanted {
            return Err(s3_error!(PreconditionFailed));
        }
        let new = match (self.if_none_match, self.if_modified_since) {
            (Some(condition), _) => !fits(condition),
            (None, Some(since)) => modified > *since,
            (None, None) => true,
        };
        if new { Ok(()) } else { Err(s3_error!(NotModified)) }
    }
}

/// A time as headers have it.
fn whole_seconds(time: SystemTime) -> Timestamp {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from(SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(since.as_secs()))
}

/// Where the parts of an object began is forgotten when they are put together.
fn refuse_parts(object: &Object, number: Option<i32>) -> S3Result<()> {
    let in_parts = object.e_tag.contains('-');
    match number {
        None => Ok(()),
        Some(1) if !in_parts => Ok(()),
        Some(_) if in_parts => Err(s3_error!(
            NotImplemented,
            "The twin does not keep where the parts of an object began: ask for a Range"
        )),
        Some(_) => Err(s3_error!(InvalidPart, "The requested partnumber is not satisfiable")),
    }
}

fn sums_for(object: &Object, mode: Option<&ChecksumMode>, whole: bool) -> Sums {
    let asked = mode.is_some_and(|mode| mode.as_str() == ChecksumMode::ENABLED);
    if asked && whole { object.sums.clone() } else { Sums::default() }
}

/// A range of an object as start, length and header.
fn range_of(object: &Object, range: Option<Range>) -> S3Result<(u64, u64, Option<String>)> {
    let Some(range) = range else { return Ok((0, object.size, None)) };
    let range = range.check(object.size)?;
    // The last bytes of nothing: no header could say where they are.
    if range.is_empty() {
        return Err(s3_error!(InvalidRange));
    }
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::s3::Header;

    fn object() -> Object {
        Object {
            key: "key".to_owned(),
            size: 10,
            e_tag: "sum".to_owned(),
            sums: Sums::default(),
            modified: SystemTime::UNIX_EPOCH + Duration::from_millis(5500),
            header: Header::default(),
            data: String::new(),
        }
    }

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
    }

    fn code(conditions: Conditions<'_>) -> String {
        let result = conditions.check(&object());
        result.map_or_else(|error| error.code().as_str().to_owned(), |()| "none".to_owned())
    }

    #[test]
    fn times_decide_by_the_second_and_only_where_no_sum_does() {
        let (same, other) =
            ["sum", "x"].map(|text| ETagCondition::ETag(ETag::Strong(text.to_owned()))).into();
        let (early, exact) = (at(4), at(5));
        let none = Conditions::default();
        let modified = |since| code(Conditions { if_modified_since: Some(since), ..none });
        assert_eq!([modified(&early), modified(&exact)], ["none", "NotModified"]);
        let unmodified = |since| code(Conditions { if_unmodified_since: Some(since), ..none });
        assert_eq!([unmodified(&early), unmodified(&exact)], ["PreconditionFailed", "none"]);
        let both = Conditions {
            if_match: Some(&same),
            if_unmodified_since: Some(&early),
            if_none_match: Some(&other),
            if_modified_since: Some(&exact),
        };
        assert_eq!(code(both), "none");
        assert_eq!(code(Conditions { if_match: Some(&other), ..both }), "PreconditionFailed");
        assert_eq!(code(Conditions { if_none_match: Some(&same), ..both }), "NotModified");
    }

    #[test]
    fn ranges_lie_within_their_object_and_none_in_an_empty_one() {
        let of = |size: u64, range: Range| {
            range_of(&Object { size, ..object() }, Some(range))
                .map(|(start, length, header)| (start, length, header.unwrap_or_default()))
        };
        let last = |length: u64| Range::Suffix { length };
        let first = Range::Int { first: 0, last: None };
        assert_eq!(of(10, last(3)).unwrap(), (7, 3, "bytes 7-9/10".to_owned()));
        assert_eq!(of(10, last(30)).unwrap(), (0, 10, "bytes 0-9/10".to_owned()));
        assert_eq!(of(10, first).unwrap(), (0, 10, "bytes 0-9/10".to_owned()));
        for refused in [of(0, last(3)), of(0, first), of(10, last(0))] {
            assert_eq!(refused.unwrap_err().code().as_str(), "InvalidRange");
        }
    }

    #[test]
    fn parts_of_an_object_that_was_put_together_are_not_told_apart() {
        let mut object = object();
        assert!(refuse_parts(&object, Some(1)).is_ok() && refuse_parts(&object, Some(2)).is_err());
        object.e_tag.push_str("-2");
        assert!(refuse_parts(&object, Some(1)).is_err() && refuse_parts(&object, None).is_ok());
    }
}
