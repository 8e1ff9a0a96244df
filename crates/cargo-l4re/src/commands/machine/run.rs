//! `cargo l4re run [ENTRY|IMAGE|URL]`: on the desk, from build to verdict.
//!
//! Builds, boots on the twin by the same path as on EC2, shows the console, and terminates
//! the instance at the end, whatever the end is.

use std::panic::{AssertUnwindSafe, resume_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use futures::FutureExt;
use l4re_cloud::{CloudError, Instance, InstanceState};
use l4re_console::escape::Leaving;

use super::flags::{JudgeFlags, MachineFlags};
use crate::commands::Context;
use crate::commands::flags::ImageFlags;
use crate::failure::Failure;
use crate::instance::{self, Attachment, Connection, Recipe, Show, Where};
use crate::interrupt::Interrupt;
use crate::source::Source;

/// Time within which a terminated instance must be gone.
const END_LIMIT: Duration = Duration::from_secs(20);

/// Arguments of `run`.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    image: ImageFlags,
    #[command(flatten)]
    machine: MachineFlags,
    #[command(flatten)]
    judge: JudgeFlags,
    #[command(flatten)]
    show: Show,
}

/// Runs `run`.
pub fn run(context: &Arc<Context>, arguments: &Arguments) -> Result<(), Failure> {
    on_desk(context, &arguments.image, &arguments.machine, &arguments.judge, &arguments.show)
}

/// Builds, boots, watches and ends an instance on the twin.
pub fn on_desk(
    context: &Arc<Context>,
    image: &ImageFlags,
    machine: &MachineFlags,
    judge: &JudgeFlags,
    show: &Show,
) -> Result<(), Failure> {
    context.with_runtime(|runtime, interrupt| {
        let source = image.source(context, interrupt)?;
        let mut attachment = judge.attachment(context, source.entry(), false)?;
        show.check(context, true, judge.log.as_deref())?;
        attachment.show = show.clone();
        attachment.leaving = Leaving::Ends;
        let recipe = machine.recipe(context, &source, image.kind)?;
        let ready = instance::connect(context, &Where::desk())?;
        ready.check_desk(context, source.arch())?;
        runtime.block_on(async {
            let connection = ready.connect().await?;
            to_verdict(context, &connection, &source, &recipe, attachment, interrupt).await
        })
    })
}

async fn to_verdict(
    context: &Arc<Context>,
    connection: &Connection,
    source: &Source,
    recipe: &Recipe,
    mut attachment: Attachment,
    interrupt: &Interrupt,
) -> Result<(), Failure> {
    let begin = Instant::now();
    let launch = instance::launch(context, connection, source, recipe, interrupt).await?;
    attachment.image = instance::expected_of(&launch.image).ok();
    let machine = &launch.launched.instance;
    let attached = instance::attach(context, connection, machine, attachment, interrupt);
    // First of all the machine's end; what the console said can wait.
    let (ending, ended) = and_then(attached, remove(context, connection, machine, begin)).await;
    let ending = ending?;
    instance::phases(context, &ending);
    ended?;
    instance::judged(context, ending)
}

/// Works with a machine and then ends it, come what may: a panic goes on only after that.
pub async fn and_then<T, U>(work: impl Future<Output = T>, end: impl Future<Output = U>) -> (T, U) {
    let worked = AssertUnwindSafe(work).catch_unwind().await;
    let ended = end.await;
    match worked {
        Ok(worked) => (worked, ended),
        Err(panic) => resume_unwind(panic),
    }
}

/// Terminates an instance. On the desk it is waited for; EC2 takes minutes over what it has
/// accepted, a metal machine's memory included, and nothing can go wrong any more.
pub async fn remove(
    context: &Context,
    connection: &Connection,
    machine: &Instance,
    begin: Instant,
) -> Result<(), Failure> {
    let name = machine.name.as_deref().unwrap_or(&machine.id);
    match connection.cloud.terminate(machine).await {
        // A twin that was stopped has taken its instances with it; the next one finds others.
        Err(CloudError::NetworkUnreachable { .. }) if connection.local => {
            let text = format!("the twin is gone: if it was killed, {name} runs on");
            context.shell.warn(format_args!("{text}, and `cargo l4re rm --local {name}` ends it"));
            return Ok(());
        }
        Err(error) => return Err(error.into()),
        Ok(_) if connection.local => {
            let gone = InstanceState::Terminated;
            connection.cloud.wait_for(&machine.id, gone, END_LIMIT).await?;
        }
        Ok(_) => {}
    }
    let after = begin.elapsed().as_secs_f64();
    context.shell.status("Stopped", format_args!("{name} ({}) after {after:.1} s", machine.id));
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::panic::catch_unwind;

    use super::*;

    #[test]
    fn a_machine_is_ended_also_after_a_panic() {
        let ended = Cell::new(false);
        let end = || async { ended.set(true) };
        let panicking = || panic!("a test's own");
        let work = async { panicking() };
        let both = AssertUnwindSafe(|| futures::executor::block_on(and_then(work, end())));
        assert!(catch_unwind(both).is_err() && ended.get());
        let both = futures::executor::block_on(and_then(async { 1 }, async { 2 }));
        assert_eq!(both, (1, 2));
    }
}
