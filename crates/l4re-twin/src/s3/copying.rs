//! `CopyObject` and `UploadPartCopy`: bytes that are here already.
//!
//! Invariant: an object's bytes are never changed in place, so a second name for them is a copy.

use std::io::{Read as _, Seek as _, SeekFrom};

use s3s::dto::*;
use s3s::{S3Error, S3Request, S3Response, S3Result, s3_error};

use crate::s3::objects::{Condition, Object};
use crate::s3::reading::Conditions;
use crate::s3::refusals::{refuse_unkept, refuse_versions};
use crate::s3::service::{Store, sealed};
use crate::s3::transfer::{Unfinished, header_of};
use crate::s3::uploads::{Part as StoredPart, append};
use crate::s3::{Checks, Objects, Summed, Sums, Uploads};

impl Store {
    /// S3's `CopyObject`.
    pub(super) fn copy(
        &self,
        req: S3Request<CopyObjectInput>,
    ) -> S3Result<S3Response<CopyObjectOutput>> {
        refuse_unkept(&req.headers)?;
        let input = req.input;
        self.check_bucket(&input.bucket)?;
        let replaces = input.metadata_directive.as_ref().is_some_and(|it| it.as_str() == "REPLACE");
        let (bucket, key) = place(&input.copy_source)?;
        if !replaces && (bucket, key) == (&input.bucket, &input.key) {
            return Err(s3_error!(
                InvalidRequest,
                "This copy request is illegal because it is trying to copy an object to itself \
                 without changing the object's metadata, storage class, website redirect location \
                 or encryption attributes."
            ));
        }
        let conditions = Conditions {
            if_match: input.copy_source_if_match.as_ref(),
            if_none_match: input.copy_source_if_none_match.as_ref(),
            if_modified_since: input.copy_source_if_modified_since.as_ref(),
            if_unmodified_since: input.copy_source_if_unmodified_since.as_ref(),
        };
        let mut object = self.source(bucket, key, conditions)?;
        let from = self.objects.data(bucket, &object.data);
        object.data = Objects::new_data();
        std::fs::hard_link(from, self.objects.data(&input.bucket, &object.data))
            .map_err(S3Error::internal_error)?;
        if replaces {
            object.header = header_of!(input);
        }
        object.key = input.key;
        object.modified = std::time::SystemTime::now();
        self.objects.commit(&input.bucket, &object, &Condition::None)?;
        Ok(S3Response::new(CopyObjectOutput {
            copy_object_result: Some(CopyObjectResult {
                e_tag: Some(ETag::Strong(object.e_tag)),
                last_modified: Some(Timestamp::from(object.modified)),
                ..Summed::with(object.sums)
            }),
            server_side_encryption: sealed(),
            ..Default::default()
        }))
    }

    /// S3's `UploadPartCopy`. Blocking.
    pub(super) fn copy_part(&self, input: &UploadPartCopyInput) -> S3Result<UploadPartCopyOutput> {
        let uploads = Uploads(&self.objects);
        uploads.find(&input.upload_id, &input.bucket, &input.key)?;
        let incoming = uploads.incoming(&input.upload_id, input.part_number)?;
        let (bucket, key) = place(&input.copy_source)?;
        let conditions = Conditions {
            if_match: input.copy_source_if_match.as_ref(),
            if_none_match: input.copy_source_if_none_match.as_ref(),
            if_modified_since: input.copy_source_if_modified_since.as_ref(),
            if_unmodified_since: input.copy_source_if_unmodified_since.as_ref(),
        };
        let source = self.source(bucket, key, conditions)?;
        let (start, size) = part_range(input.copy_source_range.as_deref(), source.size)?;
        let mut unfinished = Unfinished(Some(incoming.clone()));
        let mut checks = Checks::new(&Sums::default(), None);
        let mut copied = || -> std::io::Result<()> {
            let mut from = std::fs::File::open(self.objects.data(bucket, &source.data))?;
            from.seek(SeekFrom::Start(start))?;
            let mut out = fs_err::File::create(&incoming)?;
            append(&mut out, &mut from.take(size), Some(&mut checks))
        };
        copied().map_err(S3Error::internal_error)?;
        let (e_tag, sums) = checks.finish(&Sums::default(), None)?;
        let part = StoredPart { number: input.part_number, size, e_tag: e_tag.clone(), sums };
        uploads.add(&input.upload_id, &part, &incoming)?;
        unfinished.done();
        Ok(UploadPartCopyOutput {
            copy_part_result: Some(CopyPartResult {
                e_tag: Some(ETag::Strong(e_tag)),
                last_modified: Some(Timestamp::from(std::time::SystemTime::now())),
                ..Default::default()
            }),
            server_side_encryption: sealed(),
            ..Default::default()
        })
    }

    fn source(&self, bucket: &str, key: &str, conditions: Conditions<'_>) -> S3Result<Object> {
        let object = self.objects.object(bucket, key)?;
        // Of a copy, not even what has not changed is an answer.
        conditions.check(&object).map_err(|_| s3_error!(PreconditionFailed))?;
        Ok(object)
    }
}

fn place(source: &CopySource) -> S3Result<(&str, &str)> {
    match source {
        CopySource::Bucket { bucket, key, version_id } => {
            refuse_versions(version_id.as_deref())?;
            Ok((bucket, key))
        }
        _ => Err(s3_error!(NotImplemented, "The twin copies from buckets only")),
    }
}

/// The start and the length of what is copied. Unlike that of a read, the range must be there.
fn part_range(range: Option<&str>, size: u64) -> S3Result<(u64, u64)> {
    let Some(range) = range else { return Ok((0, size)) };
    let bounds = range.strip_prefix("bytes=").and_then(|range| range.split_once('-'));
    let bounds = bounds.and_then(|(first, last)| Some((first.parse().ok()?, last.parse().ok()?)));
    match bounds {
        Some((first, last)) if first <= last && last < size => Ok((first, last - first + 1)),
        Some((first, last)) if first <= last => Err(s3_error!(
            InvalidArgument,
            "Range specified is not valid for source object of size: {size}"
        )),
        _ => Err(s3_error!(
            InvalidArgument,
            "The x-amz-copy-source-range value must be of the form bytes=first-last where first \
             and last are the zero-based offsets of the first and last bytes to copy"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_parts_lie_within_their_source() {
        assert_eq!(part_range(None, 10).unwrap(), (0, 10));
        assert_eq!(part_range(Some("bytes=2-9"), 10).unwrap(), (2, 8));
        let bad =
            ["bytes=2-10", "bytes=3-2", "bytes=3-", "bytes=-3", "2-3", "bytes=a-b", "", "bytes="];
        for bad in bad {
            assert!(part_range(Some(bad), 10).is_err(), "{bad}");
        }
    }
}
