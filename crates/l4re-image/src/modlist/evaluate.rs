//! The modules of one entry, as `get_module_entry` of L4Re's `ModList.pm` finds them, oddities
//! included. What cannot be evaluated here to the letter is refused with a reason, for make to
//! do.
//!
//! Invariant: an entry that is accepted has the modules, in the order and with the words, that
//! L4Re's own tools would give it.

use std::collections::BTreeMap;

use camino::{Utf8Path, Utf8PathBuf};

use super::line::Line;
use super::pattern::expand;
use super::source::{Placed, Source};

/// What is evaluated, and what the list's conditions mean.
#[derive(Clone, Debug)]
pub(crate) struct Evaluation<'a> {
    /// The entry; its case is ignored.
    pub(crate) entry: &'a str,
    /// `ARCH` and `BITS` of the base image.
    pub(crate) arch: &'a str,
    pub(crate) bits: &'a str,
    /// What relative paths in the list are relative to: where L4Re's tools run.
    pub(crate) folder: &'a Utf8Path,
}

/// A module of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    /// The file, as written.
    pub(crate) file: String,
    /// Its name in the image.
    pub(crate) name: String,
    /// Its command line, name first, before quoting.
    pub(crate) cmdline: String,
    /// The type in its flags.
    pub(crate) kind: u64,
    pub(crate) options: BTreeMap<String, Option<String>>,
    /// It stands for the default that no line changed.
    default: bool,
}

impl Listed {
    fn new(words: &str, options: &BTreeMap<String, Option<String>>) -> Option<Self> {
        let mut parts = words.splitn(2, char::is_whitespace);
        let file = parts.next()?.to_owned();
        let args = parts.next().map(str::trim).filter(|args| !args.is_empty());
        let base = file.trim_end_matches('/').rsplit('/').next()?;
        let name = match options.get("fname") {
            Some(name) => name.as_ref().map(|name| name.trim().to_owned())?,
            None => base.to_owned(),
        };
        let cmdline = args.map_or_else(|| name.clone(), |args| format!("{name} {args}"));
        let options = options.clone();
        Some(Self { file, name, cmdline, kind: 0, options, default: false })
    }

    fn of_default(name: &str) -> Self {
        let (file, name, cmdline) = (name.to_owned(), name.to_owned(), name.to_owned());
        Self { file, name, cmdline, kind: 0, options: BTreeMap::new(), default: true }
    }

    /// A library that a module needs.
    pub(crate) fn library(name: &str) -> Self {
        let listed = Self::new(name, &BTreeMap::new());
        listed.unwrap_or_else(|| Self { default: false, ..Self::of_default(name) })
    }

    pub(crate) fn has(&self, option: &str) -> bool {
        self.options.contains_key(option)
    }
}

/// An evaluated entry.
#[derive(Debug)]
pub(crate) struct Evaluated {
    /// The bootstrapper's command line.
    pub(crate) cmdline: String,
    /// Kernel, sigma0, roottask, and the rest, without the libraries that they need.
    pub(crate) modules: Vec<Listed>,
    /// Further folders of the search path, by `searchpath` lines.
    pub(crate) searchpath: Vec<Utf8PathBuf>,
}

/// Evaluates an entry, or says why only L4Re's tools can.
pub(crate) fn evaluate(source: &Source, what: &Evaluation<'_>) -> Result<Evaluated, String> {
    if let Some(reason) = source.beyond.as_ref().or(source.circular.as_ref()) {
        return Err(reason.clone());
    }
    let mut state = State::default();
    for placed in &source.lines {
        let at = |reason| format!("{}:{}: {reason}", placed.file, placed.line);
        if !state.line(placed, what).map_err(at)? {
            break;
        }
    }
    state.finish(what)
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Mode {
    #[default]
    Global,
    Entry,
    Group,
    /// In an entry that was not asked for.
    Other,
}

#[derive(Debug)]
struct State {
    mode: Mode,
    found: bool,
    /// An entry has begun, be it the one asked for or not.
    past_globals: bool,
    no_defaults: bool,
    modaddr: [Option<String>; 2],
    bootstrap: Listed,
    base: [Listed; 3],
    modules: Vec<Listed>,
    groups: BTreeMap<String, Vec<Listed>>,
    group: String,
    searchpath: Vec<Utf8PathBuf>,
}

/// The base modules, in the order of their types from 1.
const BASE: [&str; 3] = ["kernel", "sigma0", "roottask"];

impl Default for State {
    fn default() -> Self {
        Self {
            mode: Mode::default(),
            found: false,
            past_globals: false,
            no_defaults: false,
            modaddr: [None, None],
            bootstrap: Listed::of_default("bootstrap"),
            base: ["fiasco", "sigma0", "moe"].map(Listed::of_default),
            modules: Vec::new(),
            groups: BTreeMap::new(),
            group: String::new(),
            searchpath: Vec::new(),
        }
    }
}

impl State {
    /// Takes the next line; `false` when the entry is complete.
    fn line(&mut self, placed: &Placed, what: &Evaluation<'_>) -> Result<bool, String> {
        let Some(line) = Line::parse(&placed.text) else { return Ok(true) };
        // Perl sees bytes: to it these are no white space, or others than were there.
        let odd =
            |c: char| c == char::REPLACEMENT_CHARACTER || (c.is_whitespace() && !c.is_ascii());
        if placed.text.contains(odd) {
            return Err("characters that Perl reads differently".to_owned());
        }
        if line.command == "modaddr"
            && line.options.is_empty()
            && let Some(address) = line.rest.split_whitespace().next()
        {
            self.modaddr(address);
            return Ok(true);
        }
        let command = line.command.to_ascii_lowercase();
        match command.as_str() {
            "entry" | "title" => return self.entry(&line, what),
            "searchpath" => {
                let folders = value(&line, what)?.map(|folder| what.folder.join(folder));
                self.searchpath.extend(folders);
            }
            "group" => self.begin_group(&line, what)?,
            "default-bootstrap" => {
                if let Some(words) = value(&line, what)? {
                    self.bootstrap = listed(words, &line)?;
                }
            }
            "default-kernel" | "default-sigma0" | "default-roottask" => {
                let index = BASE.iter().position(|name| command.ends_with(name)).unwrap_or(0);
                if let Some(words) = value(&line, what)? {
                    self.base[index] = Listed { default: true, ..listed(words, &line)? };
                }
            }
            _ if matches!(self.mode, Mode::Entry | Mode::Group) => {
                self.module(&command, &line, what)?;
            }
            _ => {}
        }
        Ok(true)
    }

    /// Global up to the first entry, then of whatever is being read: a group's, too.
    fn modaddr(&mut self, address: &str) {
        match self.mode {
            _ if !self.past_globals => self.modaddr[0] = Some(address.to_owned()),
            Mode::Entry | Mode::Group => self.modaddr[1] = Some(address.to_owned()),
            Mode::Global | Mode::Other => {}
        }
    }

    fn entry(&mut self, line: &Line<'_>, what: &Evaluation<'_>) -> Result<bool, String> {
        if self.found {
            return Ok(false);
        }
        let name = value(line, what)?.unwrap_or_default();
        self.mode = Mode::Other;
        self.past_globals = true;
        if !name.is_empty() && name.eq_ignore_ascii_case(what.entry) {
            self.mode = Mode::Entry;
            self.found = true;
            self.no_defaults = line.has("no-defaults");
        }
        Ok(true)
    }

    fn begin_group(&mut self, line: &Line<'_>, what: &Evaluation<'_>) -> Result<(), String> {
        let name = value(line, what)?.and_then(|name| name.split_whitespace().next());
        let Some(name) = name else { return Err("a group without a name".to_owned()) };
        name.clone_into(&mut self.group);
        self.mode = Mode::Group;
        Ok(())
    }

    fn module(
        &mut self,
        command: &str,
        line: &Line<'_>,
        what: &Evaluation<'_>,
    ) -> Result<(), String> {
        let (command, nostrip) = match command.strip_suffix("-nostrip") {
            Some(command) => (command, true),
            None => (command, false),
        };
        let valid = ["module", "bin", "data", "moe", "module-group", "bootstrap"];
        if !(valid.contains(&command) || BASE.contains(&command)) {
            return Err(format!("`{command}`"));
        }
        if line.has("glob") && matches!(command, "module" | "bin" | "data") {
            return self.pattern(line, nostrip, what);
        }
        let Some(words) = value(line, what)? else {
            // L4Re's tools forget the roottask here, though the line is not for this machine.
            return if command == "moe" {
                Err("`moe` under a condition".to_owned())
            } else {
                Ok(())
            };
        };
        if words.is_empty() {
            return if command == "moe" { Err("`moe` without a file".to_owned()) } else { Ok(()) };
        }
        let mut listed = listed(words, line)?;
        if nostrip {
            listed.options.insert("nostrip".to_owned(), None);
        }
        if command == "moe" {
            let config = words.rsplit('/').next().unwrap_or_default();
            self.base[2] = Listed::new(&format!("moe rom/{config}"), &listed.options)
                .ok_or("fname without a name")?;
        }
        match command {
            _ if self.mode == Mode::Group => self.add(listed),
            "bootstrap" => self.bootstrap = listed,
            "module-group" => {
                for name in words.split_whitespace() {
                    let group = self.groups.get(name).ok_or(format!("no group `{name}`"))?;
                    self.modules.extend_from_slice(group);
                }
            }
            _ => match BASE.iter().position(|name| *name == command) {
                Some(index) => self.base[index] = listed,
                None => self.add(listed),
            },
        }
        Ok(())
    }

    /// A line that names files by a pattern.
    fn pattern(
        &mut self,
        line: &Line<'_>,
        nostrip: bool,
        what: &Evaluation<'_>,
    ) -> Result<(), String> {
        if line.has("perl") || line.has("shell") {
            return Err("code".to_owned());
        }
        if !line.is_for(what.arch, what.bits) {
            return Ok(());
        }
        let files = expand(line.rest, what.folder).ok_or("a pattern that only Perl can expand")?;
        for file in files {
            let mut listed = listed(&file, line)?;
            if nostrip {
                listed.options.insert("nostrip".to_owned(), None);
            }
            self.add(listed);
        }
        Ok(())
    }

    /// Adds a module to the entry or the group.
    fn add(&mut self, listed: Listed) {
        match self.mode {
            Mode::Group => self.groups.entry(self.group.clone()).or_default().push(listed),
            _ => self.modules.push(listed),
        }
    }

    fn finish(self, what: &Evaluation<'_>) -> Result<Evaluated, String> {
        if !self.found {
            return Err(format!("no entry `{}`", what.entry));
        }
        let mut modules = Vec::new();
        for (kind, base) in (1..).zip(self.base) {
            if !(base.default && self.no_defaults) {
                modules.push(Listed { kind, ..base });
            }
        }
        modules.extend(self.modules);
        let [global, own] = self.modaddr;
        let mut cmdline = self.bootstrap.cmdline;
        // An address of 0 is none, to Perl.
        if let Some(address) = own.filter(|a| a != "0").or(global) {
            if cmdline.contains("-modaddr") {
                return Err("a bootstrap line with -modaddr".to_owned());
            }
            cmdline.push_str(" -modaddr=");
            cmdline.push_str(&address);
        }
        Ok(Evaluated { cmdline, modules, searchpath: self.searchpath })
    }
}

/// What the line says, if it is for this machine.
fn value<'a>(line: &Line<'a>, what: &Evaluation<'_>) -> Result<Option<&'a str>, String> {
    if !line.is_for(what.arch, what.bits) {
        return Ok(None);
    }
    match ["perl", "shell", "glob"].into_iter().find(|code| line.has(code)) {
        Some(code) => Err(format!("[{code}]")),
        None => Ok(Some(line.rest)),
    }
}

fn listed(words: &str, line: &Line<'_>) -> Result<Listed, String> {
    let own = |text: &str| text.to_owned();
    let options = line.options.iter().map(|(key, value)| (own(key), value.map(own))).collect();
    Listed::new(words, &options).ok_or_else(|| "fname without a name".to_owned())
}
