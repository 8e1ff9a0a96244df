//! Waiting for a state.
//!
//! Invariants: every wait has a deadline; a fault of the network that passes does not end a
//! wait, an instance that has ended does.

use std::time::{Duration, Instant};

use crate::connect::Cloud;
use crate::error::CloudError;
use crate::event::Event;
use crate::instance::{Instance, InstanceState};
use crate::lifecycle::BECOMES_KNOWN;

/// How long the network may be away within a wait: a laptop that changes its place.
const NETWORK_AWAY: Duration = Duration::from_secs(180);

impl Cloud {
    /// Polls until the instance is in the state.
    pub async fn wait_for(
        &self,
        id: &str,
        wanted: InstanceState,
        deadline: Duration,
    ) -> Result<Instance, CloudError> {
        let mut wait = Wait::new(id, wanted, deadline);
        loop {
            let poll = tokio::time::timeout(wait.rest(), self.describe_id(id)).await;
            if let Ok(answer) = poll
                && let Some(instance) = wait.judge(self, answer)?
            {
                return Ok(instance);
            }
            if wait.rest().is_zero() {
                return Err(wait.timed_out());
            }
            tokio::time::sleep(self.poll().min(wait.rest())).await;
        }
    }
}

struct Wait<'a> {
    id: &'a str,
    wanted: InstanceState,
    deadline: Duration,
    start: Instant,
    last: Option<InstanceState>,
    last_answer: Instant,
}

impl<'a> Wait<'a> {
    fn new(id: &'a str, wanted: InstanceState, deadline: Duration) -> Self {
        let start = Instant::now();
        Self { id, wanted, deadline, start, last: None, last_answer: start }
    }

    fn rest(&self) -> Duration {
        self.deadline.saturating_sub(self.start.elapsed())
    }

    /// The instance if it is in the state, an error if it never will be.
    fn judge(
        &mut self,
        cloud: &Cloud,
        answer: Result<Instance, CloudError>,
    ) -> Result<Option<Instance>, CloudError> {
        match answer {
            Ok(instance) => {
                self.last_answer = Instant::now();
                self.tell(cloud, instance.state);
                if instance.state == self.wanted {
                    return Ok(Some(instance));
                }
                self.check_end(&instance).map(|()| None)
            }
            Err(CloudError::NotFound { .. }) if self.start.elapsed() < BECOMES_KNOWN => Ok(None),
            Err(error) if is_passing(&error) && self.last_answer.elapsed() < NETWORK_AWAY => {
                cloud.tell(Event::Warning { text: format!("still waiting: {error}") });
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn tell(&mut self, cloud: &Cloud, state: InstanceState) {
        let (id, elapsed) = (self.id.to_owned(), self.start.elapsed());
        cloud.tell(if self.last == Some(state) {
            Event::Waiting { id, state, elapsed }
        } else {
            Event::StateChanged { id, state, elapsed }
        });
        self.last = Some(state);
    }

    /// A state from which the wanted one does not come by itself.
    fn check_end(&self, instance: &Instance) -> Result<(), CloudError> {
        use InstanceState::{Running, ShuttingDown, Stopped, Stopping, Terminated};
        let over = match instance.state {
            Terminated => true,
            ShuttingDown => self.wanted != Terminated,
            Stopped | Stopping => self.wanted == Running && self.last_but_pending(),
            _ => false,
        };
        if !over {
            return Ok(());
        }
        Err(CloudError::Ended {
            id: self.id.to_owned(),
            state: instance.state.to_string(),
            wanted: self.wanted.to_string(),
            reason: instance.reason.clone(),
        })
    }

    /// Right after a start the old state may still be reported.
    fn last_but_pending(&self) -> bool {
        self.start.elapsed() > BECOMES_KNOWN
    }

    fn timed_out(&self) -> CloudError {
        CloudError::WaitTimedOut {
            id: self.id.to_owned(),
            state: self.last.map_or_else(|| "unknown".to_owned(), |state| state.to_string()),
            wanted: self.wanted.to_string(),
            after: self.deadline,
        }
    }
}

fn is_passing(error: &CloudError) -> bool {
    matches!(
        error,
        CloudError::NetworkUnreachable { .. }
            | CloudError::TimedOut { .. }
            | CloudError::Throttled { .. }
            | CloudError::BadAnswer { .. }
    ) || matches!(error, CloudError::Service { code, .. } if matches!(
        code.as_str(),
        "InternalError" | "InternalFailure" | "Unavailable" | "ServiceUnavailable"
    ) || code.starts_with("HTTP 5"))
}
