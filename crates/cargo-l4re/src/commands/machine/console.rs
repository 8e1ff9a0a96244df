//! `cargo l4re console NAME…`: the console of an instance, again, or those of several.
//!
//! What was printed before is shown first, as far as EC2 kept it. Leaving (`~.` after a
//! newline, or Ctrl-C) leaves the instance running. Of several instances each line carries the
//! name, and none takes keys.

use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use futures::future::{join_all, try_join_all};
use l4re_cloud::Instance;
use l4re_console::phase::{ImageInfo, Start};

use super::flags::JudgeFlags;
use crate::commands::Context;
use crate::complete;
use crate::failure::Failure;
use crate::instance::{self, Connection, Show, Where};
use crate::interrupt::Interrupt;
use crate::results;
use crate::shell::count;

/// Arguments of `console`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Names or ids of instances; of several, each line carries the name
    #[arg(value_name = "NAME", required_unless_present = "from",
        add = ArgValueCompleter::new(complete::instances))]
    names: Vec<String>,
    /// Follow a pipe, a Unix socket, HOST:PORT or `-` (stdin) instead, or read a recorded log
    #[arg(long, value_name = "PLACE", conflicts_with_all = ["names", "kept", "local"])]
    from: Option<String>,
    /// Print what EC2 has kept of it, and leave
    #[arg(long, conflicts_with_all = ["expect", "fail_on", "timeout", "idle_timeout", "reboots", "tap", "log"])]
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
    if arguments.from.is_some() {
        return local(context, arguments);
    }
    let mut names: Vec<&str> = Vec::new();
    for name in &arguments.names {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    if let [_, _, ..] = names.as_slice() {
        check_several(arguments)?;
    }
    let ready = instance::connect(context, &arguments.end)?;
    context.with_runtime(|runtime, interrupt| {
        runtime.block_on(async {
            let connection = ready.connect().await?;
            let found = names.iter().map(|&name| connection.cloud.find(name));
            let machines = try_join_all(found).await?;
            // What is no expression, and a log that cannot be made, are said once.
            arguments.judge.attachment(context, None, false)?;
            arguments.show.check(context, connection.local, arguments.judge.log.as_deref())?;
            let visit = Visit { context, connection, arguments, interrupt };
            match machines.as_slice() {
                [machine] => visit.one(context, machine).await,
                machines => visit.all(machines, &names).await,
            }
        })
    })
}

/// Refuses with several consoles what is for one.
fn check_several(arguments: &Arguments) -> Result<(), Failure> {
    let (judge, show) = (&arguments.judge, &arguments.show);
    let given =
        [("--log", judge.log.is_some()), ("--record", show.record.is_some()), ("--gdb", show.gdb)];
    match given.iter().find(|(_, given)| *given) {
        Some((flag, _)) => {
            Err(Failure::Usage(format!("`{flag}` is for one console, and several are named")))
        }
        None => Ok(()),
    }
}

/// What all consoles of a call share.
struct Visit<'a> {
    context: &'a Arc<Context>,
    connection: Connection,
    arguments: &'a Arguments,
    interrupt: &'a Interrupt,
}

impl Visit<'_> {
    /// Shows the console of a machine to its end, as `context` has it.
    async fn one(&self, context: &Context, machine: &Instance) -> Result<(), Failure> {
        let (arguments, connection) = (self.arguments, &self.connection.told_by(&context.shell));
        if arguments.kept {
            let bytes = connection.cloud.console_output(&machine.id, true).await?;
            return Ok(instance::show_kept(context, &bytes)?);
        }
        let metal = instance::is_metal(&machine.instance_type);
        let mut attachment = arguments.judge.attachment(context, None, metal)?;
        attachment.show = arguments.show.clone();
        attachment.start = Start::Attached;
        let sha256 = machine.image.clone();
        attachment.image = Some(ImageInfo { sha256, ..ImageInfo::default() });
        // A person who attaches to a crashed machine wants to look around.
        attachment.end_on_fault = !self.context.shell.is_interactive();
        let ending =
            instance::attach(context, connection, machine, attachment, self.interrupt).await?;
        if !ending.over {
            instance::ready_again(self.context, connection, machine);
        }
        instance::judged(context, ending)
    }

    /// Shows several consoles at once. What went wrong with one is told when it does; the
    /// weightiest of it counts.
    async fn all(&self, machines: &[Instance], names: &[&str]) -> Result<(), Failure> {
        let shell = &self.context.shell;
        let width = names.iter().map(|name| name.len()).max().unwrap_or_default();
        if !self.arguments.kept {
            let what = count(machines.len(), "console");
            shell.status("Attached", format_args!("to {what}, Ctrl-C leaves"));
        }
        let each = machines.iter().zip(names).map(|(machine, name)| async move {
            let context = self.context.with_shell(shell.of_console(name, width));
            let result = self.one(&context, machine).await;
            if let Err(failure) = &result
                && !failure.is_told()
                && !failure.is_closed_pipe()
            {
                context.shell.note(failure);
            }
            result.err()
        });
        // Who reads no further wants no word of it.
        let failed = join_all(each).await.into_iter().flatten();
        let mut failures: Vec<Failure> = failed.filter(|one| !one.is_closed_pipe()).collect();
        failures.sort_by_key(|failure| results::weight(failure.exit_code()));
        let weightiest = failures.pop();
        for failure in failures.iter().filter(|failure| !failure.is_told()) {
            shell.error(&failure.diagnostic(&self.context.end()));
        }
        weightiest.map_or(Ok(()), Err)
    }
}

/// A console that is no instance's.
fn local(context: &Arc<Context>, arguments: &Arguments) -> Result<(), Failure> {
    let from = arguments.from.as_deref().unwrap_or_default();
    let (log, record) = (arguments.judge.log.as_deref(), arguments.show.record.as_deref());
    instance::keeps_source(context, from, [("--log", log), ("--record", record)])?;
    context.with_runtime(|runtime, interrupt| {
        let mut attachment = arguments.judge.attachment(context, None, false)?;
        arguments.show.check(context, false, log)?;
        attachment.show = arguments.show.clone();
        attachment.end_on_fault = !context.shell.is_interactive();
        // No machine is being started.
        attachment.first_output = Duration::ZERO;
        let ending =
            runtime.block_on(instance::attach_local(context, from, attachment, interrupt))?;
        instance::phases(context, &ending);
        instance::judged(context, ending)
    })
}
