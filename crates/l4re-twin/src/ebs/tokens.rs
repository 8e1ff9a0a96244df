//! Block tokens: what `ListSnapshotBlocks` gives and `GetSnapshotBlock` wants.
//!
//! Invariant: a token opens one block of one snapshot, until it expires, for whoever got it
//! from this twin.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::sigv4::{Credentials, same};

/// How long tokens hold: EBS's seven days.
pub(super) const LIFE: jiff::SignedDuration = jiff::SignedDuration::from_hours(7 * 24);

/// The token of a block that expires at a moment.
pub(super) fn token(
    credentials: &Credentials,
    snapshot: &str,
    index: u32,
    expires: jiff::Timestamp,
) -> String {
    let expires = expires.as_second().to_be_bytes();
    let mut mac = Hmac::<Sha256>::new_from_slice(credentials.secret_access_key.as_bytes())
        .unwrap_or_else(|_| unreachable!("HMAC takes keys of any length"));
    mac.update(format!("block {snapshot} {index} ").as_bytes());
    mac.update(&expires);
    STANDARD.encode([&expires[..], &mac.finalize().into_bytes()].concat())
}

/// Whether a token opens a block now.
pub(super) fn opens(
    token_text: &str,
    credentials: &Credentials,
    snapshot: &str,
    index: u32,
    now: jiff::Timestamp,
) -> bool {
    let bytes = STANDARD.decode(token_text).unwrap_or_default();
    let Some(seconds) = bytes.first_chunk() else { return false };
    let Ok(expires) = jiff::Timestamp::from_second(i64::from_be_bytes(*seconds)) else {
        return false;
    };
    let right = token(credentials, snapshot, index, expires);
    expires > now && same(token_text.as_bytes(), right.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_for_one_block_and_expires() {
        let credentials =
            Credentials { access_key_id: String::new(), secret_access_key: "secret".to_owned() };
        let at = |second| jiff::Timestamp::from_second(second).unwrap();
        let token = token(&credentials, "snap-1", 7, at(1000));
        assert!(opens(&token, &credentials, "snap-1", 7, at(999)));
        assert!(!opens(&token, &credentials, "snap-1", 7, at(1000)));
        assert!(!opens(&token, &credentials, "snap-1", 8, at(999)));
        assert!(!opens(&token, &credentials, "snap-2", 7, at(999)));
        for bad in ["", "AAAA", "AAAAAAAAAAA=", "/////////////w==", "?"] {
            assert!(!opens(bad, &credentials, "snap-1", 7, at(0)), "{bad}");
        }
    }
}
