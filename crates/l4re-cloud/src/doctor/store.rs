//! The bucket: whose it is, and whether a guest may fetch from it by plain HTTP.

use serde_json::Value;

use super::Finding;
use crate::connect::Cloud;
use crate::error::CloudError;
use crate::store::status;

const CHECK: &str = "bucket";
const USE_HTTPS: &str = "let guests fetch by HTTPS: `https = true` in the settings";

impl Cloud {
    pub(super) async fn examine_bucket(&self, named: Option<&str>, https: bool) -> Vec<Finding> {
        let (bucket, owner) = match named {
            Some(bucket) => (bucket.to_owned(), None),
            None => match self.identity().await {
                Ok(identity) => {
                    (format!("l4re-{}-{}", identity.account, self.region()), Some(identity.account))
                }
                Err(error) => return vec![Finding::unknown(CHECK, &error)],
            },
        };
        let head = self.s3().head_bucket().bucket(&bucket).set_expected_bucket_owner(owner);
        match head.send().await {
            Ok(answer) => {
                let region = answer.bucket_region().filter(|region| *region != self.region());
                if let Some(region) = region {
                    let text = format!("{bucket} is in {region}, not in {}", self.region());
                    return vec![Finding::problem(CHECK, text, "use a bucket of this region")];
                }
            }
            Err(error) if status(&error) == Some(404) => {
                let text = format!("{bucket} does not exist yet");
                let fix = "`--make-bucket` with the first deploy makes it".to_owned();
                return vec![Finding { fix: Some(fix), ..Finding::note(CHECK, text) }];
            }
            Err(error) if status(&error) == Some(403) => {
                let text = format!("{bucket} is another account's, or access to it is denied");
                let fix = "name another with `bucket = \"NAME\"`, or see `doctor --policy`";
                return vec![Finding::problem(CHECK, text, fix)];
            }
            Err(error) => {
                let failed = std::future::ready(Err::<(), _>(error));
                return match self.call("s3:HeadBucket", failed).await {
                    Err(error) => vec![Finding::unknown(CHECK, &error)],
                    Ok(()) => Vec::new(),
                };
            }
        }
        let mut findings = vec![Finding::good(CHECK, format!("{bucket} is there"))];
        let (policy, encryption, open) = tokio::join!(
            self.bucket_policy(&bucket, https),
            self.bucket_encryption(&bucket, https),
            self.public_access(&bucket),
        );
        findings.extend([policy, encryption, open]);
        findings
    }

    async fn bucket_policy(&self, bucket: &str, https: bool) -> Finding {
        let request = self.s3().get_bucket_policy().bucket(bucket);
        match self.call("s3:GetBucketPolicy", request.send()).await {
            Ok(answer) => {
                let policy = answer.policy.unwrap_or_default();
                plain_http("policy", demands_tls(&policy), https, "its policy demands TLS")
            }
            Err(CloudError::Service { code, .. }) if code == "NoSuchBucketPolicy" => {
                plain_http("policy", false, https, "")
            }
            Err(error) => Finding::unknown(CHECK, &error),
        }
    }

    /// S3 serves what is encrypted with KMS by TLS only.
    async fn bucket_encryption(&self, bucket: &str, https: bool) -> Finding {
        let request = self.s3().get_bucket_encryption().bucket(bucket);
        let kms = match self.call("s3:GetEncryptionConfiguration", request.send()).await {
            Ok(answer) => answer.server_side_encryption_configuration.is_some_and(|found| {
                let defaults = found.rules.iter();
                let mut defaults = defaults
                    .filter_map(|rule| rule.apply_server_side_encryption_by_default.as_ref());
                defaults.any(|default| default.sse_algorithm.as_str().starts_with("aws:kms"))
            }),
            Err(CloudError::Service { code, .. })
                if code == "ServerSideEncryptionConfigurationNotFoundError" =>
            {
                false
            }
            Err(error) => return Finding::unknown(CHECK, &error),
        };
        plain_http("encryption", kms, https, "it is encrypted with KMS, which wants TLS")
    }

    async fn public_access(&self, bucket: &str) -> Finding {
        let request = self.s3().get_public_access_block().bucket(bucket);
        let fix = format!(
            "aws s3api put-public-access-block --bucket {bucket} \
             --public-access-block-configuration BlockPublicAcls=true,IgnorePublicAcls=true,\
             BlockPublicPolicy=true,RestrictPublicBuckets=true"
        );
        match self.call("s3:GetBucketPublicAccessBlock", request.send()).await {
            Ok(answer) => {
                let blocked = answer.public_access_block_configuration.is_some_and(|block| {
                    [
                        block.block_public_acls,
                        block.ignore_public_acls,
                        block.block_public_policy,
                        block.restrict_public_buckets,
                    ]
                    .iter()
                    .all(|part| *part == Some(true))
                });
                match blocked {
                    true => Finding::good(CHECK, "it cannot be made public"),
                    false => Finding::warning(CHECK, "it could be made public", fix),
                }
            }
            Err(CloudError::Service { code, .. })
                if code == "NoSuchPublicAccessBlockConfiguration" =>
            {
                Finding::warning(CHECK, "it could be made public", fix)
            }
            Err(error) => Finding::unknown(CHECK, &error),
        }
    }
}

fn plain_http(of: &str, demands_tls: bool, https: bool, why: &str) -> Finding {
    match (demands_tls, https) {
        (true, false) => {
            Finding::problem(CHECK, format!("{why}, and guests fetch by plain HTTP"), USE_HTTPS)
        }
        (true, true) => Finding::good(CHECK, format!("{why}, and guests fetch by HTTPS")),
        (false, _) => Finding::good(CHECK, format!("its {of} lets guests fetch")),
    }
}

/// Whether a policy denies what does not come by TLS.
fn demands_tls(policy: &str) -> bool {
    let Ok(policy) = serde_json::from_str::<Value>(policy) else { return false };
    let statements = match policy.get("Statement") {
        Some(Value::Array(statements)) => statements.clone(),
        Some(statement) => vec![statement.clone()],
        None => Vec::new(),
    };
    let insecure = |statement: &Value| {
        let secure = statement.pointer("/Condition/Bool/aws:SecureTransport");
        let text = match secure {
            Some(Value::Array(values)) => values.first().cloned(),
            other => other.cloned(),
        };
        matches!(text, Some(Value::String(text)) if text.eq_ignore_ascii_case("false"))
            || matches!(secure, Some(Value::Bool(false)))
    };
    statements.iter().any(|statement| {
        statement.get("Effect").and_then(Value::as_str) == Some("Deny") && insecure(statement)
    })
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;

    #[test]
    fn a_policy_that_demands_tls_is_recognised() {
        let policy = |effect: &str, secure: &str| {
            format!(
                r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"{effect}","Principal":"*",
                "Action":"s3:*","Resource":"*",
                "Condition":{{"Bool":{{"aws:SecureTransport":{secure}}}}}}}]}}"#
            )
        };
        for secure in ["\"false\"", "[\"false\"]", "false"] {
            assert!(demands_tls(&policy("Deny", secure)), "{secure}");
        }
        assert!(!demands_tls(&policy("Deny", "\"true\"")));
        assert!(!demands_tls(&policy("Allow", "\"false\"")));
        assert!(!demands_tls("nonsense") && !demands_tls("{}"));
    }

    #[test]
    fn tls_is_a_problem_for_plain_http_only() {
        assert_eq!(plain_http("policy", true, false, "w").level, Level::Problem);
        assert_eq!(plain_http("policy", true, true, "w").level, Level::Good);
        assert_eq!(plain_http("policy", false, false, "w").level, Level::Good);
    }
}
