//! The console as the API shows it: its two output forms, and the switch of the serial
//! console.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::actions::Call;
use super::instance_types;
use super::instances::{check_ids, time};
use crate::console::ConsoleLog;
use crate::fault::Fault;

/// `GetConsoleOutput`: the snapshot, or with `Latest` what is there now.
pub(super) fn output(call: &Call<'_>) -> Result<Value, Fault> {
    let root = call.root();
    let id = root.require("InstanceId")?;
    let latest = root.flag("Latest")?;
    let state = call.twin.store.lock();
    check_ids(&state, &[id], call)?;
    let type_name = state.instances[id].instance_type.clone();
    drop(state);
    if latest && !instance_types::find(&type_name).is_ok_and(instance_types::InstanceType::is_nitro)
    {
        let message = format!(
            "This instance type '{type_name}' does not support retrieving the \
                               latest console logs."
        );
        return Err(Fault::client("UnsupportedOperation", message));
    }
    let dir = call.twin.store.instance_dir(id);
    let bytes = if latest { ConsoleLog::tail(&dir) } else { ConsoleLog::snapshot(&dir) }
        .map_err(|error| Fault::internal(error.to_string()))?;
    Ok(json!({
        "instanceId": id,
        "timestamp": time(call.now),
        "output": (!bytes.is_empty()).then(|| STANDARD.encode(&bytes)),
    }))
}

/// `GetSerialConsoleAccessStatus`.
pub(super) fn access_status(call: &Call<'_>) -> Result<Value, Fault> {
    let enabled = call.twin.store.lock().account.serial_console_access;
    Ok(json!({ "serialConsoleAccessEnabled": enabled, "managedBy": "account" }))
}

/// `EnableSerialConsoleAccess`.
pub(super) fn enable_access(call: &Call<'_>) -> Result<Value, Fault> {
    set_access(call, true)
}

/// `DisableSerialConsoleAccess`.
pub(super) fn disable_access(call: &Call<'_>) -> Result<Value, Fault> {
    set_access(call, false)
}

fn set_access(call: &Call<'_>, enabled: bool) -> Result<Value, Fault> {
    let mut state = call.twin.store.lock();
    state.account.serial_console_access = enabled;
    call.twin.store.save_account(&state)?;
    Ok(json!({ "serialConsoleAccessEnabled": enabled }))
}
