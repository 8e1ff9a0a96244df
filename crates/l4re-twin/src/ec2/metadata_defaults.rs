//! The account's defaults for the metadata service, and its will that IMDSv2 be used.

use serde_json::{Value, json};

use super::actions::Call;
use super::launch_request::metadata_options;
use crate::fault::Fault;
use crate::query::Scope;
use crate::state::{Account, MetadataOptions};

/// Parameter, element, and the values that it takes; the hop limit is a number.
const SETTINGS: &[(&str, &str, &[&str])] = &[
    ("HttpTokens", "httpTokens", &["optional", "required"]),
    ("HttpPutResponseHopLimit", "httpPutResponseHopLimit", &[]),
    ("HttpEndpoint", "httpEndpoint", &["enabled", "disabled"]),
    ("InstanceMetadataTags", "instanceMetadataTags", &["enabled", "disabled"]),
    ("HttpTokensEnforced", "httpTokensEnforced", &["enabled", "disabled"]),
];

/// `GetInstanceMetadataDefaults`.
pub(super) fn get(call: &Call<'_>) -> Result<Value, Fault> {
    let state = call.twin.store.lock();
    let mut level = json!({ "managedBy": "account" });
    for (name, value) in &state.account.metadata_defaults {
        level[name] = Value::from(value.as_str());
    }
    Ok(json!({ "accountLevel": level }))
}

/// `ModifyInstanceMetadataDefaults`.
pub(super) fn modify(call: &Call<'_>) -> Result<Value, Fault> {
    let root = call.root();
    let mut state = call.twin.store.lock();
    let mut defaults = state.account.metadata_defaults.clone();
    for (parameter, element, values) in SETTINGS {
        let Some(value) = root.get(parameter) else { continue };
        let number = value.parse::<u8>().is_ok_and(|limit| (1..=64).contains(&limit));
        if value == "no-preference" || value == "-1" {
            defaults.remove(*element);
        } else if values.contains(&value) || values.is_empty() && number {
            defaults.insert((*element).to_owned(), value.to_owned());
        } else {
            return Err(Fault::invalid(format!("Value ({value}) for {parameter} is invalid.")));
        }
    }
    state.account.metadata_defaults = defaults;
    call.twin.store.save_account(&state)?;
    Ok(json!({ "return": true }))
}

/// What a launch gets: what it says, else the account's defaults, else the AMI's, else EC2's.
pub(super) fn for_launch(
    scope: &Scope<'_>,
    account: &Account,
    image_requires_tokens: bool,
) -> Result<MetadataOptions, Fault> {
    let default = |name: &str| account.metadata_defaults.get(name).map(String::as_str);
    let defaults = MetadataOptions {
        tokens_required: default("httpTokens")
            .map_or(image_requires_tokens, |tokens| tokens == "required"),
        hop_limit: default("httpPutResponseHopLimit")
            .and_then(|n| n.parse().ok())
            .unwrap_or(if image_requires_tokens { 2 } else { 1 }),
        endpoint_enabled: default("httpEndpoint") != Some("disabled"),
        tags_enabled: default("instanceMetadataTags") == Some("enabled"),
    };
    let options = metadata_options(scope, defaults)?;
    refuse_first_version(&options, account)?;
    Ok(options)
}

/// An account that enforces IMDSv2 has no instance without it.
pub(super) fn refuse_first_version(
    options: &MetadataOptions,
    account: &Account,
) -> Result<(), Fault> {
    let enforced = account.metadata_defaults.get("httpTokensEnforced");
    if options.tokens_required || enforced.is_none_or(|value| value != "enabled") {
        return Ok(());
    }
    Err(Fault::client(
        "UnsupportedOperation",
        "The account enforces IMDSv2 (HttpTokensEnforced): set HttpTokens to required.",
    ))
}
