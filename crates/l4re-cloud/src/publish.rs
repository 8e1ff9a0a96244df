//! Publishing an image: a private, content-addressed object and a URL for guests.
//!
//! Invariants: an object that is there is never sent again; the key holds the SHA-256 of
//! what is stored under it, and the store checks it; the URL is valid for no longer than
//! asked and at most seven days.

use std::time::Duration;

use aws_sdk_s3::presigning::PresigningConfig;
use jiff::{SignedDuration, Timestamp};
use l4re_image::Image;

use crate::connect::Cloud;
use crate::error::CloudError;
use crate::event::Event;
use crate::script::file_name;
use crate::store::{Stored, Target};

/// How to publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishOptions {
    /// The bucket; `l4re-<account>-<region>` if none.
    pub bucket: Option<String>,
    /// Whether to make the bucket if it does not exist.
    pub make_bucket: bool,
    /// How long guests may fetch; at most seven days count.
    pub valid_for: Duration,
    /// Whether guests fetch by https; the default is http, with the sum in the script.
    pub https: bool,
}

impl Default for PublishOptions {
    fn default() -> Self {
        Self {
            bucket: None,
            make_bucket: false,
            valid_for: Duration::from_secs(24 * 3600),
            https: false,
        }
    }
}

/// A published image.
#[derive(Clone, PartialEq, Eq)]
pub struct Object {
    /// The bucket.
    pub bucket: String,
    /// The key: `l4re/<sha256>/<file name>`.
    pub key: String,
    /// The presigned GET for guests: a secret.
    pub url: String,
    /// When the URL ends: what it was signed for, or the end of temporary credentials.
    pub expires: Timestamp,
    /// SHA-256 of the content, lower-case hexadecimal, if known.
    pub sha256: Option<String>,
    /// Whether it was there already.
    pub reused: bool,
}

impl std::fmt::Debug for Object {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Object")
            .field("bucket", &self.bucket)
            .field("key", &self.key)
            .field("expires", &self.expires)
            .field("reused", &self.reused)
            .finish_non_exhaustive()
    }
}

impl Object {
    /// An image that lies elsewhere under a plain URL: nothing is sent.
    pub fn at_url(url: impl Into<String>, sha256: Option<String>) -> Self {
        Self {
            bucket: String::new(),
            key: String::new(),
            url: url.into(),
            expires: Timestamp::MAX,
            sha256,
            reused: true,
        }
    }
}

impl PublishOptions {
    /// For how long a URL is signed.
    pub(crate) fn signed_for(&self) -> Duration {
        self.valid_for.clamp(SHORTEST_SIGNATURE, LONGEST_SIGNATURE)
    }
}

fn from_now(time: Duration) -> Timestamp {
    Timestamp::now()
        .checked_add(SignedDuration::try_from(time).unwrap_or(SignedDuration::MAX))
        .unwrap_or(Timestamp::MAX)
}

/// S3 signs for no longer.
const LONGEST_SIGNATURE: Duration = Duration::from_secs(7 * 24 * 3600);
const SHORTEST_SIGNATURE: Duration = Duration::from_secs(60);

impl Cloud {
    /// Publishes the image.
    pub async fn publish(
        &self,
        image: &Image,
        options: &PublishOptions,
    ) -> Result<Object, CloudError> {
        let target = self.target(image, options).await?;
        let reused = match self.stored(&target, image).await? {
            Stored::Same => true,
            // Where it cannot be copied it is sent again.
            Stored::Expired => match self.renew(&target, image).await {
                Ok(()) => true,
                Err(_) => self.send_making_bucket(&target, image, options, false).await?,
            },
            Stored::Absent => self.send_making_bucket(&target, image, options, true).await?,
            Stored::Other => self.send_making_bucket(&target, image, options, false).await?,
        };
        if reused {
            self.tell(Event::UploadSkipped { key: target.key.clone() });
        }
        self.object(target, image, options, reused).await
    }

    /// What [`Cloud::publish`] would return, without a call (but for the account's number
    /// when no bucket is named).
    pub async fn object_for(
        &self,
        image: &Image,
        options: &PublishOptions,
    ) -> Result<Object, CloudError> {
        let target = self.target(image, options).await?;
        self.object(target, image, options, false).await
    }

    /// A bucket with a name that anyone could have taken must belong to the account.
    pub(crate) async fn target(
        &self,
        image: &Image,
        options: &PublishOptions,
    ) -> Result<Target, CloudError> {
        let key = format!("l4re/{}/{}", image.sha256, file_name(image.arch, image.kind));
        // No longer wanted than asked, though a URL is signed for a minute at least.
        let expires = from_now(options.valid_for.min(LONGEST_SIGNATURE));
        match &options.bucket {
            Some(bucket) => Ok(Target { bucket: bucket.clone(), key, owner: None, expires }),
            None => {
                let owner = Some(self.identity().await?.account);
                Ok(Target { bucket: self.default_bucket().await?, key, owner, expires })
            }
        }
    }

    async fn send_making_bucket(
        &self,
        target: &Target,
        image: &Image,
        options: &PublishOptions,
        conditional: bool,
    ) -> Result<bool, CloudError> {
        match self.send(target, image, conditional).await {
            Err(CloudError::NoSuchBucket { .. }) if options.make_bucket => {
                self.make_bucket(&target.bucket).await?;
                self.send(target, image, conditional).await
            }
            other => other,
        }
    }

    /// A presigned GET for guests, as long as the options say.
    pub(crate) async fn signed_url(
        &self,
        bucket: &str,
        key: &str,
        options: &PublishOptions,
    ) -> Result<String, CloudError> {
        const CALL: &str = "s3:GetObject (signing)";
        let signing = PresigningConfig::expires_in(options.signed_for())
            .map_err(|error| CloudError::BadAnswer { call: CALL, cause: error.to_string() })?;
        let request = self.s3_fetch().get_object().bucket(bucket).key(key);
        let signed = self.call(CALL, request.presigned(signing)).await?.uri().to_owned();
        Ok(if options.https { signed } else { plain_http(signed) })
    }

    /// Whether guests fetch from a host that is neither AWS's nor that of the endpoint which
    /// stands for all of AWS.
    pub(crate) async fn guests_fetch_elsewhere(&self) -> Result<bool, CloudError> {
        let url = self.signed_url("bucket", "key", &PublishOptions::default()).await?;
        let host = |url: &str| {
            let rest = url.split_once("://").map_or("", |(_, rest)| rest);
            rest.split(['/', '?']).next().unwrap_or_default().to_owned()
        };
        let (fetched, all) = (host(&url), self.endpoint().map(host).unwrap_or_default());
        let same = !all.is_empty() && fetched.ends_with(&all);
        // An interface endpoint is in the VPC itself.
        Ok(!same && (!is_of_aws(&fetched) || fetched.contains(".vpce.")))
    }

    async fn object(
        &self,
        target: Target,
        image: &Image,
        options: &PublishOptions,
        reused: bool,
    ) -> Result<Object, CloudError> {
        let url = self.signed_url(&target.bucket, &target.key, options).await?;
        let expires = from_now(options.signed_for());
        let session = self.credentials_end().await;
        Ok(Object {
            url,
            bucket: target.bucket,
            key: target.key,
            expires: session.map_or(expires, |session| session.min(expires)),
            sha256: Some(image.sha256.clone()),
            reused,
        })
    }
}

/// iPXE's TLS needs more of the network than plain HTTP does, and the script checks the
/// sum: so AWS's own hosts are asked by http. The signature covers the host, not the scheme.
fn plain_http(url: String) -> String {
    let Some(rest) = url.strip_prefix("https://") else { return url };
    let host = rest.split(['/', '?']).next().unwrap_or(rest);
    if is_of_aws(host) {
        return format!("http://{rest}");
    }
    url
}

fn is_of_aws(host: &str) -> bool {
    host.ends_with(".amazonaws.com") || host.ends_with(".amazonaws.com.cn")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connect::{ConnectOptions, Endpoint};
    use l4re_image::{Arch, Kind};

    fn image() -> Image {
        Image {
            path: "x.efi".into(),
            arch: Arch::Arm64,
            kind: Kind::Efi,
            size: 10,
            sha256: "ab".repeat(32),
        }
    }

    fn endpoint(url: &str) -> Endpoint {
        Endpoint {
            url: url.into(),
            access_key: "AKIDEXAMPLE".into(),
            secret_key: "secret".into(),
            session_token: None,
            region: "eu-central-1".into(),
        }
    }

    async fn object(fetch: Option<&str>) -> Object {
        let options = ConnectOptions {
            endpoint: Some(endpoint("http://127.0.0.1:1")),
            fetch_endpoint: fetch.map(ToOwned::to_owned),
            ..ConnectOptions::default()
        };
        let cloud = Cloud::connect(options).await.unwrap();
        let options = PublishOptions {
            bucket: Some("pics".into()),
            valid_for: Duration::from_secs(30 * 24 * 3600),
            ..PublishOptions::default()
        };
        cloud.object_for(&image(), &options).await.unwrap()
    }

    #[tokio::test]
    async fn the_url_is_signed_for_the_fetch_endpoint_and_a_week_at_most() {
        let object = object(Some("http://169.254.169.253")).await;
        let start = format!("http://169.254.169.253/pics/l4re/{}/bootaa64.efi?", "ab".repeat(32));
        assert!(object.url.starts_with(&start), "{}", object.url);
        assert!(object.url.contains("X-Amz-Expires=604800"), "{}", object.url);
        // iPXE sends no header but Host.
        assert!(object.url.contains("X-Amz-SignedHeaders=host&"), "{}", object.url);
        assert!(!format!("{object:?}").contains("Signature"));
    }

    #[tokio::test]
    async fn without_a_fetch_endpoint_the_endpoint_is_signed() {
        assert!(object(None).await.url.starts_with("http://127.0.0.1:1/pics/l4re/"));
    }

    #[tokio::test]
    async fn a_fetch_endpoint_of_its_own_is_elsewhere() {
        let elsewhere = async |fetch: Option<&str>| {
            let options = ConnectOptions {
                endpoint: Some(endpoint("http://127.0.0.1:1")),
                fetch_endpoint: fetch.map(ToOwned::to_owned),
                ..ConnectOptions::default()
            };
            Cloud::connect(options).await.unwrap().guests_fetch_elsewhere().await.unwrap()
        };
        assert!(!elsewhere(None).await);
        assert!(elsewhere(Some("http://10.0.0.1:9000")).await);
        assert!(!elsewhere(Some("http://b.s3.eu-central-1.amazonaws.com")).await);
    }

    #[test]
    fn only_hosts_of_aws_are_asked_by_http() {
        let aws = "https://b.s3.eu-central-1.amazonaws.com/k?x=1";
        assert_eq!(plain_http(aws.into()), "http://b.s3.eu-central-1.amazonaws.com/k?x=1");
        let other = "https://minio.example/b/k?x=https://a.amazonaws.com";
        assert_eq!(plain_http(other.into()), other);
    }
}
