//! The names of all calls that a fault can happen on, so that a misspelt one is refused: it would
//! never happen, and nobody would know.

use crate::ec2;

/// Those of the services beside EC2, and what is no call of a client.
const OTHERS: &[&str] = &[
    "connect:SendSerialConsoleSSHPublicKey",
    "console:session",
    "ebs:CompleteSnapshot",
    "ebs:GetSnapshotBlock",
    "ebs:ListChangedBlocks",
    "ebs:ListSnapshotBlocks",
    "ebs:PutSnapshotBlock",
    "ebs:StartSnapshot",
    "guest:GET",
    "guest:HEAD",
    "guest:PUT",
    "guest:metadata",
    "machine:network",
    "pricing:GetProducts",
    "s3:DELETE",
    "s3:GET",
    "s3:HEAD",
    "s3:POST",
    "s3:PUT",
    "scheduler:CreateSchedule",
    "scheduler:DeleteSchedule",
    "scheduler:GetSchedule",
    "scheduler:ListSchedules",
    "scheduler:UpdateSchedule",
    "servicequotas:GetAWSDefaultServiceQuota",
    "servicequotas:GetServiceQuota",
    "servicequotas:ListAWSDefaultServiceQuotas",
    "servicequotas:ListServiceQuotas",
    "servicequotas:RequestServiceQuotaIncrease",
    "sts:DecodeAuthorizationMessage",
    "sts:GetCallerIdentity",
];

/// Whether any call fits a rule's pattern.
pub(super) fn exists(fits: impl Fn(&str) -> bool) -> bool {
    OTHERS.iter().any(|name| fits(name))
        || ec2::action_names().any(|action| fits(&format!("ec2:{action}")))
}
