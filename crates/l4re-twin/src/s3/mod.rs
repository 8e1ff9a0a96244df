//! The object store: S3's protocol by s3s, over a store of our own.
//!
//! s3s-fs, the file-system backend beside s3s, would do for the plain calls, but it puts an
//! object in place before its checksum is known to be right, makes buckets by putting into
//! them, deletes full ones, and cannot hold the keys `a` and `a/b` at once.

mod checks;
mod copying;
mod deleting;
mod expiry;
mod listing;
mod objects;
mod policy;
mod reading;
mod refusals;
mod service;
mod settings;
mod transfer;
mod untold;
mod uploads;

pub(crate) use checks::{Checks, Summed, Sums};
pub(crate) use expiry::expire;
pub(crate) use objects::{Condition, Header, Objects};
pub(crate) use refusals::{complete, drop_odd_range, refuse_signature};
pub(crate) use service::{S3Endpoint, endpoint};
pub(crate) use uploads::Uploads;
