//! Start, stop, reboot, terminate: all named instances are checked before any is touched.

use serde_json::{Value, json};

use super::actions::Call;
use super::instances::{check_ids, state_value};
use crate::fault::Fault;
use crate::machine::{self, Ending};
use crate::quotas::refuse_excess;
use crate::state::{Instance, InstanceState, StateReason};

/// `StartInstances`.
pub(super) fn start(call: &Call<'_>) -> Result<Value, Fault> {
    refuse_excess_starts(call)?;
    change(call, |instance| match instance.state {
        InstanceState::Stopped => {
            instance.state = InstanceState::Pending;
            instance.state_reason = None;
            instance.transition_reason.clear();
            instance.launch_time = call.now;
            Ok(Some(Step::Launch))
        }
        InstanceState::Pending | InstanceState::Running => Ok(None),
        _ => Err(incorrect_state(instance, "The", "started")),
    })
}

fn refuse_excess_starts(call: &Call<'_>) -> Result<(), Fault> {
    let ids = call.root().list("InstanceId");
    let state = call.twin.store.lock();
    let stopped = ids.iter().filter_map(|id| state.instances.get(*id));
    let stopped = stopped.filter(|instance| instance.state == InstanceState::Stopped);
    let wanted: Vec<(&str, bool)> = stopped
        .map(|instance| (instance.instance_type.as_str(), instance.spot.is_some()))
        .collect();
    refuse_excess(&state, &wanted)
}

/// `StopInstances`.
pub(super) fn stop(call: &Call<'_>) -> Result<Value, Fault> {
    let ending = ending(call)?;
    let hibernate = call.root().flag("Hibernate")?;
    change(call, |instance| {
        refuse_spot_stop(instance)?;
        if hibernate {
            let message = format!(
                "The instance can't be hibernated because it was not configured at launch for \
                 hibernation: {}",
                instance.id
            );
            return Err(Fault::client("UnsupportedHibernationConfiguration", message));
        }
        if instance.disable_api_stop {
            return Err(protected(&instance.id, "disableApiStop", "stopped"));
        }
        match instance.state {
            InstanceState::Running | InstanceState::Pending => {
                mark(instance, InstanceState::Stopping, "Shutdown", call.now);
                Ok(Some(Step::End(ending)))
            }
            // A second stop may be the one that insists.
            InstanceState::Stopping => Ok(Some(Step::End(ending))),
            InstanceState::Stopped => Ok(None),
            _ => Err(incorrect_state(instance, "This", "stopped")),
        }
    })
}

/// `TerminateInstances`.
pub(super) fn terminate(call: &Call<'_>) -> Result<Value, Fault> {
    let ending = ending(call)?;
    change(call, |instance| {
        if instance.disable_api_termination {
            return Err(protected(&instance.id, "disableApiTermination", "terminated"));
        }
        match instance.state {
            InstanceState::Terminated => Ok(None),
            InstanceState::Stopped => {
                mark(instance, InstanceState::Terminated, "Shutdown", call.now);
                Ok(Some(Step::Release))
            }
            InstanceState::ShuttingDown => Ok(Some(Step::End(ending))),
            _ => {
                mark(instance, InstanceState::ShuttingDown, "Shutdown", call.now);
                Ok(Some(Step::End(ending)))
            }
        }
    })
}

/// `RebootInstances`.
pub(super) fn reboot(call: &Call<'_>) -> Result<Value, Fault> {
    change(call, |instance| match instance.state {
        InstanceState::Running | InstanceState::Pending => Ok(Some(Step::Reboot)),
        _ => Err(incorrect_state(instance, "The", "rebooted")),
    })?;
    Ok(json!({ "return": true }))
}

enum Step {
    Launch,
    End(Ending),
    Reboot,
    /// There is no machine that would do it at its end.
    Release,
}

/// Decides for all, then writes all, then lets the machines know.
fn change(
    call: &Call<'_>,
    decide: impl Fn(&mut Instance) -> Result<Option<Step>, Fault>,
) -> Result<Value, Fault> {
    let ids = call.root().list("InstanceId");
    if ids.is_empty() {
        let message = "The request must contain the parameter InstanceId";
        return Err(Fault::client("MissingParameter", message));
    }
    let mut state = call.twin.store.lock();
    check_ids(&state, &ids, call)?;
    let mut changed = Vec::new();
    let mut answer = Vec::new();
    for id in ids {
        let Some(before) = state.instances.get(id) else { continue };
        let mut instance = before.clone();
        let step = decide(&mut instance)?;
        answer.push(json!({
            "instanceId": id,
            "currentState": state_value(instance.state),
            "previousState": state_value(before.state),
        }));
        changed.push((instance, step));
    }
    let mut steps = Vec::new();
    for (instance, step) in changed {
        call.twin.store.save(&instance)?;
        steps.push((instance.id.clone(), step));
        state.instances.insert(instance.id.clone(), instance);
    }
    drop(state);
    for (id, step) in steps {
        match step {
            Some(Step::Launch) => machine::launch(call.twin, &id),
            Some(Step::End(ending)) => call.twin.machines.end(&id, ending),
            Some(Step::Reboot) => call.twin.machines.reboot(&id),
            Some(Step::Release) => machine::release(call.twin, &id),
            None => {}
        }
    }
    Ok(json!({ "instancesSet": answer }))
}

/// `Force` insists after a while; with `SkipOsShutdown` too the guest is not even asked.
fn ending(call: &Call<'_>) -> Result<Ending, Fault> {
    let root = call.root();
    Ok(if root.flag("SkipOsShutdown")? { Ending::Now } else { Ending::Asked })
}

fn mark(instance: &mut Instance, state: InstanceState, verb: &str, now: jiff::Timestamp) {
    instance.state = state;
    instance.state_reason = Some(StateReason::user(&format!("Initiated{verb}")));
    instance.transition_reason =
        format!("User initiated ({})", now.strftime("%Y-%m-%d %H:%M:%S GMT"));
    instance.changed = now;
}

fn refuse_spot_stop(instance: &Instance) -> Result<(), Fault> {
    match &instance.spot {
        Some(spot) if !spot.can_be_stopped => Err(Fault::client(
            "UnsupportedOperation",
            format!(
                "You can't stop the Spot Instance '{}' because it is associated with a one-time \
                 Spot Instance request. You can only stop Spot Instances associated with \
                 persistent Spot Instance requests.",
                instance.id
            ),
        )),
        _ => Ok(()),
    }
}

fn protected(id: &str, attribute: &str, verb: &str) -> Fault {
    Fault::client(
        "OperationNotPermitted",
        format!(
            "The instance '{id}' may not be {verb}. Modify its '{attribute}' instance attribute \
             and try again."
        ),
    )
}

/// EC2 says `This instance` of one to be stopped.
fn incorrect_state(instance: &Instance, article: &str, verb: &str) -> Fault {
    let message = format!(
        "{article} instance '{}' is not in a state from which it can be {verb}.",
        instance.id
    );
    Fault::client("IncorrectInstanceState", message)
}
