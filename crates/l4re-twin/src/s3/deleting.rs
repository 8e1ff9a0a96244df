//! `DeleteObjects`: many at once, each with an answer of its own.

use s3s::dto::*;
use s3s::{S3Result, s3_error};

use crate::s3::refusals::refuse_versions;
use crate::s3::service::Store;
use crate::s3::transfer::condition;

/// S3's limit for one request.
const MAX_DELETED: usize = 1000;

impl Store {
    /// S3's `DeleteObjects`.
    pub(super) fn delete_many(&self, input: DeleteObjectsInput) -> S3Result<DeleteObjectsOutput> {
        if input.delete.objects.len() > MAX_DELETED {
            return Err(s3_error!(MalformedXML));
        }
        let quiet = input.delete.quiet == Some(true);
        let (mut deleted, mut errors) = (Vec::new(), Vec::new());
        for object in input.delete.objects {
            let delete = || {
                refuse_versions(object.version_id.as_deref())?;
                let sum = object.e_tag.clone().map(ETagCondition::ETag);
                let condition = condition(sum.as_ref(), None)?;
                self.objects.delete(&input.bucket, &object.key, &condition)
            };
            match delete() {
                Ok(()) if quiet => {}
                Ok(()) => {
                    deleted.push(DeletedObject { key: Some(object.key), ..Default::default() });
                }
                Err(error) if error.code().as_str() == "NoSuchBucket" => return Err(error),
                Err(error) => errors.push(s3s::dto::Error {
                    code: Some(error.code().as_str().to_owned()),
                    message: error.message().map(str::to_owned),
                    key: Some(object.key),
                    version_id: object.version_id,
                }),
            }
        }
        let some = |list: Vec<s3s::dto::Error>| (!list.is_empty()).then_some(list);
        Ok(DeleteObjectsOutput {
            deleted: Some(deleted),
            errors: some(errors),
            ..Default::default()
        })
    }
}
