//! The twin: an EC2, an S3, the services around them that a client needs, an instance
//! metadata service and a serial console on loopback that boot their instances in QEMU.
//!
//! Invariants: it listens on 127.0.0.1 only, checks the signature of each request, shares
//! no code with the client crates, and leaves no QEMU process behind when it ends; the
//! machines of a daemon that is killed go on, and the next daemon adopts them.

mod config;
mod connect;
mod connection;
mod console;
mod daemon;
mod doctor;
mod ebs;
mod ec2;
mod endpoint;
mod error;
mod fault;
mod faults;
#[cfg(test)]
mod fixture;
mod gc;
mod guest;
mod json;
mod machine;
mod paging;
mod pipe;
mod pricing;
mod query;
mod quotas;
mod s3;
mod scheduler;
mod script;
mod service;
mod sigv4;
mod state;
mod status;
mod sts;
mod twin;
mod usage;
mod xml;

pub use config::{Accel, Config, Firmware, GuestNetwork, Timing};
pub use daemon::serve;
pub use doctor::{Finding, doctor};
pub use error::TwinError;
pub use faults::{Effect, FaultPlan, FaultRule, faults, set_faults};
pub use gc::{Freed, gc};
pub use machine::gdb_socket;
pub use pipe::pipe;
pub use status::{Status, is_held, status, stop};
