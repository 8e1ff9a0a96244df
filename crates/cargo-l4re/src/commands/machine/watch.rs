//! `cargo l4re watch [ENTRY]`: at every change the image is built again and boots, in the
//! same terminal.
//!
//! Invariants: the old run stays up until the new image is made; an image that is the same
//! boots nothing; on the desk one machine runs and one waits in iPXE for the next image, and
//! both are gone at the end. With `--on` the machine is somebody's own and stays.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use camino::Utf8PathBuf;
use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use l4re_cloud::Instance;
use l4re_console::escape::Leaving;
use l4re_image::{Arch, Cancel, Image, Kind};
use serde_json::json;

use super::flags::{JudgeFlags, MachineFlags};
use super::run::remove;
use crate::build;
use crate::commands::Context;
use crate::commands::flags::ImageFlags;
use crate::complete;
use crate::failure::Failure;
use crate::instance::{self, Connection, Ending, Parking, Recipe, Where};
use crate::interrupt::Interrupt;
use crate::source::Source;
use crate::watch::{Changes, Scope};

/// Arguments of `watch`.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    image: ImageFlags,
    #[command(flatten)]
    machine: MachineFlags,
    #[command(flatten)]
    judge: JudgeFlags,
    /// Boot on this instance, best a parked one, instead of on the desk
    #[arg(long, value_name = "NAME", add = ArgValueCompleter::new(complete::instances),
        conflicts_with_all = ["metal", "types", "name", "ttl"])]
    on: Option<String>,
    #[command(flatten)]
    end: Where,
}

/// A console that is shown, to its verdict.
type Console<'a> = Pin<Box<dyn Future<Output = Result<Ending, Failure>> + 'a>>;

/// Runs `watch`.
pub fn watch(context: &Arc<Context>, arguments: &Arguments) -> Result<(), Failure> {
    context.with_runtime(|runtime, interrupt| {
        let source = arguments.image.source(context, interrupt)?;
        // What is no expression, or no machine, must be said before anything is built.
        arguments.judge.attachment(context, source.entry(), arguments.on.is_some())?;
        let recipe = arguments.machine.recipe(context, &source, arguments.image.kind)?;
        let local = arguments.on.is_none() || arguments.end.local;
        let ready = instance::connect(context, &Where { local, ..arguments.end.clone() })?;
        if arguments.on.is_none() {
            ready.check_desk(context, source.arch())?;
        }
        runtime.block_on(async {
            let connection = ready.connect().await?;
            let mut rounds = Rounds {
                context: context.clone(),
                arguments,
                connection: &connection,
                interrupt,
                recipe,
                source,
                up: None,
                parked: None,
                image: None,
                launched: 0,
            };
            let result = rounds.run().await;
            let removed = rounds.remove_all().await;
            result.and(removed)
        })
    })
}

/// What lasts from round to round.
struct Rounds<'a> {
    context: Arc<Context>,
    arguments: &'a Arguments,
    connection: &'a Connection,
    interrupt: &'a Interrupt,
    recipe: Recipe,
    source: Source,
    /// The machine of ours that runs the newest image.
    up: Option<Instance>,
    /// The machine of ours that waits for the next one.
    parked: Option<Instance>,
    /// The newest image.
    image: Option<Image>,
    /// Machines that were launched so far: each has a name of its own.
    launched: u32,
}

impl<'a> Rounds<'a> {
    /// Round after round, until the user has enough.
    async fn run(&mut self) -> Result<(), Failure> {
        let mut changes = Changes::of(&self.scope())?;
        let mut console: Option<Console<'a>> = None;
        let mut changed = BTreeSet::new();
        loop {
            let begin = Instant::now();
            self.context.shell.status("Building", self.source.name());
            let built = self.while_shown(&mut console, self.build(&changed)).await;
            let made = self.scope().made;
            match built {
                Err(Failure::Interrupted) => return Ok(()),
                Err(failure) => self.failed(&failure),
                Ok((context, source, image)) => {
                    (self.context, self.source) = (context, source);
                    match self.boot(image, &mut console, begin).await {
                        Err(Failure::Interrupted) => return Ok(()),
                        Err(failure) => self.failed(&failure),
                        Ok(()) => {}
                    }
                }
            }
            changes.look_at(&self.scope())?;
            changes.forget(&made);
            self.context.shell.status("Watching", self.source.name());
            changed = tokio::select! {
                changed = self.while_shown(&mut console, changes.next()) => changed,
                () = self.interrupt.asked() => return Ok(()),
            };
            self.told(&changed)?;
            if changed.iter().any(|path| path.is_dir()) {
                // What is written to a new folder from now on must not be missed.
                changes.look_at(&self.scope())?;
            }
        }
    }

    fn scope(&self) -> Scope {
        Scope::of(&self.context, &self.source, self.image.as_ref())
    }

    /// Waits for `work` while the console goes on to be shown.
    async fn while_shown<T>(
        &self,
        console: &mut Option<Console<'a>>,
        work: impl Future<Output = T>,
    ) -> T {
        let mut work = std::pin::pin!(work);
        while let Some(shown) = console {
            tokio::select! {
                done = &mut work => return done,
                ending = shown => {
                    *console = None;
                    self.ended(ending);
                }
            }
        }
        work.await
    }

    /// Builds what has changed and the image, with settings as they are now.
    async fn build(
        &self,
        changed: &BTreeSet<Utf8PathBuf>,
    ) -> Result<(Arc<Context>, Source, Image), Failure> {
        let context =
            if changed.is_empty() { self.context.clone() } else { self.context.again()? };
        let stale: Vec<_> = self.scope().stale(changed).into_iter().cloned().collect();
        let (flags, interrupt) = (self.arguments.image.clone(), self.interrupt.clone());
        let kind = self.kind();
        let cancel = Cancel::default();
        let work = tokio::task::spawn_blocking(move || {
            for package in &stale {
                build::package(&context, package, &cancel, &interrupt)?;
            }
            let source = flags.source(&context, &interrupt)?;
            let image = source.image(&context, kind, &cancel, &interrupt)?;
            Ok((context, source, image))
        });
        work.await.map_err(|error| Failure::Io(std::io::Error::other(error)))?
    }

    /// The kind that the machine boots.
    fn kind(&self) -> Kind {
        let metal = self.recipe.types.iter().any(|name| instance::is_metal(name));
        let fits = match (self.source.arch(), metal) {
            (Arch::X86_64, true) => Kind::Elf,
            _ => Kind::Efi,
        };
        self.recipe.kind.or(self.source.kind()).unwrap_or(fits)
    }

    /// Boots a new image and begins to show its console.
    async fn boot(
        &mut self,
        image: Image,
        console: &mut Option<Console<'a>>,
        begin: Instant,
    ) -> Result<(), Failure> {
        let same = self.image.as_ref().is_some_and(|old| old.sha256 == image.sha256);
        if same && (self.up.is_some() || self.arguments.on.is_some()) {
            self.context.shell.status("Ready", "the image is the same, so what runs stays");
            return Ok(());
        }
        let name = match &self.arguments.on {
            Some(name) => name.clone(),
            None => self.waiting(&image).await?,
        };
        let source = Source::Image(image.clone());
        let (redeployed, image) = instance::redeploy(
            &self.context,
            self.connection,
            &source,
            &self.recipe,
            &name,
            self.interrupt,
        )
        .await?;
        *console = None;
        self.rule();
        let machine = redeployed.instance;
        let message = json!({ "id": machine.id, "name": machine.name, "image": image.sha256 });
        self.context.shell.json("booted", &message)?;
        let took = begin.elapsed().as_secs_f64();
        self.context.shell.status("Ready", format_args!("{name} boots, after {took:.2} s"));
        let mut attachment =
            self.arguments.judge.attachment(&self.context, self.source.entry(), false)?;
        attachment.since = Some(redeployed.mark);
        attachment.image = instance::expected_of(&image).ok();
        if self.arguments.on.is_none() {
            attachment.leaving = Leaving::Ends;
        }
        let (context, connection, interrupt) =
            (self.context.clone(), self.connection, self.interrupt);
        let shown = machine.clone();
        *console = Some(Box::pin(async move {
            instance::attach(&context, connection, &shown, attachment, interrupt).await
        }));
        self.image = Some(image);
        if self.arguments.on.is_none() {
            self.parked = None;
            if let Some(old) = self.up.replace(machine) {
                self.connection.cloud.terminate(&old).await?;
            }
            // The next image finds firmware and iPXE behind it.
            let parking = self.parking();
            let context = self.context.clone();
            let parked = instance::park(&context, self.connection, &parking, self.interrupt);
            self.parked = Some(self.while_shown(console, parked).await?.instance);
        }
        Ok(())
    }

    /// The machine of ours that waits; launched now if there is none.
    async fn waiting(&mut self, image: &Image) -> Result<String, Failure> {
        self.image = None;
        if self.parked.is_none() {
            let parking = Parking { kind: Some(image.kind), ..self.parking() };
            let parked = instance::park(&self.context, self.connection, &parking, self.interrupt);
            self.parked = Some(parked.await?.instance);
        }
        let parked = self.parked.as_ref().map(|machine| machine.id.clone());
        Ok(parked.unwrap_or_default())
    }

    fn parking(&mut self) -> Parking {
        self.launched += 1;
        let name = format!("{}-{}", self.recipe.name, self.launched);
        Parking {
            recipe: Recipe { name, ..self.recipe.clone() },
            arch: Some(self.source.arch()),
            kind: Some(self.kind()),
        }
    }

    /// A rule between two runs in the same terminal.
    fn rule(&self) {
        let shell = &self.context.shell;
        if self.launched > 1 && shell.stdout_is_terminal() {
            shell.status("", "─".repeat(usize::from(shell.width()).saturating_sub(14)));
        }
    }

    fn told(&self, changed: &BTreeSet<Utf8PathBuf>) -> Result<(), Failure> {
        let shell = &self.context.shell;
        shell.json("changed", &json!({ "paths": changed }))?;
        let first = changed.first().map(|path| path.as_str()).unwrap_or_default();
        match changed.len() {
            0 | 1 => shell.detail("Changed", first),
            more => shell.detail("Changed", format_args!("{first} and {} more", more - 1)),
        }
        Ok(())
    }

    fn failed(&self, failure: &Failure) {
        let shell = &self.context.shell;
        shell.error(&failure.diagnostic(&self.context.end()));
        let stays = if self.up.is_some() { "; what ran before stays" } else { "" };
        shell.status("Failed", format_args!("{}{stays}", self.source.name()));
    }

    /// Tells the end of a console; the machine stays until the next image.
    fn ended(&self, ending: Result<Ending, Failure>) {
        let judged = ending.and_then(|ending| {
            instance::phases(&self.context, &ending);
            instance::judged(&self.context, ending)
        });
        match judged {
            Ok(()) => self.context.shell.status("Ready", "what was expected came"),
            Err(Failure::Interrupted) => {}
            Err(failure) => self.failed(&failure),
        }
    }

    /// Ends the machines that are ours.
    async fn remove_all(&mut self) -> Result<(), Failure> {
        let mut result = Ok(());
        for machine in [self.up.take(), self.parked.take()].into_iter().flatten() {
            let begin = Instant::now();
            result = result.and(remove(&self.context, self.connection, &machine, begin).await);
        }
        result
    }
}
