//! `cargo l4re script URL`: the iPXE script that boots an image, on stdout.
//!
//! For those who launch by other means: it is what `deploy` gives as user data.

use clap::Args;
use l4re_cloud::{AfterFailure, ScriptOptions};
use serde_json::json;

use crate::commands::Context;
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
    #[arg(long, value_name = "WORDS", allow_hyphen_values = true)]
    command_line: Option<String>,
    /// Attempts at the download
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=12))]
    attempts: Option<u32>,
    /// Wait at the end of a failure instead of rebooting
    #[arg(long)]
    wait: bool,
}

/// Runs `script`.
pub fn script(context: &Context, arguments: &Arguments) -> Result<(), Failure> {
    let path = arguments.url.split(['?', '#']).next().unwrap_or_default();
    let name = path.rsplit('/').next().filter(|name| !name.is_empty()).unwrap_or("image");
    let mut options = ScriptOptions::new(&arguments.url, name);
    options.sha256.clone_from(&arguments.sha256);
    options.command_line.clone_from(&arguments.command_line);
    if let Some(attempts) = arguments.attempts {
        options.attempts = attempts;
    }
    if arguments.wait {
        options.after_failure = AfterFailure::Wait;
    }
    let script = l4re_cloud::script(&options)?;
    context.shell.result(script.trim_end())?;
    Ok(context.shell.json("script", &json!({ "text": script }))?)
}
