//! What there is to complete: entries, instances, keys, commands, topics.

use std::collections::BTreeSet;
use std::ffi::OsStr;

use clap_complete::CompletionCandidate;
use clap_complete::engine::{PathCompleter, ValueCompleter};
use l4re_image::Arch;

use super::surroundings::{self, Surroundings};
use crate::arguments::Global;
use crate::build::Workplace;
use crate::commands::{Context, help};
use crate::failure::Failure;
use crate::settings::ArchKey;

/// Entries of the build tree and of the settings; of all trees where nothing says yet which one
/// is meant.
pub fn entries(current: &OsStr) -> Vec<CompletionCandidate> {
    let Some(Surroundings { context, .. }) = surroundings::read() else { return Vec::new() };
    let contexts = match Workplace::find(&context) {
        Err(Failure::WhichTree { .. }) => {
            let builds = context.settings.trees().into_iter().filter_map(|(_, tree)| tree.build);
            let global = |build| Global { tree: Some(build), ..context.global.clone() };
            builds.map(|build| Context { global: global(build), ..context.clone() }).collect()
        }
        _ => vec![context],
    };
    let of = |context: &Context| Workplace::find(context).ok()?.entries(context, &[]).ok();
    let mut names: Vec<String> =
        contexts.iter().filter_map(of).flatten().map(|entry| entry.name).collect();
    let mut seen = BTreeSet::new();
    names.retain(|name| seen.insert(name.clone()));
    fitting(current, names.into_iter().map(|name| (name, String::new())))
}

/// What `run` and its like take: entries and image files.
pub fn targets(current: &OsStr) -> Vec<CompletionCandidate> {
    let mut found = entries(current);
    let is_image = |path: &std::path::Path| {
        path.is_dir() || path.extension().is_some_and(|end| end == "efi" || end == "elf")
    };
    found.extend(PathCompleter::file().filter(is_image).complete(current));
    found
}

/// Instances that carry our tags: on the twin if one runs and is meant, else on EC2.
#[cfg(feature = "cloud")]
pub fn instances(current: &OsStr) -> Vec<CompletionCandidate> {
    let listed = || {
        let Surroundings { context, end } = surroundings::read()?;
        crate::instance::names(&context, &end)
    };
    fitting(current, listed().into_iter().flatten())
}

/// The regions of AWS that the account may use.
#[cfg(feature = "cloud")]
pub fn regions(current: &OsStr) -> Vec<CompletionCandidate> {
    let listed = || {
        let Surroundings { context, end } = surroundings::read()?;
        Some(crate::instance::regions(&context, &end))
    };
    fitting(current, listed().into_iter().flatten().map(|name| (name, String::new())))
}

/// The profiles of the settings for AWS.
#[cfg(feature = "cloud")]
pub fn profiles(current: &OsStr) -> Vec<CompletionCandidate> {
    let profiles = crate::instance::profiles().into_iter();
    fitting(current, profiles.map(|name| (name, String::new())))
}

/// The instance types of the settings.
pub fn machine_types(current: &OsStr) -> Vec<CompletionCandidate> {
    let Some(Surroundings { context, .. }) = surroundings::read() else { return Vec::new() };
    let of = |arch| {
        let (metal, plain) =
            (context.settings.machine(arch, true), context.settings.machine(arch, false));
        plain.into_iter().chain(metal).map(move |name| (name, arch.l4re().to_owned()))
    };
    fitting(current, Arch::all().flat_map(of))
}

/// Architectures.
pub fn arches(current: &OsStr) -> Vec<CompletionCandidate> {
    fitting(current, Arch::all().map(|arch| (ArchKey(arch).name().to_owned(), String::new())))
}

/// What firmware can start.
#[cfg(feature = "cloud")]
pub fn boots(current: &OsStr) -> Vec<CompletionCandidate> {
    fitting(current, ["disk", "ipxe"].map(|boot| (boot.to_owned(), String::new())))
}

/// Keys of the settings that hold.
pub fn keys(current: &OsStr) -> Vec<CompletionCandidate> {
    let Some(Surroundings { context, .. }) = surroundings::read() else { return Vec::new() };
    let values = context.settings.values(&context.environment);
    fitting(current, values.into_iter().map(|(key, held)| (key, held.value.to_string())))
}

/// Commands and topics; behind a command its subcommands.
pub fn subjects(current: &OsStr) -> Vec<CompletionCandidate> {
    let typed = surroundings::words().skip_while(|word| word != "help").skip(1);
    let mut before: Vec<String> = typed.filter(|word| !word.starts_with('-')).collect();
    before.pop_if(|last| last.is_empty() || last.as_str() == current);
    fitting(current, help::subjects_behind(&before))
}

/// Commands.
pub fn commands(current: &OsStr) -> Vec<CompletionCandidate> {
    fitting(current, help::commands())
}

fn fitting(
    current: &OsStr,
    all: impl IntoIterator<Item = (String, String)>,
) -> Vec<CompletionCandidate> {
    let Some(begun) = current.to_str() else { return Vec::new() };
    let fitting = all.into_iter().filter(|(name, _)| name.starts_with(begun));
    let candidate = |(name, help): (String, String)| {
        CompletionCandidate::new(name).help((!help.is_empty()).then(|| help.into()))
    };
    fitting.map(candidate).collect()
}
