//! What make's and L4Re's error messages mean.
//!
//! Read from the output line by line as it comes. The messages are those of L4Re's
//! `tool/lib/L4/ModList.pm`, `Makefile` and `mk/Makeconf`, and of GNU make, gcc and ld.

use std::fmt;

/// What went wrong in a make run.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// The module list has no such entry.
    UnknownEntry {
        /// The entry asked for.
        name: String,
        /// The entries that there are.
        known: Vec<String>,
    },
    /// A module of the entry is nowhere on the search path.
    MissingModule {
        /// The file asked for.
        file: String,
        /// The folders looked into.
        searched: Vec<String>,
    },
    /// L4Re has no such platform.
    UnknownPlatform {
        /// The platform asked for.
        name: String,
        /// The platforms that there are, where make listed them.
        available: Vec<String>,
    },
    /// The platform exists, for other architectures.
    PlatformArch {
        /// The platform asked for.
        name: String,
        /// The tree's architecture, in L4Re's spelling.
        arch: String,
    },
    /// The architecture has no such kind of image.
    GoalArch {
        /// The kind: `efiimage`, `elfimage`.
        goal: String,
        /// The tree's architecture, in L4Re's spelling.
        arch: String,
    },
    /// The compiler or linker reported errors.
    Compile {
        /// `file:line:col` of the first error, or the linker's name.
        place: String,
        /// Its message.
        message: String,
        /// How many errors there were.
        errors: usize,
    },
    /// A program is not installed.
    MissingTool {
        /// The program, or programs.
        name: String,
    },
    /// Make knows no such goal: not L4Re's Makefile, or one of another version.
    NoRule {
        /// The goal.
        goal: String,
    },
    /// The disk is full.
    DiskFull,
    /// Something else.
    Other {
        /// The last line that looks like an error.
        message: String,
    },
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownEntry { name, .. } => write!(f, "no entry `{name}` in the module list"),
            Self::MissingModule { file, searched } => {
                write!(f, "module `{file}` is in none of {} folders", searched.len())
            }
            Self::UnknownPlatform { name, .. } => write!(f, "no platform `{name}`"),
            Self::PlatformArch { name, arch } => {
                write!(f, "platform `{name}` is not available for {arch}")
            }
            Self::GoalArch { goal, arch } => write!(f, "there is no {goal} for {arch}"),
            Self::Compile { place, message, errors: 1 } => write!(f, "{place}: {message}"),
            Self::Compile { place, message, errors } => {
                write!(f, "{place}: {message} (the first of {errors} errors)")
            }
            Self::MissingTool { name } => write!(f, "program `{name}` is not installed"),
            Self::NoRule { goal } => write!(f, "make knows no goal `{goal}` there"),
            Self::DiskFull => write!(f, "the disk is full"),
            Self::Other { message } => write!(f, "{message}"),
        }
    }
}

/// What one line says about the cause, without regard to the lines around it.
pub(super) fn of_line(line: &str) -> Option<Cause> {
    unknown_entry(line)
        .or_else(|| platform(line))
        .or_else(|| goal_arch(line))
        .or_else(|| missing_tool(line))
        .or_else(|| no_rule(line))
        .or_else(|| compile(line))
        .or_else(|| line.contains("No space left on device").then_some(Cause::DiskFull))
        .or_else(|| {
            (line.trim_end() == "Could not find")
                .then(|| Cause::MissingModule { file: String::new(), searched: Vec::new() })
        })
}

/// Takes from a line what completes a cause that earlier lines began; says whether the line
/// belongs to it.
pub(super) fn complete(cause: &mut Cause, line: &str) -> bool {
    match cause {
        Cause::UnknownEntry { known, .. } if known.is_empty() => {
            let Some(names) = line.strip_prefix("Available entries: ") else { return false };
            known.extend(names.split_whitespace().map(ToOwned::to_owned));
            true
        }
        Cause::MissingModule { file, searched } => complete_missing(file, searched, line),
        Cause::UnknownPlatform { available, .. } => {
            if let Some((name, _)) = line.trim_start().split_once(" -- ") {
                available.push(name.to_owned());
            }
            line.starts_with("Available platforms") || line.contains(" -- ")
        }
        Cause::Compile { errors, .. } => {
            let more = compile(line).is_some();
            *errors += usize::from(more);
            more
        }
        _ => false,
    }
}

fn complete_missing(file: &mut String, searched: &mut Vec<String>, line: &str) -> bool {
    let Some(text) = line.strip_prefix("  ") else {
        return line.trim().is_empty() || line.trim_end() == "within paths";
    };
    match text.strip_prefix('\'').and_then(|text| text.trim_end().strip_suffix('\'')) {
        Some(name) if file.is_empty() => name.clone_into(file),
        _ if text.starts_with(['/', '.']) => searched.push(text.trim_end().to_owned()),
        _ => return false,
    }
    true
}

fn unknown_entry(line: &str) -> Option<Cause> {
    let (_, rest) = line.split_once(": Unknown entry \"")?;
    let name = rest.rsplit_once('"')?.0.to_owned();
    Some(Cause::UnknownEntry { name, known: Vec::new() })
}

fn platform(line: &str) -> Option<Cause> {
    let (name, rest) = line.split_once("latform \"")?.1.split_once('"')?;
    let name = name.to_owned();
    if rest.starts_with(" not known") {
        return Some(Cause::UnknownPlatform { name, available: Vec::new() });
    }
    let arch = rest.strip_prefix(" not available for ")?.trim_end().trim_end_matches('.');
    Some(Cause::PlatformArch { name, arch: arch.to_owned() })
}

fn goal_arch(line: &str) -> Option<Cause> {
    let (arch, rest) = line.split_once("Architecture '")?.1.split_once('\'')?;
    let goal = rest.strip_prefix(" is not supported for target ")?.split_whitespace().next()?;
    let goal = goal.trim_end_matches('.').to_owned();
    Some(Cause::GoalArch { goal, arch: arch.to_owned() })
}

fn missing_tool(line: &str) -> Option<Cause> {
    let line = line.trim_end();
    let of_l4re = line
        .strip_suffix(" not found, please install!")
        .and_then(|rest| rest.split_once('"'))
        .map(|(_, rest)| rest.trim_end_matches('"'));
    let of_shell = line
        .strip_suffix(": command not found")
        .and_then(|rest| rest.rsplit_once(": "))
        .map(|(_, name)| name);
    let of_make = line
        .strip_suffix(": No such file or directory")
        .and_then(|rest| rest.strip_prefix("make"))
        .and_then(|rest| rest.split_once(": "))
        .map(|(_, name)| name)
        .filter(|name| !name.contains([' ', '/']));
    let name = of_l4re.or(of_shell).or(of_make)?;
    Some(Cause::MissingTool { name: name.to_owned() })
}

fn no_rule(line: &str) -> Option<Cause> {
    let (_, rest) = line.split_once("*** No rule to make target '")?;
    let (goal, rest) = rest.split_once('\'')?;
    (!rest.starts_with(", needed by")).then(|| Cause::NoRule { goal: goal.to_owned() })
}

fn compile(line: &str) -> Option<Cause> {
    let found = [": error: ", ": fatal error: "]
        .iter()
        .find_map(|mark| line.split_once(mark))
        .filter(|(place, _)| place.rsplit(':').next().is_some_and(is_number))
        .or_else(|| undefined_reference(line))?;
    let (place, message) = (found.0.trim().to_owned(), found.1.trim().to_owned());
    Some(Cause::Compile { place, message, errors: 1 })
}

fn undefined_reference(line: &str) -> Option<(&str, &str)> {
    let at = ["undefined reference to ", "cannot find -l"].iter().find_map(|m| line.find(m))?;
    let place = line[..at].trim_end().trim_end_matches(':');
    Some((if place.is_empty() { "ld" } else { place }, &line[at..]))
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}
