//! `cargo l4re script URL`: the iPXE script that boots an image, on stdout.
//!
//! For those who launch by other means: it is what `deploy` gives as user data.

use clap::Args;
use l4re_cloud::{AfterFailure, ScriptOptions};

use super::Context;
use crate::failure::Failure;

/// Arguments of `script`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// URL of the image, as the guest can fetch it
    url: String,
    /// SHA-256 that the image must have
    #[arg(long, value_name = "HEX")]
    sha256: Option<String>,
    /// Command line for the image
    #[arg(long, value_name = "WORDS")]
    command_line: Option<String>,
    /// Attempts at the download
    #[arg(long, value_name = "N", default_value = "5")]
    attempts: u32,
    /// Wait at the end of a failure instead of rebooting
    #[arg(long)]
    wait: bool,
}

/// Runs `script`.
pub fn script(context: &Context, arguments: &Arguments) -> Result<(), Failure> {
    let options = ScriptOptions {
        url: arguments.url.clone(),
        sha256: arguments.sha256.clone(),
        size: None,
        command_line: arguments.command_line.clone(),
        attempts: arguments.attempts,
        after_failure: if arguments.wait { AfterFailure::Wait } else { AfterFailure::Reboot },
    };
    let script = l4re_cloud::script(&options)?;
    Ok(context.shell.raw(script.as_bytes())?)
}
