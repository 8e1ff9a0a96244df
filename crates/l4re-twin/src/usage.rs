//! How much the state directory takes on disk, and whether more may come.
//!
//! Invariant: what clients store stops at the limit, give or take what is on its way; nothing
//! is ever thrown away for it, since a store that forgets is none.

use std::sync::atomic::{AtomicU64, Ordering};

use http::{HeaderMap, Method};

use crate::fault::Fault;

/// What is taken, as last measured, and what has come since.
#[derive(Debug)]
pub(crate) struct Usage {
    bytes: AtomicU64,
    limit: u64,
}

impl Usage {
    pub(crate) fn new(bytes: u64, limit: u64) -> Self {
        Self { bytes: AtomicU64::new(bytes), limit }
    }

    /// What was measured.
    pub(crate) fn set(&self, bytes: u64) {
        self.bytes.store(bytes, Ordering::Relaxed);
    }

    /// Takes note of a request that may store something, or refuses it.
    pub(crate) fn admit(&self, method: &Method, headers: &HeaderMap) -> Result<(), Fault> {
        if method != Method::PUT && method != Method::POST {
            return Ok(());
        }
        let length = headers.get(http::header::CONTENT_LENGTH);
        let length = length.and_then(|value| value.to_str().ok()?.parse().ok()).unwrap_or(0);
        let before = self.bytes.fetch_add(length, Ordering::Relaxed);
        if before.saturating_add(length) <= self.limit || length == 0 {
            return Ok(());
        }
        self.bytes.fetch_sub(length, Ordering::Relaxed);
        // Up, so that the sum is more than the limit in words, too.
        let mib = |bytes: u64| bytes.div_ceil(1 << 20);
        Err(Fault::client(
            "InsufficientStorage",
            format!(
                "the twin's folder takes {} MiB, and {} MiB more are over its limit of {} MiB: \
                 `cargo l4re twin gc` frees what is old, `twin.disk` sets the limit",
                mib(before),
                mib(length),
                mib(self.limit)
            ),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_stop_at_the_limit_and_go_on_below_it() {
        let usage = Usage::new(0, 100);
        let admit = |method: Method, length: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert("content-length", http::HeaderValue::from_static(length));
            usage.admit(&method, &headers)
        };
        admit(Method::PUT, "60").unwrap();
        assert_eq!(admit(Method::PUT, "60").unwrap_err().code, "InsufficientStorage");
        admit(Method::PUT, "40").unwrap();
        admit(Method::GET, "60").unwrap();
        usage.set(10);
        admit(Method::PUT, "60").unwrap();
    }
}
