//! The least rights with which everything here works, as an IAM policy.
//!
//! Invariant: it names each action that this crate calls, and none that it does not (a test
//! reads the calls from the source). What changes or ends an instance is limited to what
//! carries our tag, objects to the bucket, schedules to our names.

use serde_json::{Value, json};

/// What the policy is for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PolicyOptions {
    /// The bucket; all that have our default name if none.
    pub bucket: Option<String>,
    /// The role as which AWS ends instances; without it nothing of schedules is allowed.
    pub scheduler_role: Option<String>,
}

const READ: &[&str] = &[
    "ec2:DescribeImages",
    "ec2:DescribeInstanceTypeOfferings",
    "ec2:DescribeInstanceTypes",
    "ec2:DescribeInstances",
    "ec2:DescribePrefixLists",
    "ec2:DescribeRegions",
    "ec2:DescribeRouteTables",
    "ec2:DescribeSnapshots",
    "ec2:DescribeSubnets",
    "ec2:DescribeVolumes",
    "ec2:GetInstanceMetadataDefaults",
    "ec2:GetSerialConsoleAccessStatus",
    "pricing:GetProducts",
    "servicequotas:GetServiceQuota",
    "sts:DecodeAuthorizationMessage",
];

/// On what carries our tag only.
const OURS: &[&str] = &[
    "ec2:DeleteSnapshot",
    "ec2:DeleteVolume",
    "ec2:DeregisterImage",
    "ec2:GetConsoleOutput",
    "ec2:ModifyInstanceAttribute",
    "ec2:RebootInstances",
    "ec2:StartInstances",
    "ec2:StopInstances",
    "ec2:TerminateInstances",
    "ec2-instance-connect:SendSerialConsoleSSHPublicKey",
];

/// What makes an AMI. Its blocks go into a snapshot that has just been made with our tags.
const AMIS: &[&str] =
    &["ebs:CompleteSnapshot", "ebs:PutSnapshotBlock", "ebs:StartSnapshot", "ec2:RegisterImage"];

const OBJECTS: &[&str] =
    &["s3:AbortMultipartUpload", "s3:DeleteObject", "s3:GetObject", "s3:PutObject"];

const BUCKET: &[&str] = &[
    "s3:CreateBucket",
    "s3:GetBucketPolicy",
    "s3:GetBucketPublicAccessBlock",
    "s3:GetEncryptionConfiguration",
    "s3:ListBucket",
    "s3:ListBucketMultipartUploads",
    "s3:PutBucketPublicAccessBlock",
    "s3:PutLifecycleConfiguration",
];

const SCHEDULES: &[&str] =
    &["scheduler:CreateSchedule", "scheduler:DeleteSchedule", "scheduler:UpdateSchedule"];

/// The policy, as IAM takes it.
pub fn policy(options: &PolicyOptions) -> Value {
    let bucket = options.bucket.as_deref().unwrap_or("l4re-*");
    let ours = json!({ "Null": { "aws:ResourceTag/l4re:name": "false" } });
    let mut statements = vec![
        json!({ "Sid": "Look", "Effect": "Allow", "Action": READ, "Resource": "*" }),
        json!({
            "Sid": "Launch", "Effect": "Allow", "Resource": "*",
            "Action": ["ec2:RunInstances", "ec2:CancelSpotInstanceRequests"],
        }),
        json!({ "Sid": "Amis", "Effect": "Allow", "Action": AMIS, "Resource": "*" }),
        json!({
            "Sid": "TagWhatIsMade", "Effect": "Allow", "Action": "ec2:CreateTags", "Resource": "*",
            "Condition": { "Null": { "ec2:CreateAction": "false" } },
        }),
        json!({
            "Sid": "TagWhatIsOurs", "Effect": "Allow", "Action": "ec2:CreateTags",
            "Resource": "*", "Condition": ours,
        }),
        json!({
            "Sid": "WhatIsOurs", "Effect": "Allow", "Action": OURS, "Resource": "*",
            "Condition": ours,
        }),
        json!({
            "Sid": "Objects", "Effect": "Allow", "Action": OBJECTS,
            "Resource": format!("arn:aws:s3:::{bucket}/l4re/*"),
        }),
        json!({
            "Sid": "Bucket", "Effect": "Allow", "Action": BUCKET,
            "Resource": format!("arn:aws:s3:::{bucket}"),
        }),
    ];
    if let Some(role) = &options.scheduler_role {
        statements.extend([
            json!({
                "Sid": "Schedules", "Effect": "Allow", "Action": SCHEDULES,
                "Resource": "arn:aws:scheduler:*:*:schedule/default/l4re-*",
            }),
            json!({
                "Sid": "ListSchedules", "Effect": "Allow", "Action": "scheduler:ListSchedules",
                "Resource": "*",
            }),
            json!({
                "Sid": "PassRole", "Effect": "Allow", "Action": "iam:PassRole", "Resource": role,
                "Condition": { "StringEquals": {
                    "iam:PassedToService": "scheduler.amazonaws.com"
                } },
            }),
        ]);
    }
    json!({ "Version": "2012-10-17", "Statement": statements })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// Rights that no call is named after: what tags at creation and the role need.
    const BESIDE_CALLS: [&str; 2] = ["iam:PassRole", "sts:DecodeAuthorizationMessage"];

    fn allowed() -> BTreeSet<String> {
        let options =
            PolicyOptions { bucket: None, scheduler_role: Some("arn:aws:iam::1:role/r".into()) };
        let policy = policy(&options);
        let statements = policy["Statement"].as_array().unwrap().clone();
        let actions = statements.iter().flat_map(|statement| match &statement["Action"] {
            Value::Array(actions) => actions.clone(),
            one => vec![one.clone()],
        });
        actions.map(|action| action.as_str().unwrap().to_owned()).collect()
    }

    /// The right that a call needs, where it is not named like the call.
    fn right(call: &str) -> Option<&str> {
        match call {
            // Anybody may ask who they are.
            "sts:GetCallerIdentity" => None,
            "s3:CompleteMultipartUpload"
            | "s3:CreateMultipartUpload"
            | "s3:UploadPart"
            | "s3:CopyObject" => Some("s3:PutObject"),
            "s3:HeadObject" => Some("s3:GetObject"),
            "s3:HeadBucket" => Some("s3:ListBucket"),
            "s3:PutPublicAccessBlock" => Some("s3:PutBucketPublicAccessBlock"),
            call => Some(call),
        }
    }

    /// Each `"service:Action"` in the source, tests and this file aside.
    fn called() -> BTreeSet<String> {
        let mut calls = BTreeSet::new();
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/src");
        let mut folders = vec![std::path::PathBuf::from(root)];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let name = path.file_name().unwrap().to_str().unwrap().to_owned();
                if path.is_dir() && name != "testing" {
                    folders.push(path);
                } else if name.ends_with(".rs") && name != "policy.rs" {
                    let text = std::fs::read_to_string(&path).unwrap();
                    let code = text.split("#[cfg(test)]").next().unwrap();
                    calls.extend(code.split('"').filter_map(call));
                }
            }
        }
        calls
    }

    fn call(word: &str) -> Option<String> {
        let word = word.trim_end_matches(" (signing)");
        let (service, action) = word.split_once(':')?;
        let known = ["ebs", "ec2", "ec2-instance-connect", "pricing", "s3", "scheduler"];
        let known = known.contains(&service) || ["servicequotas", "sts"].contains(&service);
        let named = action.starts_with(|c: char| c.is_ascii_uppercase())
            && action.chars().all(|c| c.is_ascii_alphanumeric());
        (known && named).then(|| word.to_owned())
    }

    #[test]
    fn it_allows_each_call_and_nothing_else() {
        let calls = called();
        assert!(calls.contains("ec2:RunInstances") && calls.len() > 40, "{calls:?}");
        let needed: BTreeSet<String> =
            calls.iter().filter_map(|call| right(call)).map(ToOwned::to_owned).collect();
        let allowed = allowed();
        let lacking: Vec<_> = needed.difference(&allowed).collect();
        assert!(lacking.is_empty(), "called and not allowed: {lacking:?}");
        let idle = allowed.difference(&needed).filter(|a| !BESIDE_CALLS.contains(&a.as_str()));
        let idle: Vec<_> = idle.collect();
        assert!(idle.is_empty(), "allowed and never called: {idle:?}");
    }

    #[test]
    fn a_named_bucket_and_no_role_allow_less() {
        let options = PolicyOptions { bucket: Some("pics".into()), scheduler_role: None };
        let text = policy(&options).to_string();
        assert!(text.contains("arn:aws:s3:::pics/l4re/*") && !text.contains("l4re-*"));
        assert!(!text.contains("scheduler") && !text.contains("PassRole"));
        // What IAM takes of a managed policy.
        assert!(text.len() < 6144);
    }
}
