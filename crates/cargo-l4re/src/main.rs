//! `cargo l4re`: from an L4Re build tree to a running, watched and surely stopped system.
//!
//! Arguments, settings, one function per command, all output. No wire format is known here.
#![cfg_attr(
    not(feature = "cloud"),
    expect(
        dead_code,
        unused_imports,
        unused_mut,
        unused_variables,
        reason = "without machines nobody reads their settings or attaches to a console"
    )
)]

mod arguments;
mod build;
mod commands;
mod complete;
mod download;
mod editor;
mod entry;
mod environment;
mod failure;
#[cfg(feature = "cloud")]
mod instance;
mod interrupt;
mod make_output;
mod manual;
mod report;
#[cfg(feature = "cloud")]
mod results;
mod settings;
mod shell;
mod source;
mod target;
mod terminal;
#[cfg(feature = "cloud")]
mod twin;
#[cfg(feature = "cloud")]
mod watch;

fn main() -> std::process::ExitCode {
    commands::main()
}
