//! Who the credentials are: asked once for each connection.

use crate::connect::Cloud;
use crate::error::CloudError;

/// Who the credentials are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The account's twelve digits.
    pub account: String,
    /// The caller's ARN.
    pub arn: String,
}

impl Identity {
    /// A short word for the caller: the user's or the session's name.
    pub fn owner(&self) -> &str {
        self.arn.rsplit(['/', ':']).next().unwrap_or(&self.arn)
    }
}

impl Cloud {
    /// Who the credentials are; the answer is kept.
    pub async fn identity(&self) -> Result<Identity, CloudError> {
        let ask = || async {
            const CALL: &str = "sts:GetCallerIdentity";
            let answer = self.call(CALL, self.sts().get_caller_identity().send()).await?;
            let lacks = |what: &str| CloudError::BadAnswer {
                call: CALL,
                cause: format!("the answer lacks the {what}"),
            };
            Ok(Identity {
                account: answer.account.ok_or_else(|| lacks("account"))?,
                arn: answer.arn.ok_or_else(|| lacks("ARN"))?,
            })
        };
        self.identity_cell().get_or_try_init(ask).await.cloned()
    }

    /// `l4re-<account>-<region>`.
    pub async fn default_bucket(&self) -> Result<String, CloudError> {
        let identity = self.identity().await?;
        Ok(format!("l4re-{}-{}", identity.account, self.region()))
    }
}
