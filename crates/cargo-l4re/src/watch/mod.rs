//! What `cargo l4re watch` looks at, and how it learns of changes.

mod changes;
mod scope;

pub use self::changes::Changes;
pub use self::scope::Scope;
