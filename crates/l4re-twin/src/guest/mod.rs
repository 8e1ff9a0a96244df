//! What guests see of the twin: the metadata service and the object store, each at its
//! address, through the pipe program that QEMU starts per connection.

mod categories;
mod listener;
mod metadata;
mod tokens;

pub(crate) use listener::{Guests, Preface, forwards};
pub(crate) use tokens::Tokens;
