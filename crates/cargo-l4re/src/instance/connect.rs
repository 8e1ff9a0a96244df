//! The connection: to AWS by the SDK's own chain, or to the twin by its status file.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use camino::Utf8PathBuf;
use clap::Args;
use l4re_cloud::{Cloud, CloudError, ConnectOptions, Endpoint, SerialEndpoint};
use l4re_image::Arch;
use l4re_twin::Status;

use super::{Prices, narrate};
use crate::commands::{Context, machine::twin};
use crate::failure::{Failure, MachineFailure};
use crate::shell::Shell;

/// How often states are asked for on the desk, where nobody else waits.
const DESK_POLL: Duration = Duration::from_millis(100);

/// Which end a command talks to.
#[derive(Debug, Clone, Copy, Args)]
pub struct Where {
    /// Use the twin on this desk instead of AWS
    #[arg(long)]
    pub local: bool,
}

/// A connection and what is particular to its end.
#[derive(Clone)]
pub struct Connection {
    /// The client.
    pub cloud: Cloud,
    /// Whether it is the twin.
    pub local: bool,
    /// What machines cost there.
    pub prices: Arc<Prices>,
}

impl Connection {
    /// The same connection, whose events are told by another shell.
    pub fn told_by(&self, shell: &Arc<Shell>) -> Self {
        let cloud = self.cloud.with_events(narrate::events(shell.clone()));
        Self { cloud, prices: self.prices.clone(), local: self.local }
    }
}

/// Settles on the end; starts the twin if it is meant and does not run.
///
/// To be called outside the runtime, as it waits; [`Ready::connect`] is for inside.
pub fn connect(context: &Context, end: Where) -> Result<Ready, Failure> {
    let set = context.settings.find(|layer| layer.local).unwrap_or(false);
    connect_to(context, end.local || set)
}

/// The same for a command that works on the desk unless it is told otherwise.
pub fn connect_to(context: &Context, local: bool) -> Result<Ready, Failure> {
    context.local.store(local, Ordering::Relaxed);
    if let Some(name) = context.environment.empty_endpoint().filter(|_| !local) {
        return Err(Failure::from(CloudError::BadOption {
            what: "endpoint",
            value: String::new(),
            reason: format!("{name} is set to nothing"),
        }));
    }
    let twin = local.then(|| twin::ensure(context)).transpose()?;
    Ok(settled(context, twin))
}

/// The same without a wait: `None` where the twin is meant and none runs.
pub fn connect_to_running(context: &Context, local: bool) -> Option<Ready> {
    match local {
        true => twin::running(context).map(|status| settled(context, Some(status))),
        false => Some(settled(context, None)),
    }
}

/// A connection to the twin, or to AWS without one.
fn settled(context: &Context, twin: Option<Status>) -> Ready {
    let local = twin.is_some();
    let mut options = ConnectOptions {
        fetch_endpoint: context.settings.find(|layer| layer.fetch_endpoint.clone()),
        events: narrate::events(context.shell.clone()),
        unfinished: context.unfinished.clone(),
        ..ConnectOptions::default()
    };
    if let Some(status) = twin {
        let (host, port) = status.serial_console.rsplit_once(':').unwrap_or_default();
        options.endpoint = Some(Endpoint {
            url: status.endpoint,
            access_key: status.access_key_id,
            secret_key: status.secret_access_key,
            session_token: None,
            region: status.region,
        });
        options.fetch_endpoint.get_or_insert(status.fetch_endpoint);
        options.timeouts.poll = DESK_POLL;
        options.serial = Some(SerialEndpoint {
            host: host.to_owned(),
            port: port.parse().unwrap_or_default(),
            fingerprints: vec![status.serial_console_fingerprint],
        });
    }
    Ready { options, local, cache: context.environment.cache_dir() }
}

/// A connection that is settled and not yet made.
#[derive(Debug)]
pub struct Ready {
    options: ConnectOptions,
    local: bool,
    cache: Option<Utf8PathBuf>,
}

impl Ready {
    /// Makes the connection.
    pub async fn connect(self) -> Result<Connection, Failure> {
        let cloud = Cloud::connect(self.options).await?;
        let prices = Arc::new(Prices::read(&cloud, self.local, self.cache.as_deref()));
        Ok(Connection { cloud, local: self.local, prices })
    }

    /// Says what the desk lacks for instances of an architecture, before anything is built.
    pub fn check_desk(&self, context: &Context, arch: Arch) -> Result<(), Failure> {
        if !self.local {
            return Ok(());
        }
        let mut missing = l4re_twin::doctor(&twin::config(context)?);
        missing.retain(|finding| {
            finding.architecture.is_empty() || arch.ec2() == Some(finding.architecture)
        });
        match missing.is_empty() {
            true => Ok(()),
            false => Err(MachineFailure::DeskLacks { arch: arch.to_string(), missing }.into()),
        }
    }
}
