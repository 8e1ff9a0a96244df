//! The SDK's own chain for credentials, region and endpoints, made to end soon.
//!
//! Invariant: the order is the SDK's (environment, profile, web identity, container,
//! instance metadata); only the metadata service, which a desk does not have, is asked once
//! for a second instead of four times, and a profile named by hand comes before the
//! environment's keys, as with the aws CLI.

use std::time::Duration;

use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_config::environment::EnvironmentVariableRegionProvider;
use aws_config::imds;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::{ProfileFileCredentialsProvider, ProfileFileRegionProvider, ProfileSet};
use aws_config::provider_config::ProviderConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_ec2::config::IdentityCache;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::os_shim_internal::{Env, Fs};

use crate::connect::{ConnectOptions, Endpoint, Timeouts};
use crate::error::CloudError;
use crate::region::unusable;

/// The backoff starts here: shorter than the SDK's second, since more attempts follow.
const FIRST_BACKOFF: Duration = Duration::from_millis(200);
const LONGEST_BACKOFF: Duration = Duration::from_secs(8);

/// A `credential_process` may ask a person for a second factor.
const CREDENTIALS_TIMEOUT: Duration = Duration::from_secs(120);

/// On EC2 the metadata service answers within milliseconds.
const IMDS_TIMEOUT: Duration = Duration::from_secs(1);

/// The profile that is meant where none is named; it need not be there.
const NO_PROFILE_NAMED: &str = "default";

/// The configuration of all clients.
pub(crate) async fn load(options: &ConnectOptions) -> Result<SdkConfig, CloudError> {
    if options.endpoint.is_none() {
        check_profile(options.profile.as_deref()).await?;
    }
    let region = region(options).await?;
    let loader = aws_config::defaults(BehaviorVersion::latest())
        .region(region.clone())
        .retry_config(retries(options.timeouts.attempts))
        .timeout_config(limits(&options.timeouts))
        .identity_cache(IdentityCache::lazy().load_timeout(CREDENTIALS_TIMEOUT).build());
    let loader = match &options.profile {
        Some(profile) => loader.profile_name(profile),
        None => loader,
    };
    let loader = match &options.endpoint {
        Some(endpoint) => loader.endpoint_url(&endpoint.url).credentials_provider(fixed(endpoint)),
        None => loader.credentials_provider(credentials(options, region).await),
    };
    Ok(loader.load().await)
}

/// The profiles that the settings for AWS have; none where they cannot be read.
pub async fn profiles() -> Vec<String> {
    let set = profile_set(None).await;
    set.map(|set| set.profiles().map(ToOwned::to_owned).collect()).unwrap_or_default()
}

/// The settings for AWS. What is wrong with them the chain says.
async fn profile_set(named: Option<&str>) -> Option<ProfileSet> {
    let named = named.map(|name| name.to_owned().into());
    aws_config::profile::load(&Fs::real(), &Env::real(), &Default::default(), named).await.ok()
}

/// Refuses a profile that is not there, as the aws command does; to the chain it is one that
/// says nothing.
async fn check_profile(named: Option<&str>) -> Result<(), CloudError> {
    let Some(set) = profile_set(named).await else { return Ok(()) };
    let profile = set.selected_profile();
    if profile == NO_PROFILE_NAMED || set.get_profile(profile).is_some() {
        return Ok(());
    }
    let nearest = l4re_image::nearest(profile, set.profiles());
    let nearest = nearest.into_iter().map(ToOwned::to_owned).collect();
    Err(CloudError::NoProfile { profile: profile.to_owned(), nearest })
}

async fn region(options: &ConnectOptions) -> Result<Region, CloudError> {
    let named = options.region.as_deref().or(options.endpoint.as_ref().map(|e| e.region.as_str()));
    let region = match named {
        Some(name) => Region::new(name.to_owned()),
        None => region_chain(options).region().await.ok_or(CloudError::NoRegion)?,
    };
    // The region becomes part of host names.
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if region.as_ref().is_empty() || !region.as_ref().chars().all(fits) {
        let cause = "only lower-case letters, digits and `-` may be in it";
        return Err(unusable(region.as_ref(), cause.to_owned()));
    }
    Ok(region)
}

fn region_chain(options: &ConnectOptions) -> RegionProviderChain {
    let mut profile = ProfileFileRegionProvider::builder();
    if let Some(name) = &options.profile {
        profile = profile.profile_name(name);
    }
    let profile = profile.build();
    let metadata = imds::region::ImdsRegionProvider::builder().imds_client(quick_imds()).build();
    let environment = EnvironmentVariableRegionProvider::new();
    RegionProviderChain::first_try(environment).or_else(profile).or_else(metadata)
}

async fn credentials(options: &ConnectOptions, region: Region) -> SharedCredentialsProvider {
    let config = ProviderConfig::default().with_region(Some(region.clone()));
    if let Some(name) = &options.profile {
        return SharedCredentialsProvider::new(
            ProfileFileCredentialsProvider::builder().configure(&config).profile_name(name).build(),
        );
    }
    SharedCredentialsProvider::new(
        DefaultCredentialsChain::builder()
            .configure(config)
            .region(region)
            .imds_client(quick_imds())
            .build()
            .await,
    )
}

fn quick_imds() -> imds::Client {
    imds::Client::builder()
        .max_attempts(1)
        .connect_timeout(IMDS_TIMEOUT)
        .read_timeout(IMDS_TIMEOUT)
        .build()
}

fn fixed(endpoint: &Endpoint) -> Credentials {
    Credentials::new(
        &endpoint.access_key,
        &endpoint.secret_key,
        endpoint.session_token.clone(),
        None,
        "l4re-endpoint",
    )
}

/// Pauses that grow from the first one, with jitter.
pub(crate) fn retries(attempts: u32) -> RetryConfig {
    RetryConfig::standard()
        .with_max_attempts(attempts.max(1))
        .with_initial_backoff(FIRST_BACKOFF)
        .with_max_backoff(LONGEST_BACKOFF)
}

fn limits(timeouts: &Timeouts) -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(timeouts.connect)
        .read_timeout(timeouts.attempt)
        .operation_attempt_timeout(timeouts.attempt)
        .operation_timeout(timeouts.operation)
        .build()
}
