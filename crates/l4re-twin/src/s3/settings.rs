//! What a bucket is told besides its objects: who may see it, by which policy, and for how
//! long. Each is a file in the bucket's directory, in S3's own words.
//!
//! All objects are private whatever a policy allows, as nobody but the account is known
//! here; what one denies is in [`crate::s3::policy`], and how rules of expiry are carried out
//! in [`crate::s3::expiry`].

use s3s::dto::*;
use s3s::xml::{Deserialize, Deserializer, Serialize, Serializer};
use s3s::{S3Error, S3ErrorCode, S3Request, S3Response, S3Result, s3_error};
use serde_json::Value;

use crate::s3::Objects;
use crate::s3::service::Store;
use crate::state::files;

const PUBLIC_ACCESS: &str = "public-access-block.xml";
const LIFECYCLE: &str = "lifecycle.xml";
const POLICY: &str = "policy.json";
/// S3's limit for a policy.
const MAX_POLICY: usize = 20 * 1024;

impl Store {
    pub(super) fn put_access(
        &self,
        req: S3Request<PutPublicAccessBlockInput>,
    ) -> S3Result<S3Response<PutPublicAccessBlockOutput>> {
        let xml = xml_of(&req.input.public_access_block_configuration)?;
        self.put_setting(&req.input.bucket, PUBLIC_ACCESS, &xml)?;
        Ok(S3Response::new(PutPublicAccessBlockOutput::default()))
    }

    /// Buckets are made with everything blocked, since 2023.
    pub(super) fn access(&self, bucket: &str) -> S3Result<PublicAccessBlockConfiguration> {
        match self.setting(bucket, PUBLIC_ACCESS)? {
            Some(xml) if xml.is_empty() => Err(S3Error::with_message(
                S3ErrorCode::Custom("NoSuchPublicAccessBlockConfiguration".into()),
                "The public access block configuration was not found",
            )),
            Some(xml) => of_xml(&xml),
            None => Ok(PublicAccessBlockConfiguration {
                block_public_acls: Some(true),
                block_public_policy: Some(true),
                ignore_public_acls: Some(true),
                restrict_public_buckets: Some(true),
            }),
        }
    }

    /// An empty file: nothing is blocked any more.
    pub(super) fn delete_access(&self, bucket: &str) -> S3Result<()> {
        self.put_setting(bucket, PUBLIC_ACCESS, b"")
    }

    pub(super) fn put_lifecycle(
        &self,
        req: S3Request<PutBucketLifecycleConfigurationInput>,
    ) -> S3Result<S3Response<PutBucketLifecycleConfigurationOutput>> {
        let kept = req.input.lifecycle_configuration.filter(|kept| !kept.rules.is_empty());
        let kept = kept.ok_or_else(|| s3_error!(MalformedXML, "There is no rule"))?;
        self.put_setting(&req.input.bucket, LIFECYCLE, &xml_of(&kept)?)?;
        Ok(S3Response::new(PutBucketLifecycleConfigurationOutput::default()))
    }

    pub(super) fn lifecycle(
        &self,
        bucket: &str,
    ) -> S3Result<GetBucketLifecycleConfigurationOutput> {
        self.check_bucket(bucket)?;
        let rules = lifecycle_of(&self.objects, bucket)?;
        if rules.is_empty() {
            return Err(s3_error!(
                NoSuchLifecycleConfiguration,
                "The lifecycle configuration does not exist"
            ));
        }
        Ok(GetBucketLifecycleConfigurationOutput { rules: Some(rules), ..Default::default() })
    }

    pub(super) fn delete_lifecycle(&self, bucket: &str) -> S3Result<()> {
        self.delete_setting(bucket, LIFECYCLE)
    }

    pub(super) fn put_policy(
        &self,
        req: S3Request<PutBucketPolicyInput>,
    ) -> S3Result<S3Response<PutBucketPolicyOutput>> {
        let policy = &req.input.policy;
        let document: Value = serde_json::from_str(policy)
            .map_err(|_| s3_error!(MalformedPolicy, "Policies must be valid JSON"))?;
        if policy.len() > MAX_POLICY || statements(&document).is_empty() {
            return Err(s3_error!(MalformedPolicy, "The policy has no statement or is too long"));
        }
        let blocked = self
            .access(&req.input.bucket)
            .is_ok_and(|access| access.block_public_policy == Some(true));
        if blocked && is_public(&document) {
            return Err(s3_error!(
                AccessDenied,
                "Public policies are blocked by the BlockPublicPolicy setting of the bucket"
            ));
        }
        self.put_setting(&req.input.bucket, POLICY, policy.as_bytes())?;
        Ok(S3Response::with_status(PutBucketPolicyOutput {}, http::StatusCode::NO_CONTENT))
    }

    pub(super) fn policy(&self, bucket: &str) -> S3Result<String> {
        let bytes = self.setting(bucket, POLICY)?;
        let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
        text.ok_or_else(|| s3_error!(NoSuchBucketPolicy, "The bucket policy does not exist"))
    }

    /// Whether the policy makes anything public.
    pub(super) fn policy_is_public(&self, bucket: &str) -> S3Result<bool> {
        let policy = self.policy(bucket)?;
        Ok(serde_json::from_str(&policy).is_ok_and(|document| is_public(&document)))
    }

    pub(super) fn delete_policy(&self, bucket: &str) -> S3Result<()> {
        self.delete_setting(bucket, POLICY)
    }

    fn put_setting(&self, bucket: &str, name: &str, bytes: &[u8]) -> S3Result<()> {
        self.check_bucket(bucket)?;
        let path = self.objects.bucket_dir(bucket).join(name);
        files::write(&path, bytes).map_err(S3Error::internal_error)
    }

    fn setting(&self, bucket: &str, name: &str) -> S3Result<Option<Vec<u8>>> {
        self.check_bucket(bucket)?;
        read(&self.objects, bucket, name)
    }

    /// It is no error if it is not there.
    fn delete_setting(&self, bucket: &str, name: &str) -> S3Result<()> {
        if self.setting(bucket, name)?.is_some() {
            let path = self.objects.bucket_dir(bucket).join(name);
            std::fs::remove_file(path).map_err(S3Error::internal_error)?;
        }
        Ok(())
    }
}

fn read(objects: &Objects, bucket: &str, name: &str) -> S3Result<Option<Vec<u8>>> {
    match std::fs::read(objects.bucket_dir(bucket).join(name)) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(S3Error::internal_error(error)),
    }
}

/// A bucket's rules of expiry.
pub(super) fn lifecycle_of(objects: &Objects, bucket: &str) -> S3Result<Vec<LifecycleRule>> {
    let Some(xml) = read(objects, bucket, LIFECYCLE)? else { return Ok(Vec::new()) };
    let kept: BucketLifecycleConfiguration = of_xml(&xml)?;
    Ok(kept.rules)
}

/// A bucket's policy, if it has one.
pub(super) fn policy_of(objects: &Objects, bucket: &str) -> Option<Value> {
    serde_json::from_slice(&read(objects, bucket, POLICY).ok()??).ok()
}

/// What every bucket has since 2023, unless it is told otherwise, which the twin is not.
pub(super) fn default_encryption() -> ServerSideEncryptionConfiguration {
    let algorithm = ServerSideEncryption::from_static(ServerSideEncryption::AES256);
    ServerSideEncryptionConfiguration {
        rules: vec![ServerSideEncryptionRule {
            apply_server_side_encryption_by_default: Some(ServerSideEncryptionByDefault {
                kms_master_key_id: None,
                sse_algorithm: algorithm,
            }),
            bucket_key_enabled: Some(false),
        }],
    }
}

/// A policy's statements.
pub(super) fn statements(document: &Value) -> Vec<&Value> {
    match &document["Statement"] {
        Value::Array(list) => list.iter().collect(),
        Value::Null => Vec::new(),
        one => vec![one],
    }
}

/// Everybody is allowed something, on no condition of the kinds that narrow it to a network.
fn is_public(document: &Value) -> bool {
    statements(document).into_iter().any(|statement| {
        let principal = &statement["Principal"];
        let everybody = *principal == "*" || principal["AWS"] == "*";
        let narrow = [
            "aws:SourceVpce",
            "aws:SourceVpc",
            "aws:SourceIp",
            "aws:SourceArn",
            "aws:PrincipalOrgID",
        ];
        let condition = statement["Condition"].to_string();
        statement["Effect"] == "Allow"
            && everybody
            && !narrow.iter().any(|key| condition.contains(key))
    })
}

fn xml_of(value: &impl Serialize) -> S3Result<Vec<u8>> {
    let mut xml = Vec::new();
    value.serialize(&mut Serializer::new(&mut xml)).map_err(S3Error::internal_error)?;
    Ok(xml)
}

fn of_xml<'xml, T: Deserialize<'xml>>(xml: &'xml [u8]) -> S3Result<T> {
    T::deserialize(&mut Deserializer::new(xml)).map_err(S3Error::internal_error)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_policy_is_public_unless_it_names_a_principal_or_a_network() {
        let policy = |effect: &str, principal: Value, condition: Value| {
            is_public(&json!({ "Statement": [{ "Effect": effect, "Principal": principal,
                "Action": "s3:GetObject", "Resource": "*", "Condition": condition }] }))
        };
        assert!(policy("Allow", json!("*"), json!({})));
        assert!(policy(
            "Allow",
            json!({ "AWS": "*" }),
            json!({ "Bool": { "aws:SecureTransport": "true" } })
        ));
        assert!(!policy("Deny", json!("*"), json!({})));
        assert!(!policy("Allow", json!({ "AWS": "111122223333" }), json!({})));
        let endpoint = json!({ "StringEquals": { "aws:SourceVpce": "vpce-1" } });
        assert!(!policy("Allow", json!("*"), endpoint));
    }
}
