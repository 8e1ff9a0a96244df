//! The desk that each end-to-end test works at: the built binary, a home and a twin of its
//! own, and the demo trees. All of it is gone when the test ends, however it ends.
//!
//! What there is to test comes in by environment variables that `cargo xtask test` sets
//! (`L4RE_TEST_BINARY`, `L4RE_TEST_TREE_AMD64`, `L4RE_TEST_TREE_ARM64`, `L4RE_TEST_VENV`);
//! without them a test fails and says so, rather than pass without having tested.

#![expect(clippy::disallowed_methods, reason = "tests are told by variables where things are")]
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up must fail")]

mod command;
mod desk;
mod messages;
mod problems;
mod proxy;
mod server;
mod terminal;

use camino::Utf8PathBuf;

pub use self::command::{Output, Running};
pub use self::desk::Desk;
pub use self::problems::{Matcher, Problem};
pub use self::proxy::{Hold, Proxy};
pub use self::server::Moto;
pub use self::terminal::Terminal;

/// A path that `cargo xtask test` hands over.
///
/// # Panics
/// When the variable is not set.
pub fn given(name: &str) -> Utf8PathBuf {
    match std::env::var(name) {
        Ok(value) => value.into(),
        Err(_) => panic!("{name} is not set: run `cargo xtask test --only end-to-end`"),
    }
}
