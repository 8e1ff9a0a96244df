//! STS, as far as it says who one is: `GetCallerIdentity`. API version 2011-06-15.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::ec2::uuid;
use crate::fault::Fault;
use crate::query::Params;
use crate::twin::Twin;
use crate::xml::write_element;

/// Answers a call whose signature was checked, or says what was wrong with it.
pub(crate) fn answer(twin: &Twin, body: Result<Bytes, Fault>) -> (u16, String) {
    match body.and_then(|body| act(twin, &body)) {
        Ok(value) => (200, document("GetCallerIdentityResponse", &value)),
        Err(fault) => {
            let error = json!({
                "Error": {"Type": "Sender", "Code": fault.code, "Message": fault.message},
                "RequestId": uuid(),
            });
            (fault.status, document("ErrorResponse", &error))
        }
    }
}

fn act(twin: &Twin, body: &[u8]) -> Result<Value, Fault> {
    let params = Params::parse(body)?;
    let action = params.root().get("Action").unwrap_or_default();
    if action != "GetCallerIdentity" {
        let message = format!("Could not find operation {action} for version 2011-06-15");
        return Err(Fault::client("InvalidAction", message));
    }
    let account = twin.store.lock().account.id.clone();
    Ok(json!({
        "GetCallerIdentityResult": {
            "Arn": format!("arn:aws:iam::{account}:user/twin"),
            "UserId": "AIDATWINTWINTWINTWINT",
            "Account": account,
        },
        "ResponseMetadata": { "RequestId": uuid() },
    }))
}

fn document(name: &str, value: &Value) -> String {
    let mut xml = String::new();
    write_element(&mut xml, name, value);
    let namespace = "xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"";
    xml.replacen(&format!("<{name}>"), &format!("<{name} {namespace}>"), 1)
}
