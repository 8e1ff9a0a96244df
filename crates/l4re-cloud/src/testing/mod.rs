//! For tests only: facts, a service on loopback that fails as told, and what the client
//! makes of it.

mod calls;
mod facts;
mod faulty;
mod launches;
mod server;
mod uploads;

pub(crate) use facts::{ami, image, machine, machines, prepared};
pub(crate) use server::connect;
