//! Flags that several commands share, and what they and the settings make together.

use std::time::Duration;

use camino::Utf8PathBuf;
use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use l4re_cloud::{Boot, PlanOptions};
use l4re_console::expect::Expectations;
use l4re_image::{Arch, Kind};

use crate::commands::Context;
use crate::complete;
use crate::failure::Failure;
use crate::instance::{self, Attachment, Recipe};
use crate::settings::Span;
use crate::source::Source;

/// Limit for expectations on a virtual machine, where none is set.
const VIRTUAL_LIMIT: Duration = Duration::from_secs(5 * 60);
/// Limit for expectations on a metal machine: its firmware alone may take 20 minutes.
const METAL_LIMIT: Duration = Duration::from_secs(45 * 60);

/// What to run it on.
#[derive(Debug, Default, Args)]
pub struct MachineFlags {
    /// Use a metal machine
    #[arg(long)]
    pub metal: bool,
    /// Instance type, instead of those of the settings (several are tried in turn)
    #[arg(long = "type", value_name = "TYPE", conflicts_with = "metal", add = ArgValueCompleter::new(complete::machine_types))]
    pub types: Vec<String>,
    /// Name of the instance [default: the entry's or image's]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Time to live: 45m, 2h, 1d [default: the settings', else 2h]
    #[arg(long, value_name = "TIME", value_parser = Span::lasting)]
    pub ttl: Option<Span>,
    /// Command line for the image (the bootstrapper's)
    #[arg(long, value_name = "WORDS", allow_hyphen_values = true)]
    pub command_line: Option<String>,
    /// What firmware starts: the image from a `disk` of its own, or an `ipxe` that fetches it
    /// [default: ipxe, where there is one that can]
    #[arg(long, value_name = "disk|ipxe", value_parser = boot,
        add = ArgValueCompleter::new(complete::boots))]
    pub boot: Option<Boot>,
    /// Virtualization inside a virtual machine (x86_64 types that have it)
    #[arg(long)]
    pub nested: bool,
}

/// What its console is judged by.
#[derive(Debug, Default, Args)]
pub struct JudgeFlags {
    /// Regular expression that the console must show; several in this order
    #[arg(long, value_name = "REGEX")]
    pub expect: Vec<String>,
    /// Regular expression that ends the run as failed
    #[arg(long, value_name = "REGEX")]
    pub fail_on: Vec<String>,
    /// Time within which all must be seen
    #[arg(long, value_name = "TIME")]
    pub timeout: Option<Span>,
    /// Time without output that ends the run
    #[arg(long, value_name = "TIME")]
    pub idle_timeout: Option<Span>,
    /// Times that the system reboots by itself; a further reboot is a loop [default: 0]
    #[arg(long, value_name = "N")]
    pub reboots: Option<u32>,
    /// Read the tests' results (TAP) on the console, and end with them
    #[arg(long)]
    pub tap: bool,
    /// File for the raw console [default: one in the state folder]
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub log: Option<Utf8PathBuf>,
}

impl MachineFlags {
    /// What is to be launched.
    pub fn recipe(
        &self,
        context: &Context,
        source: &Source,
        kind: Option<Kind>,
    ) -> Result<Recipe, Failure> {
        let arch = source.arch();
        let types = match self.types.as_slice() {
            [] => context.settings.machine(arch, self.metal),
            types => types.to_vec(),
        };
        let types = some_types(types, arch)?;
        Ok(Recipe {
            name: self.name.clone().unwrap_or_else(|| source.name()),
            types,
            kind,
            ttl: self.ttl.map_or_else(|| context.settings.ttl(), |span| span.0),
            spot: false,
            yes: false,
            bucket: context.settings.bucket().map(str::to_owned),
            make_bucket: false,
            command_line: self.command_line.clone(),
            adopt: false,
            plan: PlanOptions { boot: self.boot, nested: self.nested, tokens: None },
            zones: Vec::new(),
            subnet: None,
        })
    }
}

/// Refuses an architecture that EC2 has no machines of.
pub fn some_types(types: Vec<String>, arch: Arch) -> Result<Vec<String>, Failure> {
    if types.is_empty() {
        let text = format!("EC2 has no {arch} machines; this image can run elsewhere only");
        return Err(Failure::Usage(text));
    }
    Ok(types)
}

/// The limit for what a machine is to show, where none is set.
pub fn limit(metal: bool) -> Duration {
    if metal { METAL_LIMIT } else { VIRTUAL_LIMIT }
}

impl JudgeFlags {
    /// The same for a test: where nothing is expected, tests are, and there is always a limit.
    pub fn test_attachment(
        &self,
        context: &Context,
        entry: Option<&str>,
        metal: bool,
    ) -> Result<Attachment, Failure> {
        let mut attachment = self.attachment(context, entry, metal)?;
        attachment.tap |= attachment.expect.is_empty();
        attachment.timeout.get_or_insert(limit(metal));
        Ok(attachment)
    }

    /// What to watch for: the flags', else what is set for the entry.
    pub fn attachment(
        &self,
        context: &Context,
        entry: Option<&str>,
        metal: bool,
    ) -> Result<Attachment, Failure> {
        let set = entry.and_then(|name| context.settings.entry(name));
        // What is no expression must be said before anything is built.
        let (expect, fail_on) = self.expressions(context, entry)?;
        let tap = self.tap || set.is_some_and(|entry| entry.tap);
        let idle = self.idle_timeout.or(set.and_then(|entry| entry.idle_timeout));
        instance::check_log(context, self.log.as_deref())?;
        let asked = self.timeout.or(set.and_then(|entry| entry.timeout)).map(|span| span.0);
        Ok(Attachment {
            timeout: asked.or((tap || !expect.is_empty()).then_some(limit(metal))),
            idle_timeout: idle.map(|span| span.0),
            first_output: limit(metal),
            reboots: self.reboots.or(set.and_then(|entry| entry.reboots)).unwrap_or_default(),
            tap,
            expect,
            fail_on,
            end_on_fault: true,
            log: self.log.clone(),
            ..Attachment::default()
        })
    }

    /// The expressions that must be seen and those that must not: the flags', else the entry's.
    pub fn expressions(
        &self,
        context: &Context,
        entry: Option<&str>,
    ) -> Result<(Vec<String>, Vec<String>), Failure> {
        let set = entry.and_then(|name| context.settings.entry(name));
        let or_set = |flags: &Vec<String>, set: Option<&Vec<String>>| match flags.as_slice() {
            [] => set.cloned().unwrap_or_default(),
            flags => flags.to_vec(),
        };
        let expect = or_set(&self.expect, set.map(|entry| &entry.expect));
        let fail_on = or_set(&self.fail_on, set.map(|entry| &entry.fail_on));
        Expectations::new(&expect, &fail_on)?;
        Ok((expect, fail_on))
    }
}

fn boot(text: &str) -> Result<Boot, String> {
    match text {
        "disk" => Ok(Boot::Disk),
        "ipxe" => Ok(Boot::Ipxe),
        other => Err(format!("`{other}` is neither disk nor ipxe")),
    }
}
