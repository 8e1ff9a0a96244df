//! The commands that need machines: EC2's or the desk's. Left out without feature `cloud`.

pub mod flags;

mod ami;
mod command;
mod console;
pub mod deploy;
mod doctor;
mod fault;
mod gc;
mod keeper;
mod own_images;
mod park;
mod planned;
mod power;
mod ps;
mod run;
mod runner;
mod script;
mod test;
mod test_entries;
mod test_starter;
pub mod twin;
mod upload;
mod watch;

pub use self::command::Command;
