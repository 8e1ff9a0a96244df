//! The services of AWS's JSON protocol (JSON 1.1): the call is named in a header, its
//! parameters and its answer are JSON.

use http::HeaderMap;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::endpoint::header;
use crate::fault::Fault;

/// What is before an action's name in `X-Amz-Target`.
const PREFIXES: &[&str] = &[crate::connect::TARGET, crate::pricing::TARGET, crate::quotas::TARGET];

/// The action that a request names.
pub(crate) fn action(headers: &HeaderMap) -> Option<&str> {
    let target = header(headers, "x-amz-target")?;
    PREFIXES.iter().find_map(|prefix| target.strip_prefix(prefix))
}

/// The parameters of a call; what is not of their form is the client's mistake.
pub(crate) fn read<T: DeserializeOwned>(body: &[u8], code: &'static str) -> Result<T, Fault> {
    // Some clients send nothing where they have nothing to say.
    let body = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(body).map_err(|error| Fault::client(code, error.to_string()))
}

/// How an action that is none is answered.
pub(crate) fn unknown(action: &str) -> Fault {
    Fault::client("UnknownOperationException", format!("no operation '{action}'"))
}

/// Status and body.
pub(crate) fn document(result: Result<Value, Fault>) -> (u16, String) {
    match result {
        Ok(value) => (200, value.to_string()),
        Err(fault) => {
            // Services disagree on the case of the message's name; clients read both.
            let error = json!({
                "__type": fault.code, "message": fault.message, "Message": fault.message,
            });
            (fault.status, error.to_string())
        }
    }
}
