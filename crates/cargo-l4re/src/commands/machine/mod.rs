//! The commands that need machines: EC2's or the desk's. Left out without feature `cloud`.

pub mod flags;

mod ami;
mod command;
mod console;
pub mod deploy;
mod doctor;
mod gc;
mod park;
mod fault;
mod power;
mod ps;
mod run;
mod runner;
mod script;
pub mod twin;
mod upload;
mod watch;

pub use self::command::Command;
