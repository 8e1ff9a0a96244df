//! HTTP connections: what is read of them, and how they end.

mod lent_body;
mod parting;
mod serve;

pub(crate) use serve::serve;
