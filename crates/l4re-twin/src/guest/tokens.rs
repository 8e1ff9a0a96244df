//! Session tokens of the metadata service, version 2: each of one instance and one life.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::state::random_hex;

/// EC2's longest life of a token, in seconds.
pub(crate) const MAX_SECONDS: u64 = 21_600;
/// An instance that asks for more has its oldest forgotten.
const MAX_TOKENS: usize = 1024;

/// The tokens that are out.
#[derive(Debug, Default)]
pub(crate) struct Tokens(Mutex<HashMap<String, (String, Instant)>>);

impl Tokens {
    /// A new token.
    pub(crate) fn issue(&self, instance: &str, seconds: u64) -> String {
        let now = Instant::now();
        let mut tokens = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.retain(|_, (_, until)| *until > now);
        if tokens.len() >= MAX_TOKENS
            && let Some(oldest) =
                tokens.iter().min_by_key(|(_, (_, until))| *until).map(|(token, _)| token.clone())
        {
            tokens.remove(&oldest);
        }
        let token = format!("AQAEA{}==", random_hex(48));
        tokens.insert(token.clone(), (instance.to_owned(), now + Duration::from_secs(seconds)));
        token
    }

    /// Whether a token is good for an instance.
    pub(crate) fn is_good(&self, instance: &str, token: &str) -> bool {
        let tokens = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.get(token).is_some_and(|(owner, until)| owner == instance && *until > Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_of_one_instance_and_end() {
        let tokens = Tokens::default();
        let token = tokens.issue("i-1", 60);
        assert!(tokens.is_good("i-1", &token) && !tokens.is_good("i-2", &token));
        let dead = tokens.issue("i-1", 0);
        assert!(!tokens.is_good("i-1", &dead));
    }
}
