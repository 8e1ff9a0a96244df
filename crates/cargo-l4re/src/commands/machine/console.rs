//! `cargo l4re console NAME`: the console of an instance, again.
//!
//! What was printed before is shown first, as far as EC2 kept it. Leaving (`~.` after a
//! newline, or Ctrl-C) leaves the instance running.

use std::sync::Arc;

use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use l4re_console::phase::{ImageInfo, Start};

use super::flags::JudgeFlags;
use crate::commands::Context;
use crate::complete;
use crate::failure::Failure;
use crate::instance::{self, Show, Where};

/// Arguments of `console`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Name or id of the instance
    #[arg(required_unless_present = "from", add = ArgValueCompleter::new(complete::instances))]
    name: Option<String>,
    /// Follow a recorded log, a pipe, a Unix socket, HOST:PORT or `-` (stdin) instead
    #[arg(long, value_name = "PLACE", conflicts_with_all = ["name", "kept", "local"])]
    from: Option<String>,
    /// Print what EC2 has kept of it, and leave
    #[arg(long, conflicts_with_all = ["expect", "fail_on", "timeout", "idle_timeout", "tap", "log"])]
    kept: bool,
    #[command(flatten)]
    end: Where,
    #[command(flatten)]
    judge: JudgeFlags,
    #[command(flatten)]
    show: Show,
}

/// Runs `console`.
pub fn console(context: &Arc<Context>, arguments: &Arguments) -> Result<(), Failure> {
    let Some(name) = &arguments.name else { return local(context, arguments) };
    let ready = instance::connect(context, &arguments.end)?;
    context.with_runtime(|runtime, interrupt| {
        runtime.block_on(async {
            let connection = ready.connect().await?;
            let machine = connection.cloud.find(name).await?;
            if arguments.kept {
                let bytes = connection.cloud.console_output(&machine.id, true).await?;
                return Ok(instance::show_kept(context, &bytes)?);
            }
            let metal = instance::is_metal(&machine.instance_type);
            let mut attachment = arguments.judge.attachment(context, None, metal)?;
            arguments.show.check(context, connection.local)?;
            attachment.show = arguments.show.clone();
            attachment.start = Start::Attached;
            let sha256 = machine.image.clone();
            attachment.image = Some(ImageInfo { sha256, ..ImageInfo::default() });
            // A person who attaches to a crashed machine wants to look around.
            attachment.end_on_fault = !context.shell.is_interactive();
            let ending =
                instance::attach(context, &connection, &machine, attachment, interrupt).await?;
            if !ending.over {
                instance::ready_again(context, &connection, &machine);
            }
            instance::judged(context, ending)
        })
    })
}

/// A console that is no instance's.
fn local(context: &Arc<Context>, arguments: &Arguments) -> Result<(), Failure> {
    let from = arguments.from.as_deref().unwrap_or_default();
    context.with_runtime(|runtime, interrupt| {
        let mut attachment = arguments.judge.attachment(context, None, false)?;
        arguments.show.check(context, false)?;
        attachment.show = arguments.show.clone();
        attachment.end_on_fault = !context.shell.is_interactive();
        let ending =
            runtime.block_on(instance::attach_local(context, from, attachment, interrupt))?;
        instance::phases(context, &ending);
        instance::judged(context, ending)
    })
}
