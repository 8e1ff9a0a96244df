//! Notices that an instance ended while its console is watched: a console alone cannot tell a
//! machine that is gone from one that is silent.

use std::time::Duration;

use l4re_cloud::{Cloud, CloudError, InstanceState};

use super::connect::Connection;

/// How often EC2 is asked.
const PACE: Duration = Duration::from_secs(10);
/// How often the twin is asked.
const DESK_PACE: Duration = Duration::from_millis(500);

/// Asks for the state of one instance until it has ended.
pub struct EndWatch {
    cloud: Cloud,
    id: String,
    local: bool,
}

impl EndWatch {
    /// A watch over an instance.
    pub fn new(connection: &Connection, instance: &l4re_cloud::Instance) -> Self {
        let (cloud, id) = (connection.cloud.clone(), instance.id.clone());
        Self { cloud, id, local: connection.local }
    }

    /// Resolves with the reason when the instance is stopped or gone. What cannot be asked
    /// now is asked again: a network that is down says nothing about the machine.
    pub async fn ended(self) -> String {
        loop {
            tokio::time::sleep(if self.local { DESK_PACE } else { PACE }).await;
            match self.cloud.find(&self.id).await {
                Ok(instance) => match instance.state {
                    InstanceState::Pending | InstanceState::Running | InstanceState::Other => {}
                    state => {
                        let reason = instance.reason.unwrap_or_default();
                        let why = if reason.is_empty() { reason } else { format!(": {reason}") };
                        return format!("the instance is {state}{why}");
                    }
                },
                Err(CloudError::NotFound { .. }) => return "the instance is gone".to_owned(),
                Err(CloudError::NetworkUnreachable { .. }) if self.local => {
                    return "the twin is gone".to_owned();
                }
                Err(_) => {}
            }
        }
    }
}
