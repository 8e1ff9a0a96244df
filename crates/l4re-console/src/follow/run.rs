//! The loop.

use super::{Control, FollowOptions, Observer, Report};
use crate::log::RawLog;
use crate::transport::Transport;

/// Follows `transport` until a verdict stands. The transport is closed afterwards.
pub async fn follow(
    transport: &mut dyn Transport,
    options: FollowOptions,
    log: Option<&mut RawLog>,
    observer: &mut dyn Observer,
    control: Control,
) -> Report {
    todo!()
}
