//! An instance's console: its log on disk, what is seen live, and the SSH server.

mod live;
mod log;
mod ssh;
mod unattended;

pub(crate) use live::{Console, Input};
pub(crate) use log::ConsoleLog;
pub(crate) use ssh::{SerialServer, host_key};
pub(crate) use unattended::{RECORD, begin as begin_record};
