//! Finding, waiting for, stopping, starting and removing instances.
//!
//! Invariants: stop and terminate are forced and skip the guest's shutdown, which L4Re
//! does not answer; every wait has a deadline; only instances with our tags are listed.

use std::time::Duration;

use crate::connect::Cloud;
use crate::error::CloudError;
use crate::instance::{Instance, InstanceFilter, InstanceState};

impl Cloud {
    /// Our instances, newest first.
    pub async fn list(&self, filter: &InstanceFilter) -> Result<Vec<Instance>, CloudError> {
        let _ = filter;
        todo!()
    }

    /// The live instance of that name, or the instance of that id.
    pub async fn find(&self, name_or_id: &str) -> Result<Instance, CloudError> {
        let _ = name_or_id;
        todo!()
    }

    /// Polls until the instance is in the state.
    pub async fn wait_for(
        &self,
        id: &str,
        wanted: InstanceState,
        deadline: Duration,
    ) -> Result<Instance, CloudError> {
        let _ = (id, wanted, deadline);
        todo!()
    }

    /// Stops, forced, without asking the guest. The new state is `stopping` or `stopped`.
    pub async fn stop(&self, instance: &Instance) -> Result<InstanceState, CloudError> {
        let _ = instance;
        todo!()
    }

    /// Starts a stopped instance.
    pub async fn start(&self, instance: &Instance) -> Result<InstanceState, CloudError> {
        let _ = instance;
        todo!()
    }

    /// Reboots; the firmware, iPXE and the user data's script run anew.
    pub async fn reboot(&self, instance: &Instance) -> Result<(), CloudError> {
        let _ = instance;
        todo!()
    }

    /// Terminates, forced, and cancels the spot request.
    pub async fn terminate(&self, instance: &Instance) -> Result<InstanceState, CloudError> {
        let _ = instance;
        todo!()
    }
}
