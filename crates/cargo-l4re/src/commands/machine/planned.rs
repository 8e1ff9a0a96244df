//! Calls that are shown instead of made: what `--dry-run` has in common.

use std::collections::BTreeMap;

use l4re_cloud::PlannedCall;
use serde_json::{Value, json};

use crate::commands::Context;
use crate::failure::Failure;

/// The calls as lines.
pub fn lines(calls: &[PlannedCall]) -> Vec<String> {
    let mut lines = vec!["Calls, in order:".to_owned()];
    for call in calls {
        lines.push(format!("   {}", call.name));
        let parameters = call.parameters.iter();
        lines.extend(parameters.map(|(key, value)| format!("      {key} = {value}")));
    }
    lines
}

/// The calls for programs.
pub fn message(calls: &[PlannedCall]) -> Value {
    let call = |call: &PlannedCall| {
        let parameters = call.parameters.iter().map(|(key, value)| (key.clone(), value.clone()));
        json!({ "name": call.name, "parameters": parameters.collect::<BTreeMap<_, _>>() })
    };
    calls.iter().map(call).collect()
}

/// Shows the calls of a command that launches nothing.
pub fn show(context: &Context, calls: &[PlannedCall]) -> Result<(), Failure> {
    for line in lines(calls) {
        context.shell.result(line)?;
    }
    Ok(context.shell.json("calls", &json!({ "calls": message(calls) }))?)
}
