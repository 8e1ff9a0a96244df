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
        todo!()
    }

    /// The public half as SendSerialConsoleSSHPublicKey takes it: `ssh-ed25519 AAAA…`.
    #[must_use]
    pub fn public_openssh(&self) -> String {
        todo!()
    }
}
