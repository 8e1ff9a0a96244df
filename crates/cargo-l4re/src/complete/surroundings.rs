//! What a half-typed command line stands in: its flags as far as they can be read, the
//! settings that hold with them, the build tree that they lead to.

use std::sync::Arc;

use anstream::ColorChoice;
use clap::{CommandFactory, FromArgMatches, Parser};

use crate::arguments::Global;
use crate::commands::Context;
use crate::environment::Environment;
#[cfg(feature = "cloud")]
use crate::instance::Where;
use crate::settings::{Settings, Sources};
use crate::shell::{MessageFormat, Options, Shell, Verbosity};

/// The flags that say where things are.
#[derive(Debug, Parser)]
#[command(ignore_errors = true, disable_help_flag = true)]
struct Loose {
    #[command(flatten)]
    global: Global,
    #[cfg(feature = "cloud")]
    #[command(flatten)]
    end: Where,
}

/// Flags with a value that count here.
const VALUED: [&str; 9] = [
    "--tree",
    "--kernel",
    "--arch",
    "--config",
    "--package",
    "-p",
    "--manifest-path",
    "--region",
    "--profile",
];

/// The words that count here, out of a line in which anything else may be wrong as yet.
fn telling(words: impl Iterator<Item = String>) -> Vec<String> {
    let mut telling = vec!["cargo-l4re".to_owned()];
    let mut words = words.peekable();
    while let Some(word) = words.next() {
        let (name, value) = word.split_once('=').map_or((&*word, None), |(n, v)| (n, Some(v)));
        if VALUED.contains(&name) && (value.is_some() || words.peek().is_some()) {
            telling.push(word.clone());
            if value.is_none() {
                telling.extend(words.next());
            }
        } else if word == "--local" {
            telling.push(word);
        }
    }
    telling
}

/// What is known of a half-typed line.
pub struct Surroundings {
    pub context: Context,
    /// The end that the command will talk to.
    #[cfg(feature = "cloud")]
    pub end: Where,
}

/// The words that the shell has handed over.
pub fn words() -> impl Iterator<Item = String> {
    std::env::args().skip_while(|word| word != "--").skip(1)
}

/// Their surroundings.
pub fn read() -> Option<Surroundings> {
    let matches = Loose::command().try_get_matches_from(telling(words())).ok()?;
    let loose = Loose::from_arg_matches(&matches).ok()?;
    let global = loose.global;
    let environment = Environment::read().ok()?;
    let sources = Sources {
        config: &global.config,
        manifest: global.manifest_path.as_deref(),
        package: global.package.as_deref(),
        arch: global.arch,
    };
    let settings = Settings::read(&environment, &sources).ok()?;
    let options = Options {
        verbosity: Verbosity::Quiet,
        format: MessageFormat::Human,
        color: ColorChoice::Never,
        progress: false,
        progress_width: None,
    };
    #[cfg(feature = "cloud")]
    let end = {
        let local = loose.end.local || settings.find(|layer| layer.local).unwrap_or(false);
        Where { local, ..loose.end }
    };
    let context = Context {
        environment,
        settings,
        shell: Arc::new(Shell::new(options)),
        global,
        end: Arc::default(),
        #[cfg(feature = "cloud")]
        unfinished: l4re_cloud::Unfinished::default(),
    };
    Some(Surroundings {
        context,
        #[cfg(feature = "cloud")]
        end,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_found_among_words_that_are_not_finished() {
        let line =
            "cargo-l4re run --nope --tree /t x --local --arch=arm64 --kin --region=r --config";
        let telling = telling(line.split(' ').map(str::to_owned));
        assert_eq!(
            telling,
            ["cargo-l4re", "--tree", "/t", "--local", "--arch=arm64", "--region=r"]
        );
        let matches = Loose::command().try_get_matches_from(telling).unwrap();
        let loose = Loose::from_arg_matches(&matches).unwrap();
        #[cfg(feature = "cloud")]
        assert!(loose.end.local);
        assert_eq!(loose.global.arch, Some(l4re_image::Arch::Arm64));
    }
}
