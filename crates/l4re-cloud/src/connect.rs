//! The connection: one client for each service, with the time-outs that the SDK lacks.
//!
//! Invariant: credentials, region, profile and endpoints come from the SDK's own chain or
//! from [`ConnectOptions`]; this crate reads no environment variable.

use std::sync::Arc;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_sdk_ec2::config::StalledStreamProtectionConfig;
use aws_sdk_ec2::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::config::ResponseChecksumValidation;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use futures::future::BoxFuture;
use jiff::Timestamp;
use tokio::sync::OnceCell;

use crate::chain;
use crate::classify::{NoHopelessRetry, classify};
use crate::error::CloudError;
use crate::event::{Event, Events, silent};
use crate::identity::Identity;
use crate::region::blame;
use crate::serial::SerialEndpoint;
use crate::unfinished::Unfinished;

/// Attempts at a call that a launch can do without, the first included.
const BRIEF_ATTEMPTS: u32 = 3;

/// An endpoint that stands for all of AWS: the twin, an emulator.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// `http://127.0.0.1:PORT`.
    pub url: String,
    /// Access key id.
    pub access_key: String,
    /// Secret access key.
    pub secret_key: String,
    /// Session token.
    pub session_token: Option<String>,
    /// The region it plays.
    pub region: String,
}

/// Limits in time and number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// To a connection.
    pub connect: Duration,
    /// To the answer of one attempt at a call that carries no image.
    pub attempt: Duration,
    /// To the end of a call, retries included, uploads aside.
    pub operation: Duration,
    /// Without a byte moved of what an upload carries: it is sent once more, then given up.
    pub stall: Duration,
    /// Attempts at one call, the first included.
    pub attempts: u32,
    /// Between two polls of an instance's state.
    pub poll: Duration,
}

/// How to connect.
#[derive(Clone)]
pub struct ConnectOptions {
    /// The region, instead of the chain's.
    pub region: Option<String>,
    /// The profile, instead of the chain's.
    pub profile: Option<String>,
    /// One endpoint for all services, instead of AWS.
    pub endpoint: Option<Endpoint>,
    /// Where guests fetch objects, `http://host[:port]`, if not where they are sent.
    pub fetch_endpoint: Option<String>,
    /// The serial console's host, instead of the region's.
    pub serial: Option<SerialEndpoint>,
    /// Limits.
    pub timeouts: Timeouts,
    /// Where events go.
    pub events: Events,
    /// Where clean-ups go that outlive what began them.
    pub unfinished: Unfinished,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            attempt: Duration::from_secs(20),
            operation: Duration::from_secs(90),
            stall: Duration::from_secs(30),
            attempts: 8,
            poll: Duration::from_secs(2),
        }
    }
}

impl Default for ConnectOptions {
    fn default() -> Self {
        Self {
            region: None,
            profile: None,
            endpoint: None,
            fetch_endpoint: None,
            serial: None,
            timeouts: Timeouts::default(),
            events: silent(),
            unfinished: Unfinished::default(),
        }
    }
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Endpoint")
            .field("url", &self.url)
            .field("region", &self.region)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for ConnectOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConnectOptions")
            .field("region", &self.region)
            .field("profile", &self.profile)
            .field("endpoint", &self.endpoint)
            .finish_non_exhaustive()
    }
}

/// A connection to one account in one region. Cheap to clone.
#[derive(Clone)]
pub struct Cloud {
    inner: Arc<Inner>,
    events: Events,
}

struct Inner {
    ebs: aws_sdk_ebs::Client,
    ec2: aws_sdk_ec2::Client,
    s3: aws_sdk_s3::Client,
    s3_fetch: aws_sdk_s3::Client,
    sts: aws_sdk_sts::Client,
    connect: aws_sdk_ec2instanceconnect::Client,
    scheduler: aws_sdk_scheduler::Client,
    pricing: aws_sdk_pricing::Client,
    quotas: aws_sdk_servicequotas::Client,
    credentials: Option<SharedCredentialsProvider>,
    region: String,
    endpoint: Option<String>,
    serial: Option<SerialEndpoint>,
    timeouts: Timeouts,
    identity: OnceCell<Identity>,
    unfinished: Unfinished,
}

impl std::fmt::Debug for Cloud {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cloud")
            .field("region", &self.inner.region)
            .field("endpoint", &self.inner.endpoint)
            .finish_non_exhaustive()
    }
}

impl Cloud {
    /// Connects. Makes no call to the services: what is wrong with credentials shows at the
    /// first one, or at [`Cloud::identity`].
    pub async fn connect(options: ConnectOptions) -> Result<Self, CloudError> {
        check_url("endpoint", options.endpoint.as_ref().map(|e| e.url.as_str()))?;
        check_url("fetch endpoint", options.fetch_endpoint.as_deref())?;
        let config = chain::load(&options).await?;
        let region = config.region().map(ToString::to_string).ok_or(CloudError::NoRegion)?;
        let s3 = s3_config(&config, &options);
        // Without this the checksum mode becomes a header that guests would have to send.
        let fetch =
            s3.to_builder().response_checksum_validation(ResponseChecksumValidation::WhenRequired);
        let fetch = match &options.fetch_endpoint {
            Some(url) => fetch.endpoint_url(url).build(),
            None => fetch.build(),
        };
        let quick = NoHopelessRetry;
        let inner = Inner {
            ebs: aws_sdk_ebs::Client::from_conf(
                aws_sdk_ebs::config::Builder::from(&config).retry_classifier(quick).build(),
            ),
            ec2: aws_sdk_ec2::Client::from_conf(
                aws_sdk_ec2::config::Builder::from(&config).retry_classifier(quick).build(),
            ),
            s3: aws_sdk_s3::Client::from_conf(s3),
            s3_fetch: aws_sdk_s3::Client::from_conf(fetch),
            sts: aws_sdk_sts::Client::from_conf(
                aws_sdk_sts::config::Builder::from(&config).retry_classifier(quick).build(),
            ),
            connect: aws_sdk_ec2instanceconnect::Client::from_conf(
                aws_sdk_ec2instanceconnect::config::Builder::from(&config)
                    .retry_classifier(quick)
                    .build(),
            ),
            scheduler: aws_sdk_scheduler::Client::from_conf(
                aws_sdk_scheduler::config::Builder::from(&config).retry_classifier(quick).build(),
            ),
            pricing: aws_sdk_pricing::Client::from_conf(pricing_config(&config)),
            quotas: aws_sdk_servicequotas::Client::from_conf(
                aws_sdk_servicequotas::config::Builder::from(&config)
                    .retry_classifier(quick)
                    .build(),
            ),
            credentials: config.credentials_provider(),
            region,
            endpoint: config.endpoint_url().map(ToOwned::to_owned),
            serial: options.serial,
            timeouts: options.timeouts,
            identity: OnceCell::new(),
            unfinished: options.unfinished,
        };
        Ok(Self { inner: Arc::new(inner), events: options.events })
    }

    /// The region.
    pub fn region(&self) -> &str {
        &self.inner.region
    }

    /// The same connection with another place for events.
    #[must_use]
    pub fn with_events(&self, events: Events) -> Self {
        Self { inner: Arc::clone(&self.inner), events }
    }

    pub(crate) fn ebs(&self) -> &aws_sdk_ebs::Client {
        &self.inner.ebs
    }

    pub(crate) fn ec2(&self) -> &aws_sdk_ec2::Client {
        &self.inner.ec2
    }

    pub(crate) fn s3(&self) -> &aws_sdk_s3::Client {
        &self.inner.s3
    }

    /// Settings for a call to EC2 that a launch can do without, and so must not wait for long.
    pub(crate) fn brief_ec2(&self) -> aws_sdk_ec2::config::Builder {
        let attempts = self.timeouts().attempts.min(BRIEF_ATTEMPTS);
        aws_sdk_ec2::config::Builder::new().retry_config(chain::retries(attempts))
    }

    /// The client whose presigned URLs guests use.
    pub(crate) fn s3_fetch(&self) -> &aws_sdk_s3::Client {
        &self.inner.s3_fetch
    }

    pub(crate) fn sts(&self) -> &aws_sdk_sts::Client {
        &self.inner.sts
    }

    pub(crate) fn instance_connect(&self) -> &aws_sdk_ec2instanceconnect::Client {
        &self.inner.connect
    }

    pub(crate) fn scheduler(&self) -> &aws_sdk_scheduler::Client {
        &self.inner.scheduler
    }

    pub(crate) fn pricing(&self) -> &aws_sdk_pricing::Client {
        &self.inner.pricing
    }

    pub(crate) fn quotas(&self) -> &aws_sdk_servicequotas::Client {
        &self.inner.quotas
    }

    /// When the credentials end, if they are temporary and say so.
    pub(crate) async fn credentials_end(&self) -> Option<Timestamp> {
        let credentials = self.inner.credentials.as_ref()?.provide_credentials().await.ok()?;
        Timestamp::try_from(credentials.expiry()?).ok()
    }

    pub(crate) fn endpoint(&self) -> Option<&str> {
        self.inner.endpoint.as_deref()
    }

    pub(crate) fn serial_override(&self) -> Option<&SerialEndpoint> {
        self.inner.serial.as_ref()
    }

    pub(crate) fn timeouts(&self) -> &Timeouts {
        &self.inner.timeouts
    }

    /// The pause between two polls.
    pub(crate) fn poll(&self) -> Duration {
        self.timeouts().poll
    }

    pub(crate) fn identity_cell(&self) -> &OnceCell<Identity> {
        &self.inner.identity
    }

    pub(crate) fn unfinished(&self) -> &Unfinished {
        &self.inner.unfinished
    }

    pub(crate) fn tell(&self, event: Event) {
        (self.events)(event);
    }

    /// Awaits one call and says in this crate's terms how it failed.
    ///
    /// Boxed: the SDK's futures are tens of kilobytes, and a launch joins many of them.
    pub(crate) fn call<'a, T, E>(
        &'a self,
        call: &'static str,
        answer: impl Future<Output = Result<T, SdkError<E, HttpResponse>>> + Send + 'a,
    ) -> BoxFuture<'a, Result<T, CloudError>>
    where
        T: Send,
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        let answer = Box::pin(answer);
        Box::pin(async move {
            match answer.await {
                Ok(value) => Ok(value),
                Err(error) => {
                    let error = classify(call, &self.place_of(call), &error);
                    let error = blame(error, self.region(), self.endpoint());
                    Err(Box::pin(self.decode_denial(error)).await)
                }
            }
        })
    }

    /// Where a call goes, in a person's words.
    fn place_of(&self, call: &str) -> String {
        let service = call.split(':').next().unwrap_or(call);
        self.endpoint().map_or_else(|| format!("{service} in {}", self.region()), ToOwned::to_owned)
    }

    /// For what a launch can do without: `None`, and an event, when the endpoint does not
    /// know the call or the caller may not make it.
    pub(crate) async fn optional<T>(
        &self,
        effect: &'static str,
        call: &'static str,
        answer: impl Future<Output = Result<T, CloudError>>,
    ) -> Result<Option<T>, CloudError> {
        match answer.await {
            Ok(value) => Ok(Some(value)),
            Err(
                CloudError::Unsupported { .. }
                | CloudError::AccessDenied(_)
                | CloudError::Service { .. }
                | CloudError::Throttled { .. }
                | CloudError::TimedOut { .. }
                | CloudError::BadAnswer { .. },
            ) => {
                self.tell(Event::Unknown { call, effect });
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

/// What carries an object is watched by [`crate::progress`], and not by the SDK too.
fn s3_config(config: &SdkConfig, options: &ConnectOptions) -> aws_sdk_s3::Config {
    aws_sdk_s3::config::Builder::from(config)
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .retry_classifier(NoHopelessRetry)
        .force_path_style(options.endpoint.is_some())
        .build()
}

/// The price list is served in a few regions only, for all of them.
fn pricing_config(config: &SdkConfig) -> aws_sdk_pricing::Config {
    let builder = aws_sdk_pricing::config::Builder::from(config)
        .retry_config(chain::retries(BRIEF_ATTEMPTS))
        .retry_classifier(NoHopelessRetry);
    let region = config.region().map_or("", |region| region.as_ref());
    let serves = match region.split('-').next() {
        _ if config.endpoint_url().is_some() => return builder.build(),
        Some("ap") => "ap-south-1",
        Some("cn") => "cn-northwest-1",
        Some("eu") => "eu-central-1",
        _ => "us-east-1",
    };
    builder.region(aws_sdk_pricing::config::Region::new(serves)).build()
}

fn check_url(what: &'static str, url: Option<&str>) -> Result<(), CloudError> {
    let Some(url) = url else { return Ok(()) };
    let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
    let plain = |c: char| c.is_ascii_graphic() && !matches!(c, '?' | '#' | '@');
    match rest {
        Some(rest) if !rest.is_empty() && rest.chars().all(plain) => Ok(()),
        _ => Err(CloudError::BadOption {
            what,
            value: url.to_owned(),
            reason: "it is no http or https address".to_owned(),
        }),
    }
}
