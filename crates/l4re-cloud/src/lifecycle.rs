//! Finding, stopping, starting and removing instances.
//!
//! Invariants: stop and terminate are forced and skip the guest's shutdown, which L4Re
//! does not answer; only instances with our tags are listed.

use std::time::{Duration, Instant};

use aws_sdk_ec2::types::{Filter, InstanceStateChange, Tag};
use jiff::Timestamp;

use crate::ami::filter;
use crate::connect::Cloud;
use crate::error::{CloudError, Tried};
use crate::event::Event;
use crate::instance::{Instance, InstanceFilter, InstanceState, state};
use crate::launch::is_elsewhere;
use crate::tags;

/// How long EC2 may deny an instance that it has just made.
pub(crate) const BECOMES_KNOWN: Duration = Duration::from_secs(60);

/// Whether a word is an instance's id: `i-` and 8 or 17 hexadecimal digits.
pub(crate) fn is_instance_id(word: &str) -> bool {
    let digits = word.strip_prefix("i-").unwrap_or_default();
    matches!(digits.len(), 8 | 17) && digits.bytes().all(|b| b.is_ascii_hexdigit())
}

impl Cloud {
    /// Our instances, newest first.
    pub async fn list(&self, wanted: &InstanceFilter) -> Result<Vec<Instance>, CloudError> {
        let mut filters = match &wanted.name {
            Some(name) => vec![filter(&format!("tag:{}", tags::NAME), name)],
            None => vec![filter("tag-key", tags::NAME)],
        };
        if let Some(owner) = &wanted.owner {
            filters.push(filter(&format!("tag:{}", tags::OWNER), owner));
        }
        if !wanted.dead {
            let states = ["pending", "running", "shutting-down", "stopping", "stopped"];
            let states = Some(states.map(ToOwned::to_owned).to_vec());
            filters.push(Filter::builder().name("instance-state-name").set_values(states).build());
        }
        self.describe(filters).await
    }

    /// All instances of a name, dead ones too, newest first.
    pub(crate) async fn named(&self, name: &str) -> Result<Vec<Instance>, CloudError> {
        let wanted = InstanceFilter { name: Some(name.to_owned()), owner: None, dead: true };
        self.list(&wanted).await
    }

    /// Instances by filters, newest first.
    pub(crate) async fn describe(&self, filters: Vec<Filter>) -> Result<Vec<Instance>, CloudError> {
        let pages = self
            .ec2()
            .describe_instances()
            .set_filters(Some(filters))
            .into_paginator()
            .items()
            .send()
            .collect::<Result<Vec<_>, _>>();
        let found = self.call("ec2:DescribeInstances", pages).await?;
        let instances = found.iter().flat_map(|reservation| reservation.instances());
        let mut instances: Vec<Instance> = instances.filter_map(Instance::from_ec2).collect();
        instances.sort_by(|a, b| b.launched.cmp(&a.launched).then_with(|| a.id.cmp(&b.id)));
        Ok(instances)
    }

    /// One instance by its id.
    pub(crate) async fn describe_id(&self, id: &str) -> Result<Instance, CloudError> {
        let request = self.ec2().describe_instances().instance_ids(id);
        let answer = self.call("ec2:DescribeInstances", request.send()).await?;
        let found = answer.reservations().iter().flat_map(|r| r.instances()).next();
        found.and_then(Instance::from_ec2).ok_or_else(|| CloudError::not_found(id))
    }

    /// The live instance of that name, or the instance of that id.
    pub async fn find(&self, name_or_id: &str) -> Result<Instance, CloudError> {
        if is_instance_id(name_or_id) {
            return self.describe_id(name_or_id).await;
        }
        let named = self.named(name_or_id).await?;
        let (mut live, gone): (Vec<_>, Vec<_>) =
            named.into_iter().partition(|instance| instance.state.is_live());
        match live.len() {
            0 => Err(self.nobody(name_or_id, gone.into_iter().next()).await),
            1 => Ok(live.remove(0)),
            _ => Err(CloudError::Ambiguous {
                name: name_or_id.to_owned(),
                ids: live.into_iter().map(|instance| instance.id).collect(),
            }),
        }
    }

    /// What is known of a name that no live instance has.
    async fn nobody(&self, name: &str, gone: Option<Instance>) -> CloudError {
        let others = match gone {
            Some(_) => Vec::new(),
            None => self.list(&InstanceFilter::default()).await.unwrap_or_default(),
        };
        let names = others.iter().filter_map(|instance| instance.name.as_deref());
        CloudError::NotFound {
            name: name.to_owned(),
            gone: gone.map(|instance| instance.id),
            nearest: l4re_image::nearest(name, names).into_iter().map(str::to_owned).collect(),
        }
    }

    /// Stops, forced, without asking the guest. The new state is `stopping` or `stopped`.
    pub async fn stop(&self, instance: &Instance) -> Result<InstanceState, CloudError> {
        const CALL: &str = "ec2:StopInstances";
        if instance.spot_request.is_some() {
            return Err(CloudError::SpotCannotStop {
                id: instance.id.clone(),
                name: instance.name.clone().unwrap_or_else(|| instance.id.clone()),
            });
        }
        let request = || self.ec2().stop_instances().instance_ids(&instance.id).force(true);
        let ask = || async {
            let skipping = self.call(CALL, request().skip_os_shutdown(true).send()).await;
            match skipping {
                Err(error) if self.parameter_unknown(CALL, &error) => {
                    self.call(CALL, request().send()).await
                }
                other => other,
            }
        };
        let (answer, ()) = tokio::join!(self.patiently(ask), self.note_run(instance));
        Ok(new_state(answer?.stopping_instances()))
    }

    /// Notes how long the instance has run, which EC2 forgets at its next start.
    async fn note_run(&self, instance: &Instance) {
        let runs = instance.runs.until(instance.running_since(), Timestamp::now());
        let Some(runs) = runs else { return };
        let tag = Tag::builder().key(tags::RUNS).value(runs.to_string()).build();
        let request = self.ec2().create_tags().resources(&instance.id).tags(tag);
        if let Err(error) = self.call("ec2:CreateTags", request.send()).await {
            tracing::debug!("runs of {} not noted: {error}", instance.id);
        }
    }

    /// Starts a stopped instance.
    pub async fn start(&self, instance: &Instance) -> Result<InstanceState, CloudError> {
        let request = || self.ec2().start_instances().instance_ids(&instance.id);
        match self.call("ec2:StartInstances", request().send()).await {
            Ok(answer) => Ok(new_state(answer.starting_instances())),
            Err(CloudError::Service { code, .. }) if is_elsewhere(&code) => {
                Err(CloudError::Capacity(vec![Tried {
                    instance_type: instance.instance_type.clone(),
                    zone: instance.zone.clone(),
                    spot: instance.spot_request.is_some(),
                    code,
                }]))
            }
            Err(error) => Err(error),
        }
    }

    /// Reboots; the firmware, iPXE and the user data's script run anew.
    pub async fn reboot(&self, instance: &Instance) -> Result<(), CloudError> {
        let request = self.ec2().reboot_instances().instance_ids(&instance.id);
        self.call("ec2:RebootInstances", request.send()).await.map(drop)
    }

    /// Terminates, forced, and cancels the spot request.
    pub async fn terminate(&self, instance: &Instance) -> Result<InstanceState, CloudError> {
        const CALL: &str = "ec2:TerminateInstances";
        let request = || self.ec2().terminate_instances().instance_ids(&instance.id);
        let ask = || async {
            let forced = request().force(true).skip_os_shutdown(true);
            match self.call(CALL, forced.send()).await {
                Err(error) if self.parameter_unknown(CALL, &error) => {
                    self.call(CALL, request().send()).await
                }
                other => other,
            }
        };
        let (answer, (), ()) = tokio::join!(
            self.patiently(ask),
            self.cancel_spot(instance),
            self.forget_end(instance),
        );
        Ok(new_state(answer?.terminating_instances()))
    }

    /// A one-time request ends with its instance; cancelled all the same, lest a capacity
    /// that comes late makes another one.
    async fn cancel_spot(&self, instance: &Instance) {
        let Some(request) = &instance.spot_request else { return };
        let cancel = self.ec2().cancel_spot_instance_requests().spot_instance_request_ids(request);
        if let Err(error) = self.call("ec2:CancelSpotInstanceRequests", cancel.send()).await {
            let text = format!("spot request {request} not cancelled: {error}");
            self.tell(Event::Warning { text });
        }
    }

    /// Whether the endpoint does not know `SkipOsShutdown` and the like; tells so.
    fn parameter_unknown(&self, call: &'static str, error: &CloudError) -> bool {
        let unknown = matches!(error, CloudError::Service { code, .. } if matches!(
            code.as_str(),
            "UnknownParameter" | "InvalidParameterCombination" | "UnsupportedOperation"
        ));
        if unknown {
            self.tell(Event::Unknown {
                call,
                effect: "the guest's own shutdown may be waited for",
            });
        }
        unknown
    }

    /// Tries again while EC2 does not know yet what it has just made.
    async fn patiently<T, F>(&self, ask: impl Fn() -> F) -> Result<T, CloudError>
    where
        F: Future<Output = Result<T, CloudError>>,
    {
        let start = Instant::now();
        loop {
            match ask().await {
                Err(CloudError::NotFound { .. }) if start.elapsed() < self.patience() => {
                    tokio::time::sleep(self.poll()).await;
                }
                other => return other,
            }
        }
    }

    /// An endpoint that may be polled often has no other side to catch up with.
    fn patience(&self) -> Duration {
        (self.poll() * 5).min(BECOMES_KNOWN)
    }
}

fn new_state(changes: &[InstanceStateChange]) -> InstanceState {
    let name = changes.first().and_then(|change| change.current_state.as_ref());
    state(name.and_then(|state| state.name.as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids() {
        assert!(is_instance_id("i-0123456789abcdef0") && is_instance_id("i-12345678"));
        assert!(!is_instance_id("i-hello") && !is_instance_id("hello") && !is_instance_id("i-"));
    }
}
