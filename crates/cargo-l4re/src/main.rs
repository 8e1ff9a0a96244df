//! `cargo l4re`: from an L4Re build tree to a running, watched and surely stopped system.
//!
//! Arguments, settings, one function per command, all output. No wire format is known here.

mod arguments;
mod build;
mod commands;
mod download;
mod entry;
mod environment;
mod failure;
mod instance;
mod interrupt;
mod settings;
mod shell;
mod target;
mod terminal;

fn main() -> std::process::ExitCode {
    commands::main()
}
