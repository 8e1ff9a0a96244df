//! Session tokens of the metadata service, version 2: each of one instance and one life.
//!
//! Invariant: nothing is kept. A token carries its end and a MAC over it and its instance, so
//! that it is good for the next daemon, too, and no guest can make or change one.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;

use crate::sigv4;

/// EC2's longest life of a token, in seconds.
pub(crate) const MAX_SECONDS: u64 = 21_600;
/// What the MAC is made for, and nothing else with the same key.
const PURPOSE: &[u8] = b"l4re-twin metadata token";

/// Makes tokens and knows its own.
#[derive(Debug, Clone)]
pub(crate) struct Tokens {
    key: Vec<u8>,
}

impl Tokens {
    /// With the account's secret.
    pub(crate) fn new(secret: &str) -> Self {
        Self { key: sigv4::keyed(secret.as_bytes(), PURPOSE) }
    }

    /// A new token.
    pub(crate) fn issue(&self, instance: &str, seconds: u64) -> String {
        self.make(instance, now().saturating_add(Duration::from_secs(seconds)).as_secs())
    }

    /// Whether a token is good for an instance.
    pub(crate) fn is_good(&self, instance: &str, token: &str) -> bool {
        let end = URL_SAFE.decode(token).ok().and_then(|bytes| {
            let (end, _) = bytes.split_first_chunk()?;
            Some(u64::from_be_bytes(*end))
        });
        end.is_some_and(|end| {
            end > now().as_secs()
                && sigv4::same(self.make(instance, end).as_bytes(), token.as_bytes())
        })
    }

    fn make(&self, instance: &str, end: u64) -> String {
        let mut bytes = end.to_be_bytes().to_vec();
        let mac = sigv4::keyed(&self.key, &[&bytes, instance.as_bytes()].concat());
        bytes.extend(mac);
        URL_SAFE.encode(bytes)
    }
}

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_of_one_instance_and_end_and_the_next_daemon_knows_them() {
        let tokens = Tokens::new("secret");
        let token = tokens.issue("i-1", 60);
        assert!(tokens.is_good("i-1", &token) && !tokens.is_good("i-2", &token));
        assert!(Tokens::new("secret").is_good("i-1", &token));
        assert!(!Tokens::new("another").is_good("i-1", &token));
        assert!(!tokens.is_good("i-1", &tokens.issue("i-1", 0)));
        for bad in ["", "x", "AAAA", &token[..token.len() - 4], &format!("{token}AAAA")] {
            assert!(!tokens.is_good("i-1", bad), "{bad}");
        }
    }
}
