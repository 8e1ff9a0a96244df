//! Why a right is missing: read from the service's words, and decoded by STS where EC2
//! hands out only a code.
//!
//! Invariant: decoding is an aid; where it fails, the denial stands as it was.

use crate::connect::Cloud;
use crate::error::{CloudError, Denied};

const ENCODED: &str = "Encoded authorization failure message:";

/// Reads "User: ARN is not authorized to perform: ACTION on resource: ARN because WHY".
pub(crate) fn read_denial(call: &str, message: &str) -> Denied {
    let (text, encoded) = match message.split_once(ENCODED) {
        Some((text, encoded)) => (text.trim(), Some(encoded.trim().to_owned())),
        None => (message.trim(), None),
    };
    let after = |marker: &str| {
        let rest = text.split_once(marker)?.1.trim_start();
        let word = rest.split_whitespace().next()?.trim_end_matches(['.', ',']);
        Some(word.to_owned())
    };
    let cause = match text.split_once(" because ") {
        Some((_, why)) => why.trim_end_matches('.').to_owned(),
        None => text.trim_end_matches('.').to_owned(),
    };
    Denied {
        action: after("to perform:").unwrap_or_else(|| call.to_owned()),
        principal: after("User:"),
        resource: after("on resource:").map(|r| r.trim_matches('"').to_owned()),
        cause,
        decoded: encoded,
    }
}

impl Cloud {
    /// Replaces the encoded message of a denial by what STS decodes of it.
    pub(crate) async fn decode_denial(&self, error: CloudError) -> CloudError {
        let CloudError::AccessDenied(mut denied) = error else { return error };
        if let Some(encoded) = denied.decoded.take() {
            let answer =
                self.sts().decode_authorization_message().encoded_message(encoded).send().await;
            denied.decoded = answer.ok().and_then(|output| output.decoded_message);
        }
        CloudError::AccessDenied(denied)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_words_of_ec2() {
        let denied = read_denial(
            "ec2:RunInstances",
            "You are not authorized to perform this operation. User: arn:aws:iam::1:user/ada is \
             not authorized to perform: ec2:RunInstances on resource: \
             arn:aws:ec2:eu-central-1:1:instance/* because no identity-based policy allows the \
             ec2:RunInstances action. Encoded authorization failure message: AbC-12_x",
        );
        assert_eq!(denied.action, "ec2:RunInstances");
        assert_eq!(denied.principal.as_deref(), Some("arn:aws:iam::1:user/ada"));
        assert_eq!(denied.resource.as_deref(), Some("arn:aws:ec2:eu-central-1:1:instance/*"));
        assert_eq!(denied.cause, "no identity-based policy allows the ec2:RunInstances action");
        assert_eq!(denied.decoded.as_deref(), Some("AbC-12_x"));
    }

    #[test]
    fn reads_the_words_of_s3() {
        let denied = read_denial(
            "s3:PutObject",
            "User: arn:aws:sts::1:assumed-role/r/s is not authorized to perform: s3:PutObject on \
             resource: \"arn:aws:s3:::b/k\" with an explicit deny in a resource-based policy",
        );
        assert_eq!(denied.resource.as_deref(), Some("arn:aws:s3:::b/k"));
        assert!(denied.cause.contains("explicit deny"));
    }

    #[test]
    fn a_bare_message_is_the_cause() {
        let denied = read_denial("s3:PutObject", "Access Denied");
        assert_eq!(
            (denied.action.as_str(), denied.cause.as_str()),
            ("s3:PutObject", "Access Denied")
        );
        assert_eq!(denied.to_string(), "access denied: s3:PutObject: Access Denied");
    }
}
