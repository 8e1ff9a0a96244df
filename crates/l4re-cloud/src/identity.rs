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
        todo!()
    }

    /// `l4re-<account>-<region>`.
    pub async fn default_bucket(&self) -> Result<String, CloudError> {
        todo!()
    }
}
