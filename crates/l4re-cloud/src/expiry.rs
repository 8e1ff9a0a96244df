//! The end of an instance at its expiry, held by AWS itself: a one-time schedule of
//! EventBridge Scheduler that terminates it, so that a closed laptop costs no night.
//!
//! Invariants: a schedule is named after its instance, as schedules have no tags; the
//! instance says by the tag `l4re:schedule`, set at its launch, that it has one; a schedule
//! removes itself after it has run, and `rm` and `gc` remove it before.

use aws_sdk_scheduler::types::{
    ActionAfterCompletion, FlexibleTimeWindow, FlexibleTimeWindowMode, Target,
};
use jiff::Timestamp;

use crate::connect::Cloud;
use crate::error::CloudError;
use crate::event::Event;
use crate::instance::Instance;
use crate::lifecycle::is_instance_id;
use crate::tags;

/// What the names of our schedules begin with; the instance's id follows.
pub(crate) const PREFIX: &str = "l4re-";

/// The tag that says, from the launch on, that a schedule ends the instance.
pub fn schedule_tag() -> (String, String) {
    (tags::SCHEDULE.to_owned(), "yes".to_owned())
}

/// The instance whose end a schedule is, by its name.
pub(crate) fn instance_of(schedule: &str) -> Option<&str> {
    schedule.strip_prefix(PREFIX).filter(|id| is_instance_id(id))
}

/// `at(…)` in UTC, to the second.
pub(crate) fn at(time: Timestamp) -> String {
    time.strftime("at(%Y-%m-%dT%H:%M:%S)").to_string()
}

/// The universal target of EC2's TerminateInstances, in the partition of the role.
fn target_arn(role: &str) -> String {
    let partition = role.split(':').nth(1).filter(|word| !word.is_empty()).unwrap_or("aws");
    format!("arn:{partition}:scheduler:::aws-sdk:ec2:terminateInstances")
}

fn is_arn_of_role(role: &str) -> bool {
    let words: Vec<&str> = role.splitn(6, ':').collect();
    matches!(words.as_slice(), ["arn", _, "iam", _, _, name] if name.starts_with("role/"))
}

impl Cloud {
    /// Has AWS terminate the instance at `expires`, as `role`. A schedule that is there is
    /// set anew, so that the call can be repeated.
    pub async fn schedule_end(
        &self,
        instance: &Instance,
        expires: Timestamp,
        role: &str,
    ) -> Result<(), CloudError> {
        const CALL: &str = "scheduler:CreateSchedule";
        if !is_arn_of_role(role) {
            return Err(CloudError::BadOption {
                what: "scheduler role",
                value: role.to_owned(),
                reason: "it is no ARN of a role: arn:aws:iam::ACCOUNT:role/NAME".to_owned(),
            });
        }
        let bad = |error: aws_sdk_scheduler::error::BuildError| CloudError::BadAnswer {
            call: CALL,
            cause: error.to_string(),
        };
        let target = Target::builder()
            .arn(target_arn(role))
            .role_arn(role)
            .input(serde_json::json!({ "InstanceIds": [instance.id] }).to_string())
            .build()
            .map_err(bad)?;
        let exactly =
            FlexibleTimeWindow::builder().mode(FlexibleTimeWindowMode::Off).build().map_err(bad)?;
        let name = format!("{PREFIX}{}", instance.id);
        let of = instance.name.as_deref().unwrap_or(&instance.id);
        let description = format!("cargo l4re: the end of {of}");
        let create = self
            .scheduler()
            .create_schedule()
            .name(&name)
            .description(&description)
            .schedule_expression(at(expires))
            .schedule_expression_timezone("UTC")
            .flexible_time_window(exactly.clone())
            .action_after_completion(ActionAfterCompletion::Delete)
            .target(target.clone());
        match self.call(CALL, create.send()).await {
            Ok(_) => {}
            Err(CloudError::Service { code, .. }) if code == "ConflictException" => {
                let update = self
                    .scheduler()
                    .update_schedule()
                    .name(&name)
                    .description(&description)
                    .schedule_expression(at(expires))
                    .schedule_expression_timezone("UTC")
                    .flexible_time_window(exactly)
                    .action_after_completion(ActionAfterCompletion::Delete)
                    .target(target);
                self.call("scheduler:UpdateSchedule", update.send()).await?;
            }
            Err(error) => return Err(error),
        }
        self.tell(Event::EndScheduled { id: instance.id.clone(), expires });
        Ok(())
    }

    /// Removes the schedule of an instance that says it has one. What cannot be removed ends
    /// nothing any more and goes by itself: a warning.
    pub(crate) async fn forget_end(&self, instance: &Instance) {
        if !instance.end_is_scheduled() {
            return;
        }
        let name = format!("{PREFIX}{}", instance.id);
        if let Err(error) = self.delete_schedule(&name).await {
            let text = format!("schedule {name} not removed: {error}");
            self.tell(Event::Warning { text });
        }
    }

    /// It is no error if the schedule is gone.
    pub(crate) async fn delete_schedule(&self, name: &str) -> Result<(), CloudError> {
        let request = self.scheduler().delete_schedule().name(name);
        match self.call("scheduler:DeleteSchedule", request.send()).await {
            Ok(_) => Ok(()),
            Err(CloudError::Service { code, .. }) if code == "ResourceNotFoundException" => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Our schedules: name, and when made.
    pub(crate) async fn schedules(&self) -> Result<Vec<(String, Option<Timestamp>)>, CloudError> {
        let pages = self
            .scheduler()
            .list_schedules()
            .name_prefix(format!("{PREFIX}i-"))
            .into_paginator()
            .items()
            .send()
            .collect::<Result<Vec<_>, _>>();
        let found = self.call("scheduler:ListSchedules", pages).await?;
        let made = |time: Option<aws_smithy_types::DateTime>| {
            time.and_then(|time| Timestamp::new(time.secs(), 0).ok())
        };
        let ours = found.into_iter().filter_map(|schedule| {
            let name = schedule.name?;
            instance_of(&name)?;
            Some((name, made(schedule.creation_date)))
        });
        Ok(ours.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_times() {
        assert_eq!(instance_of("l4re-i-0123456789abcdef0"), Some("i-0123456789abcdef0"));
        assert_eq!(instance_of("l4re-nightly"), None);
        assert_eq!(instance_of("i-0123456789abcdef0"), None);
        let time = "2026-11-23T10:00:07.9Z".parse().unwrap();
        assert_eq!(at(time), "at(2026-11-23T10:00:07)");
    }

    #[test]
    fn the_target_is_in_the_partition_of_the_role() {
        let role = "arn:aws-cn:iam::123456789012:role/l4re-expiry";
        assert!(is_arn_of_role(role));
        assert_eq!(target_arn(role), "arn:aws-cn:scheduler:::aws-sdk:ec2:terminateInstances");
        assert!(!is_arn_of_role("l4re-expiry"));
        assert!(!is_arn_of_role("arn:aws:iam::123456789012:user/ada"));
    }
}
