//! Client tokens: the same command repeated gets the same token, another launch another.
//!
//! Invariant: a token depends on the name and the place, which identify a launch, and on
//! nothing that may differ between two runs of one command (time, presigned URL, the sum of
//! an image that was built again). EC2: at most 64 ASCII characters, and a token that was
//! used for an instance which is gone returns the dead instance.

use sha2::{Digest, Sha256};

/// What identifies one launch attempt.
pub(crate) struct TokenSeed<'a> {
    /// The instance's name.
    pub(crate) name: &'a str,
    /// The newest dead instance of that name: after `rm`, a launch is another launch.
    pub(crate) last_dead: Option<&'a str>,
    /// The type.
    pub(crate) instance_type: &'a str,
    /// The zone.
    pub(crate) zone: Option<&'a str>,
    /// Whether it asks for spot capacity.
    pub(crate) spot: bool,
    /// Counts up when the token turns out to belong to an instance that is gone.
    pub(crate) generation: u32,
}

/// The token: 64 hexadecimal digits.
pub(crate) fn client_token(seed: &TokenSeed<'_>) -> String {
    let spot = if seed.spot { "spot" } else { "on-demand" };
    let generation = seed.generation.to_string();
    let fields = [
        seed.name,
        seed.last_dead.unwrap_or_default(),
        seed.instance_type,
        seed.zone.unwrap_or_default(),
        spot,
        &generation,
    ];
    digest("l4re-launch-1", &fields)
}

/// SHA-256 of a list of fields, in hexadecimal; `purpose` keeps sums of one kind apart from
/// those of another.
pub(crate) fn digest(purpose: &str, fields: &[&str]) -> String {
    let mut hash = Sha256::new();
    for field in [purpose].iter().chain(fields) {
        // The length first, so that no two lists of fields run together to the same bytes.
        hash.update((field.len() as u64).to_le_bytes());
        hash.update(field);
    }
    hex::encode(hash.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seed() -> TokenSeed<'static> {
        TokenSeed {
            name: "hello",
            last_dead: None,
            instance_type: "m7g.metal",
            zone: Some("eu-central-1a"),
            spot: false,
            generation: 0,
        }
    }

    #[test]
    fn same_command_same_token() {
        assert_eq!(client_token(&seed()), client_token(&seed()));
        assert_eq!(client_token(&seed()).len(), 64);
    }

    #[test]
    fn every_field_counts() {
        let mut tokens = vec![client_token(&seed())];
        let changes: [fn(&mut TokenSeed<'static>); 6] = [
            |s| s.name = "hell",
            |s| s.last_dead = Some("i-1"),
            |s| s.instance_type = "c7g.metal",
            |s| s.zone = Some("eu-central-1b"),
            |s| s.spot = true,
            |s| s.generation = 1,
        ];
        for change in changes {
            let mut other = seed();
            change(&mut other);
            tokens.push(client_token(&other));
        }
        tokens.sort();
        tokens.dedup();
        assert_eq!(tokens.len(), 7);
    }
}
