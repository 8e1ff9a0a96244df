//! EBS direct: snapshots block by block (REST and JSON, version 2019-11-02).

mod lists;
mod refusals;
mod routes;
#[cfg(test)]
mod tests;
mod tokens;
mod writing;

pub(crate) use routes::{answer, operation};
