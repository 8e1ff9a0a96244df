//! What a bucket was never told, as S3 answers for it: no tags, no website, one owner. Clients
//! that describe buckets ask for all of it.
//!
//! Invariant: nothing here can be set, so that each answer is the same for every bucket.

use s3s::dto::*;
use s3s::{S3Error, S3ErrorCode, S3Request, S3Response, S3Result, s3_error};

use crate::s3::Summed;
use crate::s3::service::Store;

impl Store {
    /// All belongs to the account.
    pub(super) fn owner(&self) -> Owner {
        Owner { id: Some(self.owner_id.clone()), display_name: None }
    }

    /// The list of a bucket or an object: its owner may everything.
    pub(super) fn grants(&self) -> Grants {
        let grantee = Grantee {
            display_name: None,
            email_address: None,
            id: Some(self.owner_id.clone()),
            type_: Type::from_static(Type::CANONICAL_USER),
            uri: None,
        };
        let permission = Some(Permission::from_static(Permission::FULL_CONTROL));
        vec![Grant { grantee: Some(grantee), permission }]
    }

    /// Access lists are off, since 2023.
    pub(super) fn ownership(&self, bucket: &str) -> S3Result<OwnershipControls> {
        self.check_bucket(bucket)?;
        let kind = ObjectOwnership::from_static(ObjectOwnership::BUCKET_OWNER_ENFORCED);
        Ok(OwnershipControls { rules: vec![OwnershipControlsRule { object_ownership: kind }] })
    }

    /// The refusal for what a bucket has not.
    pub(super) fn has_no<T>(
        &self,
        bucket: &str,
        code: S3ErrorCode,
        message: &'static str,
    ) -> S3Result<T> {
        self.check_bucket(bucket)?;
        Err(S3Error::with_message(code, message))
    }

    /// An answer that says nothing of a bucket.
    pub(super) fn nothing_of<T: Default>(&self, bucket: &str) -> S3Result<S3Response<T>> {
        self.check_bucket(bucket)?;
        Ok(S3Response::new(T::default()))
    }

    /// S3's `GetObjectAttributes`, but for the parts, which are not kept.
    pub(super) fn attributes(
        &self,
        req: S3Request<GetObjectAttributesInput>,
    ) -> S3Result<S3Response<GetObjectAttributesOutput>> {
        let input = req.input;
        crate::s3::refusals::refuse_versions(input.version_id.as_deref())?;
        let object = self.objects.object(&input.bucket, &input.key)?;
        // Clients send them as one header with commas, or as several.
        let asked: Vec<&str> =
            input.object_attributes.iter().flat_map(|it| it.as_str().split(',')).collect();
        let wants = |name: &str| asked.iter().any(|asked| asked.trim() == name);
        if wants(ObjectAttributes::OBJECT_PARTS) {
            return Err(s3_error!(
                NotImplemented,
                "The twin does not keep which parts an object was made of"
            ));
        }
        let sums = object.sums;
        Ok(S3Response::new(GetObjectAttributesOutput {
            checksum: wants(ObjectAttributes::CHECKSUM)
                .then_some(Checksum { ..Summed::with(sums) }),
            e_tag: wants(ObjectAttributes::ETAG).then_some(ETag::Strong(object.e_tag)),
            last_modified: Some(Timestamp::from(object.modified)),
            object_size: wants(ObjectAttributes::OBJECT_SIZE)
                .then_some(crate::s3::transfer::signed(object.size)),
            storage_class: wants(ObjectAttributes::STORAGE_CLASS)
                .then(|| StorageClass::from_static(StorageClass::STANDARD)),
            ..Default::default()
        }))
    }
}
