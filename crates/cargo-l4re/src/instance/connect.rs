//! The connection: to AWS by the SDK's own chain, or to the twin by its status file.

use std::sync::Arc;
use std::time::Duration;

use camino::Utf8PathBuf;
use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use l4re_cloud::{Cloud, CloudError, ConnectOptions, Endpoint, SerialEndpoint};
use l4re_image::Arch;
use l4re_twin::Status;

use super::{Prices, narrate};
use crate::commands::Context;
use crate::complete;
use crate::failure::{Failure, MachineFailure};
use crate::shell::Shell;
use crate::twin;

/// How often states are asked for on the desk, where nobody else waits.
const DESK_POLL: Duration = Duration::from_millis(100);

/// Which end a command talks to.
#[derive(Debug, Clone, Default, Args)]
pub struct Where {
    /// Use the twin on this desk instead of AWS
    #[arg(long, conflicts_with_all = ["region", "profile"])]
    pub local: bool,
    #[command(flatten)]
    pub account: Account,
}

/// The same for a command that works on the desk unless it is told otherwise.
#[derive(Debug, Args)]
pub struct Elsewhere {
    /// Use machines of EC2 instead of the desk's
    #[arg(long)]
    ec2: bool,
    #[command(flatten)]
    account: Account,
}

/// Where at AWS, if not where its own settings say.
#[derive(Debug, Clone, Default, Args)]
pub struct Account {
    /// Region of AWS [default: AWS_REGION's, else the profile's]
    #[arg(long, value_name = "REGION", add = ArgValueCompleter::new(complete::regions))]
    pub region: Option<String>,
    /// Profile of the AWS settings [default: AWS_PROFILE's]
    #[arg(long, value_name = "NAME", add = ArgValueCompleter::new(complete::profiles))]
    pub profile: Option<String>,
}

impl Elsewhere {
    /// The end that is meant.
    pub fn end(&self) -> Where {
        Where { local: !self.ec2, account: self.account.clone() }
    }
}

impl Where {
    /// The twin.
    pub fn desk() -> Self {
        Self { local: true, ..Self::default() }
    }

    /// The words that lead another command there.
    pub fn words(&self) -> Vec<String> {
        let mut words: Vec<String> = self.local.then(|| "--local".to_owned()).into_iter().collect();
        let Account { region, profile } = &self.account;
        for (flag, value) in [("--region", region), ("--profile", profile)] {
            words.extend(value.iter().flat_map(|value| [flag.to_owned(), value.clone()]));
        }
        words
    }
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
pub fn connect(context: &Context, end: &Where) -> Result<Ready, Failure> {
    let set = context.settings.find(|layer| layer.local).unwrap_or(false);
    connect_to(context, &Where { local: end.local || set, ..end.clone() })
}

/// The same whatever the settings say, for a command that works on the desk unless it is told
/// otherwise.
pub fn connect_to(context: &Context, end: &Where) -> Result<Ready, Failure> {
    if end.local && (end.account.region.is_some() || end.account.profile.is_some()) {
        return Err(Failure::Usage(
            "`--region` and `--profile` are for AWS, and this goes to the twin: by itself \
             (`--ec2` turns `test` to EC2), or as `local` in the settings says"
                .to_owned(),
        ));
    }
    context.lead_to(&end.words());
    if let Some(name) = context.environment.empty_endpoint().filter(|_| !end.local) {
        return Err(Failure::from(CloudError::BadOption {
            what: "endpoint",
            value: String::new(),
            reason: format!("{name} is set to nothing"),
        }));
    }
    let twin = end.local.then(|| twin::ensure(context)).transpose()?;
    Ok(settled(context, &end.account, twin))
}

/// The same without a wait: `None` where the twin is meant and none runs.
pub fn connect_to_running(context: &Context, end: &Where) -> Option<Ready> {
    let twin = if end.local { Some(twin::running(context)?) } else { None };
    Some(settled(context, &end.account, twin))
}

/// A connection to the twin, or to AWS without one.
fn settled(context: &Context, account: &Account, twin: Option<Status>) -> Ready {
    let local = twin.is_some();
    let mut options = ConnectOptions {
        region: account.region.clone(),
        profile: account.profile.clone(),
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
