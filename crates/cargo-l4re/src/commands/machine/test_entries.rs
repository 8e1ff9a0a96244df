//! What `test` is to test: entries by name, by pattern or by what the settings say, images, URLs.
//!
//! Entries are built in a folder of the call's own, so that another call does not replace them
//! before they are uploaded.

use camino::Utf8Path;
use l4re_image::ListOptions;
use regex::Regex;

use super::own_images::OwnImages;
use crate::build::Workplace;
use crate::commands::Context;
use crate::commands::flags::ImageFlags;
use crate::failure::{Failure, MachineFailure};
use crate::interrupt::Interrupt;
use crate::source::Source;
use crate::target::{self, Target};

/// What is to be tested: what is named, or everything that the settings say how to judge; and
/// the folder where entries among it are built.
pub fn sources(
    context: &Context,
    image: &ImageFlags,
    interrupt: &Interrupt,
) -> Result<(Vec<Source>, Option<OwnImages>), Failure> {
    let mut words = target::for_each(&image.words);
    if words.is_empty() {
        let mut all = judged_entries(context)?;
        all.extend(image.words.iter().cloned());
        words = target::for_each(&all);
    }
    let folder = context.environment.folder();
    let words = expanded(words, folder, || {
        let entries = Workplace::find(context)?.entries(context, &[])?;
        Ok(entries.into_iter().map(|entry| entry.name).collect())
    })?;
    let is_entry =
        |words: &Vec<String>| matches!(Target::parse(&words[0], folder), Target::Entry(_));
    let own = match words.iter().any(is_entry) {
        true => Some(OwnImages::new(&Workplace::find(context)?.tree.images())?),
        false => None,
    };
    let mut sources = Vec::new();
    for mut words in words {
        let names_folder = words.iter().any(|word| word.starts_with("BOOTSTRAP_OUTPUT_DIR="));
        if let (Some(own), true, false) = (&own, is_entry(&words), names_folder) {
            words.push(own.variable());
        }
        let flags = ImageFlags { words, ..image.clone() };
        sources.push(flags.source(context, interrupt)?);
    }
    Ok((sources, own))
}

/// The entries that the settings say how to judge, as far as the build tree's architecture has
/// them.
fn judged_entries(context: &Context) -> Result<Vec<String>, Failure> {
    let judged = context.settings.judged();
    if judged.is_empty() {
        return Err(MachineFailure::NothingToTest.into());
    }
    let place = Workplace::find(context)?;
    let here = place.entries(context, &[])?;
    let everywhere =
        place.tree.entries(&ListOptions { all_archs: true, ..ListOptions::default() })?;
    let mut names = Vec::new();
    for entry in judged {
        let elsewhere = everywhere.iter().any(|known| known.name == entry.name);
        if elsewhere && !here.iter().any(|known| known.name == entry.name) {
            let arch = place.tree.arch();
            context.shell.note(format_args!("{} is left out: it is not for {arch}", entry.name));
        } else {
            names.push(entry.name.clone());
        }
    }
    Ok(names)
}

/// The words with patterns replaced by the entries that they match, in the list's order; one
/// that matches none stays, and is no entry's name.
fn expanded(
    words: Vec<Vec<String>>,
    folder: &Utf8Path,
    entries: impl Fn() -> Result<Vec<String>, Failure>,
) -> Result<Vec<Vec<String>>, Failure> {
    let mut all = Vec::new();
    for words in words {
        let is_entry = matches!(Target::parse(&words[0], folder), Target::Entry(_));
        let pattern = pattern(&words[0]).filter(|_| is_entry);
        let mut names = match &pattern {
            Some(_) => entries()?,
            None => Vec::new(),
        };
        names.retain(|name| pattern.as_ref().is_some_and(|pattern| pattern.is_match(name)));
        if names.is_empty() {
            all.push(words);
            continue;
        }
        all.extend(names.into_iter().map(|name| {
            std::iter::once(name).chain(words[1..].iter().cloned()).collect::<Vec<_>>()
        }));
    }
    Ok(all)
}

/// `*` is any text in a pattern, `?` any character.
fn pattern(word: &str) -> Option<Regex> {
    if !word.contains(['*', '?']) {
        return None;
    }
    let escaped = regex::escape(word).replace("\\*", ".*").replace("\\?", ".");
    Regex::new(&format!("^{escaped}$")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_stand_for_the_entries_that_they_match() {
        let names = || Ok(["tap", "tap-fail", "a.tap", "hello"].map(str::to_owned).to_vec());
        let of = |words: &[&str]| {
            let words = words.iter().map(|&word| vec![word.to_owned(), "V=1".to_owned()]);
            let words = expanded(words.collect(), Utf8Path::new("/"), names).unwrap();
            assert!(words.iter().all(|words| words[1] == "V=1"));
            words.into_iter().map(|mut words| words.remove(0)).collect::<Vec<_>>()
        };
        assert_eq!(of(&["tap*", "hello"]), ["tap", "tap-fail", "hello"]);
        assert_eq!(of(&["?.tap", "x*"]), ["a.tap", "x*"]);
        assert_eq!(of(&["*"]).len(), 4);
        assert_eq!(of(&["tap", "dir/*.efi"]), ["tap", "dir/*.efi"]);
    }
}
