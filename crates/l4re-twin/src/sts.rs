//! STS, as far as it says who one is and why something was refused: `GetCallerIdentity`,
//! `DecodeAuthorizationMessage`. API version 2011-06-15.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use serde_json::{Value, json};

use crate::ec2::uuid;
use crate::fault::Fault;
use crate::query::Params;
use crate::twin::Twin;
use crate::xml::write_element;

/// What is before the message in an encoded one, so that no other text passes for one.
const MARK: &[u8] = b"twin-refusal:";

/// Answers a call whose signature was checked, or says what was wrong with it.
pub(crate) fn answer(twin: &Twin, body: Result<Bytes, Fault>) -> (u16, String) {
    match body.and_then(|body| act(twin, &body)) {
        Ok((action, result)) => {
            let metadata = json!({ "RequestId": uuid() });
            let result_name = format!("{action}Result");
            let value = json!({ result_name: result, "ResponseMetadata": metadata });
            (200, document(&format!("{action}Response"), &value))
        }
        Err(fault) => {
            let stranger = fault.code == "AuthFailure";
            let code = if stranger { "InvalidClientTokenId" } else { fault.code.as_ref() };
            let error = json!({
                "Error": {"Type": "Sender", "Code": code, "Message": fault.message},
                "RequestId": uuid(),
            });
            (fault.status, document("ErrorResponse", &error))
        }
    }
}

fn act(twin: &Twin, body: &[u8]) -> Result<(&'static str, Value), Fault> {
    let params = Params::parse(body)?;
    let root = params.root();
    match root.get("Action").unwrap_or_default() {
        "GetCallerIdentity" => Ok(("GetCallerIdentity", identity(twin))),
        "DecodeAuthorizationMessage" => {
            let message = decode(root.require("EncodedMessage")?)?;
            Ok(("DecodeAuthorizationMessage", json!({ "DecodedMessage": message })))
        }
        action => {
            let message = format!("Could not find operation {action} for version 2011-06-15");
            Err(Fault::client("InvalidAction", message))
        }
    }
}

fn identity(twin: &Twin) -> Value {
    let account = twin.store.lock().account.id.clone();
    json!({
        "Arn": format!("arn:aws:iam::{account}:user/twin"),
        "UserId": "AIDATWINTWINTWINTWINT",
        "Account": account,
    })
}

/// The message of a refused call, as `UnauthorizedOperation` carries it. The twin refuses
/// nobody but by a plan of faults.
pub(crate) fn encoded_refusal(call: &str) -> String {
    let refusal = json!({
        "allowed": false,
        "explicitDeny": false,
        "matchedStatements": { "items": [] },
        "failures": { "items": [] },
        "context": {
            "principal": { "id": "AIDATWINTWINTWINTWINT", "name": "twin" },
            "action": call,
            "resource": "*",
            "conditions": { "items": [] },
        },
    });
    URL_SAFE_NO_PAD.encode([MARK, refusal.to_string().as_bytes()].concat())
}

fn decode(encoded: &str) -> Result<String, Fault> {
    let bytes = URL_SAFE_NO_PAD.decode(encoded).unwrap_or_default();
    let message = bytes.strip_prefix(MARK).and_then(|text| String::from_utf8(text.to_vec()).ok());
    message.ok_or_else(|| {
        let message = "Message is not valid";
        Fault::client("InvalidAuthorizationMessageException", message)
    })
}

fn document(name: &str, value: &Value) -> String {
    let mut xml = String::new();
    write_element(&mut xml, name, value);
    let namespace = "xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"";
    xml.replacen(&format!("<{name}>"), &format!("<{name} {namespace}>"), 1)
}
