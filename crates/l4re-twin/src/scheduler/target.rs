//! What a schedule does: a call of EC2 by its universal target,
//! `arn:aws:scheduler:::aws-sdk:ec2:terminateInstances`, with the call's parameters as JSON.

use serde_json::Value;

/// Calls that the twin carries out at a schedule's time, as targets and as actions.
const CALLS: &[(&str, &str)] = &[
    ("rebootInstances", "RebootInstances"),
    ("startInstances", "StartInstances"),
    ("stopInstances", "StopInstances"),
    ("terminateInstances", "TerminateInstances"),
];

/// The call as EC2's query protocol has it, or what is wrong with the target.
pub(super) fn form(arn: &str, input: Option<&str>) -> Result<String, String> {
    let call = arn.split_once(":scheduler:::aws-sdk:ec2:").map(|(_, call)| call);
    let known = CALLS.iter().find(|(name, _)| call == Some(*name));
    let Some((_, action)) = known else {
        return Err(format!(
            "Provided Arn is not in correct format or no target of the twin: {arn}"
        ));
    };
    let input: Value = serde_json::from_str(input.unwrap_or("{}"))
        .map_err(|error| format!("Input is not JSON: {error}"))?;
    let members = input.as_object().ok_or("Input must be a JSON object")?;
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("Action", action);
    for (name, value) in members {
        match value {
            // Lists are named in the singular and numbered.
            Value::Array(items) => {
                let name = name.strip_suffix('s').unwrap_or(name);
                for (index, item) in items.iter().enumerate() {
                    form.append_pair(&format!("{name}.{}", index + 1), &text(item)?);
                }
            }
            other => {
                form.append_pair(name, &text(other)?);
            }
        }
    }
    Ok(form.finish())
}

fn text(value: &Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Bool(_) | Value::Number(_) => Ok(value.to_string()),
        other => Err(format!("Input has a value that the call does not take: {other}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_input_becomes_the_calls_parameters() {
        let arn = "arn:aws:scheduler:::aws-sdk:ec2:terminateInstances";
        let input = r#"{"InstanceIds": ["i-1", "i-2"], "Force": true}"#;
        assert_eq!(
            form(arn, Some(input)).unwrap(),
            "Action=TerminateInstances&Force=true&InstanceId.1=i-1&InstanceId.2=i-2"
        );
        for (arn, input) in [
            ("arn:aws:lambda:eu-central-1:1:function:x", "{}"),
            ("arn:aws:scheduler:::aws-sdk:ec2:runInstances", "{}"),
            (arn, "["),
            (arn, "[]"),
            (arn, r#"{"InstanceIds": [{}]}"#),
        ] {
            assert!(form(arn, Some(input)).is_err(), "{arn} {input}");
        }
    }
}
