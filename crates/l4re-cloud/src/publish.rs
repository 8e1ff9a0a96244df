//! Publishing an image: a private, content-addressed object and a URL for guests.
//!
//! Invariants: an object that is there is never sent again; the key holds the SHA-256 of
//! what is stored under it, and the store checks it; the URL is valid for no longer than
//! asked and at most seven days.

use std::time::Duration;

use camino::Utf8Path;
use jiff::Timestamp;

use crate::connect::Cloud;
use crate::error::CloudError;
use crate::plan::ImageFacts;

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
    /// When the URL ends, as far as it was signed for; temporary credentials end it sooner.
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

impl Cloud {
    /// Publishes the file at `path`, of which `image` was read before.
    pub async fn publish(
        &self,
        path: &Utf8Path,
        image: &ImageFacts,
        options: &PublishOptions,
    ) -> Result<Object, CloudError> {
        let _ = (path, image, options);
        todo!()
    }

    /// What [`Cloud::publish`] would return, without a call (but for the account's number
    /// when no bucket is named).
    pub async fn object_for(
        &self,
        image: &ImageFacts,
        options: &PublishOptions,
    ) -> Result<Object, CloudError> {
        let _ = (image, options);
        todo!()
    }
}
