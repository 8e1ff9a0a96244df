//! Which key of a declared entry a failure goes back to, so that editors lead there.

use l4re_image::{Cause, MakeError, MakeRequest};

use super::EntryError;
use crate::commands::Context;
use crate::failure::Failure;
use crate::settings::{Entry, Module};

impl EntryError {
    /// The entry and its key.
    fn key(&self) -> Option<(&str, &'static str)> {
        let (entry, part) = match self {
            Self::Word { entry, what, .. } => (entry, *what),
            Self::NoModule { entry, part, .. } => (entry, *part),
            Self::Twice { name, .. } => (name, "name"),
            Self::NoFile { entry, .. } => (entry, "module"),
            Self::Write { .. } => return None,
        };
        let key = match part {
            "kernel" | "sigma0" | "roottask" | "name" => part,
            "folder" => "search-path",
            _ => "modules",
        };
        Some((entry, key))
    }
}

/// Says where in the settings the fault of an entry stands.
pub fn placed(context: &Context, failure: impl Into<Failure>) -> Failure {
    match failure.into() {
        Failure::Entry { place: None, source } => {
            let key = source.key();
            let found = key.and_then(|(name, key)| context.settings.place_in_entry(name, key));
            Failure::Entry { place: found.cloned(), source }
        }
        other => other,
    }
}

/// Makes what make has not found the fault of the declared entry that names it.
pub fn blamed(context: &Context, request: &MakeRequest, failure: Failure) -> Failure {
    let Failure::Make(MakeError::Failed(failed)) = &failure else { return failure };
    let Cause::MissingModule { file, searched } = &failed.cause else { return failure };
    let declared = context.settings.declared().into_iter();
    let mut of_request = declared.filter(|entry| entry.name.eq_ignore_ascii_case(&request.entry));
    let Some(entry) = of_request.next() else { return failure };
    let Some(part) = part_named(entry, file) else { return failure };
    let (entry, file, folders) = (entry.name.clone(), file.clone(), searched.len());
    placed(context, EntryError::NoModule { entry, part, file, folders })
}

/// What a file is in an entry, if it is named there: the list's defaults name others.
fn part_named(entry: &Entry, file: &str) -> Option<&'static str> {
    let names = |words: &str| words.split_whitespace().next() == Some(file);
    let parts =
        [("kernel", &entry.kernel), ("sigma0", &entry.sigma0), ("roottask", &entry.roottask)];
    let part = parts.into_iter().find(|(_, words)| words.as_deref().is_some_and(names));
    let mut modules = entry.modules.iter();
    let module = modules.any(|module| matches!(module, Module::Searched(words) if names(words)));
    part.map(|(part, _)| part).or(module.then_some("module"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_named_is_found_in_its_part() {
        let entry: Entry = toml::from_str(
            "name = \"vm\"\nkernel = \"fiasco -serial_esc\"\nroottask = \"moe rom/vm.cfg\"\n\
             modules = [\"l4re\", \"ned -v\", { file = \"/t/app\", name = \"app\" }]\n",
        )
        .unwrap();
        let part = |file| part_named(&entry, file);
        assert_eq!(
            (part("fiasco"), part("moe"), part("ned")),
            (Some("kernel"), Some("roottask"), Some("module"))
        );
        assert_eq!((part("sigma0"), part("app"), part("rom/vm.cfg")), (None, None, None));
    }
}
