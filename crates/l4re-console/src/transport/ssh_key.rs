//! The key of one serial-console session: ed25519, made in memory, never stored.

use std::sync::Arc;

use russh::keys::{Algorithm, PrivateKey};

/// A key pair for one session.
#[derive(Clone)]
pub struct Key(pub(super) Arc<PrivateKey>);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(ed25519)")
    }
}

/// Why no key could be made.
#[derive(Debug, thiserror::Error)]
#[error("making an ed25519 key: {0}")]
pub struct KeyError(String);

impl Key {
    /// Makes a new key from the system's randomness.
    pub fn generate() -> Result<Self, KeyError> {
        let key = PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519);
        key.map(|key| Self(Arc::new(key))).map_err(|error| KeyError(error.to_string()))
    }

    /// The public half as SendSerialConsoleSSHPublicKey takes it: `ssh-ed25519 AAAA…`.
    #[must_use]
    pub fn public_openssh(&self) -> String {
        // Writing an ed25519 key as text cannot fail: it has no parts of open length.
        self.0.public_key().to_openssh().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_differ_and_are_shown_in_openssh_form() {
        let (one, two) = (Key::generate().unwrap(), Key::generate().unwrap());
        assert!(one.public_openssh().starts_with("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA"));
        assert_ne!(one.public_openssh(), two.public_openssh());
        assert_eq!(format!("{one:?}"), "Key(ed25519)");
    }
}
