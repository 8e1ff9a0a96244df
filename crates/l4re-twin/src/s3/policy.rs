//! What a bucket's policy denies. Everybody who signs here is the account itself, to whom all
//! is allowed, so that statements which allow change nothing; those which deny do. Spec: IAM
//! user guide, "Policy evaluation logic" and "Condition operators".
//!
//! Invariant: what the twin does not know of a request is absent from it, as a key is on AWS
//! for a request that has none; nothing comes by TLS.

use std::sync::Arc;

use s3s::access::{S3Access, S3AccessContext};
use s3s::path::S3Path;
use s3s::{S3Result, s3_error};
use serde_json::Value;

use crate::ec2::glob;
use crate::s3::Objects;
use crate::s3::settings::{policy_of, statements};

/// Who may do what: whoever signs, and no bucket's policy denies it.
pub(super) struct Access {
    pub(super) objects: Arc<Objects>,
    pub(super) account: String,
}

#[async_trait::async_trait]
impl S3Access for Access {
    async fn check(&self, context: &mut S3AccessContext<'_>) -> S3Result<()> {
        if context.credentials().is_none() {
            return Err(s3_error!(AccessDenied, "Signature is required"));
        }
        let (bucket, resource) = match context.s3_path() {
            S3Path::Root => return Ok(()),
            S3Path::Bucket { bucket } => (bucket, format!("arn:aws:s3:::{bucket}")),
            S3Path::Object { bucket, key } => (bucket, format!("arn:aws:s3:::{bucket}/{key}")),
        };
        let action = action(context.s3_op().name());
        // Who is shut out by a policy can always mend it, as the account's root can on AWS.
        let mends = ["s3:GetBucketPolicy", "s3:PutBucketPolicy", "s3:DeleteBucketPolicy"];
        let Some(policy) = policy_of(&self.objects, bucket) else { return Ok(()) };
        let request = Request { account: &self.account, action: &action, resource: &resource };
        if mends.contains(&&*action) || !request.is_denied(&policy) {
            return Ok(());
        }
        Err(s3_error!(
            AccessDenied,
            "User: {} is not authorized to perform: {action} on resource: \"{resource}\" with an \
             explicit deny in a resource-based policy",
            request.arn()
        ))
    }
}

/// IAM's name for what an operation does.
fn action(operation: &str) -> String {
    let name = match operation {
        "HeadObject" => "GetObject",
        "HeadBucket" | "ListObjects" | "ListObjectsV2" => "ListBucket",
        "CopyObject" | "CreateMultipartUpload" | "UploadPart" | "CompleteMultipartUpload" => {
            "PutObject"
        }
        "DeleteObjects" => "DeleteObject",
        "ListParts" => "ListMultipartUploadParts",
        "ListMultipartUploads" => "ListBucketMultipartUploads",
        "GetPublicAccessBlock" => "GetBucketPublicAccessBlock",
        "PutPublicAccessBlock" | "DeletePublicAccessBlock" => "PutBucketPublicAccessBlock",
        "GetBucketLifecycleConfiguration" => "GetLifecycleConfiguration",
        "PutBucketLifecycleConfiguration" | "DeleteBucketLifecycle" => "PutLifecycleConfiguration",
        "GetBucketEncryption" => "GetEncryptionConfiguration",
        other => other,
    };
    format!("s3:{name}")
}

/// What policies look at.
struct Request<'a> {
    account: &'a str,
    action: &'a str,
    resource: &'a str,
}

impl Request<'_> {
    fn arn(&self) -> String {
        format!("arn:aws:iam::{}:user/twin", self.account)
    }

    fn is_denied(&self, policy: &Value) -> bool {
        statements(policy).into_iter().any(|statement| {
            statement["Effect"] == "Deny"
                && fits(statement, "Principal", |principal| self.is_principal(principal))
                && fits(statement, "Action", |action| {
                    any(action, |one| like(&one.to_ascii_lowercase(), &self.action.to_lowercase()))
                })
                && fits(statement, "Resource", |it| any(it, |one| like(one, self.resource)))
                && self.meets(&statement["Condition"])
        })
    }

    fn is_principal(&self, principal: &Value) -> bool {
        let root = format!("arn:aws:iam::{}:root", self.account);
        let me = [self.account, &root, &self.arn()].map(str::to_owned);
        *principal == "*"
            || any(&principal["AWS"], |one| one == "*" || me.contains(&one.to_owned()))
    }

    /// Whether all conditions hold.
    fn meets(&self, conditions: &Value) -> bool {
        let Some(operators) = conditions.as_object() else { return true };
        operators.iter().all(|(operator, keys)| {
            keys.as_object().into_iter().flatten().all(|(key, wanted)| {
                holds(operator, self.value(&key.to_ascii_lowercase()).as_deref(), wanted)
            })
        })
    }

    fn value(&self, key: &str) -> Option<String> {
        match key {
            "aws:securetransport" => Some("false".to_owned()),
            "aws:principalaccount" | "s3:resourceaccount" => Some(self.account.to_owned()),
            "aws:principalarn" => Some(self.arn()),
            _ => None,
        }
    }
}

/// Whether an element, or its opposite, takes the request in.
fn fits(statement: &Value, name: &str, is: impl Fn(&Value) -> bool) -> bool {
    match (&statement[name], &statement[format!("Not{name}")]) {
        (Value::Null, Value::Null) => false,
        (Value::Null, not) => !is(not),
        (value, _) => is(value),
    }
}

/// Whether a condition holds for a key's value, which may be absent.
fn holds(operator: &str, value: Option<&str>, wanted: &Value) -> bool {
    let operator = operator.rsplit(':').next().unwrap_or_default();
    if operator == "Null" {
        return any(wanted, |one| (one == "true") == value.is_none());
    }
    let (operator, if_exists) =
        operator.strip_suffix("IfExists").map_or((operator, false), |operator| (operator, true));
    let not = operator.contains("Not");
    let Some(value) = value else { return if_exists || not };
    let equal = |one: &str| match operator {
        "Bool" | "StringEqualsIgnoreCase" | "StringNotEqualsIgnoreCase" => {
            one.eq_ignore_ascii_case(value)
        }
        "StringLike" | "StringNotLike" | "ArnLike" | "ArnNotLike" | "ArnEquals"
        | "ArnNotEquals" => like(one, value),
        _ => one == value,
    };
    any(wanted, equal) != not
}

/// Whether any of one or more texts does.
fn any(value: &Value, does: impl Fn(&str) -> bool) -> bool {
    let one = |value: &Value| match value {
        Value::String(text) => does(text),
        Value::Bool(on) => does(if *on { "true" } else { "false" }),
        _ => false,
    };
    value.as_array().map_or_else(|| one(value), |list| list.iter().any(one))
}

fn like(pattern: &str, text: &str) -> bool {
    glob(pattern.as_bytes(), text.as_bytes())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn denied(statement: Value) -> bool {
        let request = Request {
            account: "111122223333",
            action: "s3:GetObject",
            resource: "arn:aws:s3:::bucket/l4re/hello.efi",
        };
        let mut whole = json!({ "Effect": "Deny", "Principal": "*", "Action": "s3:*",
            "Resource": "arn:aws:s3:::bucket/*" });
        for (name, value) in statement.as_object().unwrap() {
            whole[name] = value.clone();
        }
        request.is_denied(&json!({ "Statement": whole }))
    }

    #[test]
    fn what_must_come_by_tls_does_not_come_here() {
        for insecure in [json!("false"), json!(["false"]), json!(false)] {
            assert!(denied(
                json!({ "Condition": { "Bool": { "aws:SecureTransport": insecure } } })
            ));
        }
        let secure = json!({ "Bool": { "aws:SecureTransport": "true" } });
        assert!(!denied(json!({ "Condition": secure })));
        assert!(!denied(json!({ "Effect": "Allow" })));
    }

    #[test]
    fn statements_are_about_somebody_something_and_some_place() {
        assert!(denied(json!({})));
        assert!(denied(json!({ "Action": ["s3:Put*", "s3:getobject"] })));
        assert!(!denied(json!({ "Action": "s3:PutObject" })));
        assert!(!denied(json!({ "Resource": "arn:aws:s3:::bucket" })));
        assert!(!denied(json!({ "Principal": { "AWS": "444455556666" } })));
        assert!(denied(json!({ "Principal": { "AWS": ["111122223333", "444455556666"] } })));
        assert!(denied(json!({ "Action": null, "NotAction": "s3:PutObject" })));
        assert!(!denied(json!({ "Resource": null, "NotResource": "arn:aws:s3:::bucket/l4re/*" })));
    }

    #[test]
    fn what_a_request_lacks_is_absent() {
        let when = |condition: Value| denied(json!({ "Condition": condition }));
        let endpoint = json!({ "aws:SourceVpce": "vpce-1" });
        assert!(!when(json!({ "StringEquals": endpoint })));
        assert!(when(json!({ "StringNotEquals": endpoint })));
        assert!(when(json!({ "StringEqualsIfExists": endpoint })));
        assert!(when(json!({ "Null": { "aws:SourceVpce": "true" } })));
        assert!(!when(json!({ "StringNotEquals": { "aws:PrincipalAccount": "111122223333" } })));
        assert!(when(json!({ "ArnLike": { "aws:PrincipalArn": "arn:aws:iam::*:user/*" } })));
    }
}
