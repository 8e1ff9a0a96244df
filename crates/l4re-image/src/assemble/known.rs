//! Make's answers about a tree, remembered in it: for the same variables, the same
//! environment, and the same make files, each known by inode, size and times.
//!
//! Invariant: nothing is remembered where answers could depend on more than that, which is
//! where a file of the user's calls programs or includes files that may be missing.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;

use camino::{Utf8Path, Utf8PathBuf};
use sha2::{Digest, Sha256};

use super::remember::{identity, settled};
use super::settings::{Settings, Values};
use super::{AssembleError, sweep};
use crate::make::{MakeRequest, make_argv};
use crate::replace::Replacement;

/// Variables that differ from terminal to terminal and that no make file asks for: whole names
/// and beginnings of names.
const OF_TERMINALS: [&str; 8] =
    ["PWD", "OLDPWD", "SHLVL", "_", "TERM", "COLUMNS", "LINES", "WINDOWID"];
const OF_SESSIONS: [&str; 2] = ["SSH_", "XDG_SESSION"];

/// Files that are read if they exist, by the folders that they are in.
const IN_SOURCE: [&str; 3] = ["Makeconf.local", "conf/Makeconf.local", "conf/Makeconf.boot"];
const IN_BUILD: [&str; 5] = [
    "Makeconf.local",
    "conf/Makeconf.local",
    "conf/Makeconf.boot",
    "Makeconf.ram_base",
    ".config.all",
];

/// The settings of a tree: remembered, or asked for and remembered.
pub(super) fn settings(
    request: &MakeRequest,
    environment: Option<&[(OsString, OsString)]>,
) -> Result<Settings, AssembleError> {
    let Some(environment) = environment else { return Settings::ask(request) };
    let note = request.tree.root().join(".cargo-l4re").join(key(request, environment));
    if let Some(settings) = recall(&note) {
        return Ok(settings);
    }
    let settings = Settings::ask(request)?;
    if let Some(text) = text(request, &settings) {
        // Without it make is asked again the next time: slower, not wrong.
        let _ = keep(&note, &text);
    }
    Ok(settings)
}

fn key(request: &MakeRequest, environment: &[(OsString, OsString)]) -> String {
    let mut hash = Sha256::new();
    let mut add = |bytes: &[u8]| {
        hash.update(bytes.len().to_le_bytes());
        hash.update(bytes);
    };
    make_argv(request).iter().for_each(|word| add(word.as_bytes()));
    add_environment(environment, &mut add);
    format!("settings-{}", hex::encode(&hash.finalize()[..16]))
}

/// Adds to a sum what make may see of the environment.
pub(super) fn add_environment(environment: &[(OsString, OsString)], add: &mut dyn FnMut(&[u8])) {
    let mut sorted: Vec<_> = environment.iter().filter(|(name, _)| !of_terminal(name)).collect();
    sorted.sort();
    for (name, value) in sorted {
        for bytes in [name.as_bytes(), b"=", value.as_bytes(), b"\0"] {
            add(bytes);
        }
    }
}

fn of_terminal(name: &OsStr) -> bool {
    OF_TERMINALS.iter().any(|known| name == OsStr::new(known))
        || OF_SESSIONS.iter().any(|start| name.as_bytes().starts_with(start.as_bytes()))
}

/// The files that the answers depend on, also those that do not exist.
fn files(request: &MakeRequest, settings: &Settings) -> Vec<Utf8PathBuf> {
    let (source, root) = (request.tree.source(), request.tree.root());
    let platform = settings.inner("PLATFORM_TYPE");
    let platforms =
        ["mk", "conf"].map(|dir| source.join(format!("{dir}/platforms/{platform}.conf")));
    let mut files: Vec<_> = settings.makefiles().map(|file| source.join(file)).collect();
    files.extend(IN_SOURCE.map(|file| source.join(file)));
    files.extend(IN_BUILD.map(|file| root.join(file)));
    files.extend(platforms);
    files.sort();
    files.dedup();
    files
}

/// [`files`], unless answers could depend on more than these.
pub(super) fn dependencies(request: &MakeRequest, settings: &Settings) -> Option<Vec<Utf8PathBuf>> {
    let files = files(request, settings);
    let clever = |file: &Utf8PathBuf| file.exists() && is_of_user(file) && is_clever(file);
    (!files.iter().any(clever)).then_some(files)
}

/// What is written down: the files, an empty line, the answers; `None` when it must not be.
fn text(request: &MakeRequest, settings: &Settings) -> Option<String> {
    let mut text = String::new();
    for file in files(request, settings) {
        if let Ok(data) = fs::metadata(&file)
            && (!settled(&data) || (is_of_user(&file) && is_clever(&file)))
        {
            return None;
        }
        text += &format!("{} {file}\n", state(&file));
    }
    for values in [&settings.outer, &settings.inner] {
        text.push('\n');
        for (name, value) in values {
            text += &format!("{name}={value}\n");
        }
    }
    Some(text)
}

fn state(file: &Utf8Path) -> String {
    fs::metadata(file).map_or("-".to_owned(), |data| identity(&data).replace(' ', ","))
}

fn is_of_user(file: &Utf8Path) -> bool {
    matches!(file.file_name(), Some("Makeconf.local" | "Makeconf.boot"))
}

/// Whether a make file asks for more than other variables.
fn is_clever(file: &Utf8Path) -> bool {
    const CALLS: [&str; 6] = ["include", "(shell", "(wildcard", "(file", "(realpath", "!="];
    let Ok(text) = fs::read_to_string(file) else { return true };
    text.lines()
        .filter(|line| !line.trim_start().starts_with('#'))
        .any(|line| CALLS.iter().any(|call| line.contains(call)))
}

fn keep(note: &Utf8Path, text: &str) -> std::io::Result<()> {
    if let Some(dir) = note.parent() {
        fs::create_dir_all(dir)?;
    }
    let mut file = Replacement::of(note)?;
    file.write_all(text.as_bytes())?;
    file.commit()
}

fn recall(note: &Utf8Path) -> Option<Settings> {
    let text = fs::read_to_string(note).ok()?;
    let mut parts = text.splitn(3, "\n\n");
    let same = parts.next()?.lines().all(|line| {
        line.split_once(' ').is_some_and(|(known, file)| state(Utf8Path::new(file)) == known)
    });
    let values = |part: &str| -> Values {
        let pair = |line: &str| line.split_once('=').map(|(n, v)| (n.to_owned(), v.to_owned()));
        part.lines().filter_map(pair).collect()
    };
    let settings = Settings { outer: values(parts.next()?), inner: values(parts.next()?) };
    sweep::used(note);
    same.then_some(settings)
}
