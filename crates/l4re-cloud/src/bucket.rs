//! Making the bucket, on request only: private, and with a rule that cleans up.
//!
//! Invariant: a bucket of another account is never used under our default name.

use aws_sdk_s3::types::{
    AbortIncompleteMultipartUpload, BucketLifecycleConfiguration, BucketLocationConstraint,
    CreateBucketConfiguration, ExpirationStatus, LifecycleExpiration, LifecycleRule,
    LifecycleRuleFilter, PublicAccessBlockConfiguration,
};

use crate::connect::Cloud;
use crate::error::CloudError;
use crate::event::Event;

/// Objects can be sent again; nothing boots from one that is this old.
pub(crate) const OBJECT_DAYS: i32 = 30;
pub(crate) const UNFINISHED_UPLOAD_DAYS: i32 = 1;

/// The only region whose name CreateBucket does not take.
const NAMELESS_REGION: &str = "us-east-1";

impl Cloud {
    /// Makes the bucket. It is no error if it is there and ours.
    pub(crate) async fn make_bucket(&self, bucket: &str) -> Result<(), CloudError> {
        let place = (self.region() != NAMELESS_REGION).then(|| {
            CreateBucketConfiguration::builder()
                .location_constraint(BucketLocationConstraint::from(self.region()))
                .build()
        });
        let request =
            self.s3().create_bucket().bucket(bucket).set_create_bucket_configuration(place);
        match self.call("s3:CreateBucket", request.send()).await {
            Ok(_) => self.tell(Event::BucketMade { bucket: bucket.to_owned() }),
            Err(CloudError::Service { code, .. }) if code == "BucketAlreadyOwnedByYou" => {}
            Err(CloudError::Service { code, .. }) if code == "BucketAlreadyExists" => {
                return Err(CloudError::BucketTaken { bucket: bucket.to_owned() });
            }
            Err(error) => return Err(error),
        }
        let (private, rule) = tokio::join!(self.keep_private(bucket), self.keep_tidy(bucket));
        for (result, what) in [(private, "public access"), (rule, "expiry of objects")] {
            if let Err(CloudError::Unsupported { call, .. }) = &result {
                self.tell(Event::Unknown { call, effect: "the bucket's settings stay" });
            } else if let Err(error) = result {
                let text = format!("bucket `{bucket}`: {what} not set: {error}");
                self.tell(Event::Warning { text });
            }
        }
        Ok(())
    }

    async fn keep_private(&self, bucket: &str) -> Result<(), CloudError> {
        let block = PublicAccessBlockConfiguration::builder()
            .block_public_acls(true)
            .ignore_public_acls(true)
            .block_public_policy(true)
            .restrict_public_buckets(true)
            .build();
        let request = self
            .s3()
            .put_public_access_block()
            .bucket(bucket)
            .public_access_block_configuration(block);
        self.call("s3:PutPublicAccessBlock", request.send()).await.map(drop)
    }

    async fn keep_tidy(&self, bucket: &str) -> Result<(), CloudError> {
        let bad = |error: aws_sdk_s3::error::BuildError| CloudError::BadAnswer {
            call: "s3:PutLifecycleConfiguration",
            cause: error.to_string(),
        };
        let rule = LifecycleRule::builder()
            .id("l4re")
            .status(ExpirationStatus::Enabled)
            .filter(LifecycleRuleFilter::builder().prefix("l4re/").build())
            .expiration(LifecycleExpiration::builder().days(OBJECT_DAYS).build())
            .abort_incomplete_multipart_upload(
                AbortIncompleteMultipartUpload::builder()
                    .days_after_initiation(UNFINISHED_UPLOAD_DAYS)
                    .build(),
            )
            .build()
            .map_err(bad)?;
        let rules = BucketLifecycleConfiguration::builder().rules(rule).build().map_err(bad)?;
        let request = self
            .s3()
            .put_bucket_lifecycle_configuration()
            .bucket(bucket)
            .lifecycle_configuration(rules);
        self.call("s3:PutLifecycleConfiguration", request.send()).await.map(drop)
    }
}
