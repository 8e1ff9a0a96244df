//! Why a right is missing: read from the service's words, and decoded by STS where EC2
//! hands out only a code.
//!
//! Invariant: decoding is an aid; where it fails, the denial stands as it was.

use serde_json::Value;

use crate::connect::Cloud;
use crate::error::{CloudError, Decision, Denied};

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
        encoded,
        decision: None,
    }
}

/// Keys of conditions that policies on launches are often about, without their services.
const TELLING: &[&str] = &["InstanceType", "MetadataHttpTokens", "RequestedRegion"];

/// Reads what STS decoded: "DecodeAuthorizationMessage" of the STS API reference.
fn read_decision(text: &str) -> Option<Decision> {
    let message: Value = serde_json::from_str(text).ok()?;
    let items = |pointer: &str| {
        let items = message.pointer(pointer).and_then(Value::as_array);
        items.map(Vec::as_slice).unwrap_or_default()
    };
    let name = |statement: &Value| {
        let name = statement.get("statementId")?.as_str()?;
        (!name.is_empty()).then(|| name.to_owned())
    };
    let condition = |condition: &Value| {
        let key = condition.get("key")?.as_str()?;
        let (_, name) = key.split_once(':')?;
        if !TELLING.contains(&name) {
            return None;
        }
        let values = condition.pointer("/values/items")?.as_array()?;
        let values = values.iter().filter_map(|value| value.get("value")?.as_str());
        Some((key.to_owned(), values.collect::<Vec<_>>().join(", ")))
    };
    Some(Decision {
        explicit_deny: message.get("explicitDeny")?.as_bool()?,
        statements: items("/matchedStatements/items").iter().filter_map(name).collect(),
        request: items("/context/conditions/items").iter().filter_map(condition).collect(),
    })
}

impl Cloud {
    /// Adds to a denial what STS decodes of its encoded message.
    pub(crate) async fn decode_denial(&self, error: CloudError) -> CloudError {
        let CloudError::AccessDenied(mut denied) = error else { return error };
        if let Some(encoded) = &denied.encoded {
            let request = self.sts().decode_authorization_message().encoded_message(encoded);
            let decoded = request.send().await.ok().and_then(|answer| answer.decoded_message);
            denied.decision = decoded.as_deref().and_then(read_decision);
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
        assert_eq!(denied.encoded.as_deref(), Some("AbC-12_x"));
    }

    #[test]
    fn reads_what_sts_decodes() {
        let text = r#"{"allowed":false,"explicitDeny":true,"matchedStatements":{"items":[
            {"statementId":"NoMetal","effect":"DENY"},{"statementId":"","effect":"DENY"}]},
            "failures":{"items":[]},"context":{"conditions":{"items":[
            {"key":"ec2:InstanceType","values":{"items":[{"value":"m7g.metal"}]}},
            {"key":"ec2:Vpc","values":{"items":[{"value":"vpc-1"}]}}]}}}"#;
        let decision = read_decision(text).unwrap();
        assert_eq!(
            decision.to_string(),
            "a policy denies it: statement `NoMetal` (ec2:InstanceType = m7g.metal)"
        );
        let bare = read_decision(r#"{"allowed":false,"explicitDeny":false}"#).unwrap();
        assert_eq!(bare.to_string(), "no statement of any policy allows it");
        for broken in ["", "[]", "{}", r#"{"explicitDeny":"no"}"#] {
            assert_eq!(read_decision(broken), None, "{broken}");
        }
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
