//! An instance's console: its log on disk, what is seen live, and the SSH server.

mod live;
mod log;
mod ssh;

pub(crate) use live::{Console, Input};
pub(crate) use log::{ConsoleLog, LOG};
pub(crate) use ssh::{SerialServer, host_key};
