//! What there is to complete: entries, instances, keys, commands, topics.

use std::ffi::OsStr;

use clap_complete::CompletionCandidate;
use clap_complete::engine::{PathCompleter, ValueCompleter};
use l4re_image::Arch;

use super::surroundings;
use crate::build::Workplace;
use crate::commands::help;

/// Entries of the build tree and of the settings.
pub fn entries(current: &OsStr) -> Vec<CompletionCandidate> {
    let names = || {
        let (context, _) = surroundings::read()?;
        let place = Workplace::find(&context).ok()?;
        Some(
            place.entries(&context, &[]).ok()?.into_iter().map(|entry| (entry.name, String::new())),
        )
    };
    fitting(current, names().into_iter().flatten())
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
        let (context, local) = surroundings::read()?;
        crate::instance::names(&context, local)
    };
    fitting(current, listed().into_iter().flatten())
}

/// The instance types of the settings.
pub fn machine_types(current: &OsStr) -> Vec<CompletionCandidate> {
    let Some((context, _)) = surroundings::read() else { return Vec::new() };
    let of = |arch| {
        let (metal, plain) =
            (context.settings.machine(arch, true), context.settings.machine(arch, false));
        plain.into_iter().chain(metal).map(move |name| (name, arch.l4re().to_owned()))
    };
    fitting(current, Arch::all().flat_map(of))
}

/// Keys of the settings that hold.
pub fn keys(current: &OsStr) -> Vec<CompletionCandidate> {
    let Some((context, _)) = surroundings::read() else { return Vec::new() };
    let values = context.settings.values(&context.environment);
    fitting(current, values.into_iter().map(|(key, held)| (key, held.value.to_string())))
}

/// Commands and topics.
pub fn subjects(current: &OsStr) -> Vec<CompletionCandidate> {
    fitting(current, help::subjects())
}

/// Commands.
pub fn commands(current: &OsStr) -> Vec<CompletionCandidate> {
    let topics = crate::manual::TOPICS.len();
    let mut subjects = help::subjects();
    subjects.truncate(subjects.len() - topics);
    fitting(current, subjects)
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
