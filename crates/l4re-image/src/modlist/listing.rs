//! The entries of a module list.
//!
//! Read here rather than by `make listentries`: that wants `dialog` installed and knows no
//! file and line. Where a list needs L4Re's own tools (Perl or shell code in a line that
//! matters here), their Perl module is asked.

use std::collections::{BTreeMap, BTreeSet};

use camino::{Utf8Path, Utf8PathBuf};
use serde::Serialize;

use super::line::Line;
use super::source::{Placed, Source};
use crate::tree::{BuildTree, TreeError};

/// How entries are listed.
#[derive(Clone, Debug, Default)]
pub struct ListOptions {
    /// The module list (`MODULES_LIST`) instead of L4Re's own: absolute, or a name that L4Re
    /// looks for in the tree.
    pub modules_list: Option<Utf8PathBuf>,
    /// The platform that the list's code sees instead of the tree's.
    pub platform: Option<String>,
    /// Also those for other architectures.
    pub all_archs: bool,
}

/// An entry of a module list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// The architectures that it is for, in L4Re's spelling; empty for all.
    pub archs: Vec<String>,
    /// The file that defines it.
    pub file: Utf8PathBuf,
    /// The line in it, from 1; `None` when only L4Re's tools could tell that there is such an
    /// entry.
    pub line: Option<usize>,
    /// The comment right above it.
    pub comment: Option<String>,
}

pub(crate) fn entries(tree: &BuildTree, options: &ListOptions) -> Result<Vec<Entry>, TreeError> {
    let file = list_file(tree, options)?;
    let variables = variables(tree, options);
    let mut source = Source::read(&file, &variables)?;
    let lines = std::mem::take(&mut source.lines);
    let mut entries: Vec<Entry> =
        lines.iter().filter_map(|placed| entry(tree, options, placed, &mut source)).collect();
    if let Some(reason) = source.beyond {
        let names = evaluated(tree, &file, &variables, reason)?;
        let known = |name: &String| entries.iter().any(|entry| entry.name == *name);
        let unknown: Vec<String> = names.into_iter().filter(|name| !known(name)).collect();
        let file = || file.clone();
        entries.extend(unknown.into_iter().map(|name| Entry {
            name,
            archs: Vec::new(),
            file: file(),
            line: None,
            comment: None,
        }));
    }
    Ok(entries)
}

/// The names of the files that a list names for an entry, its own and its includes' with them;
/// `None` where only L4Re's tools know.
pub(crate) fn named(
    tree: &BuildTree,
    options: &ListOptions,
    entry: &str,
) -> Option<BTreeSet<String>> {
    let file = list_file(tree, options).ok()?;
    let source = Source::read(&file, &variables(tree, options)).ok()?;
    let name = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
    let mut names = BTreeSet::from([name(file.as_str())]);
    // Before the first entry, and in groups, all may be of this one.
    let mut of_another = false;
    for placed in &source.lines {
        names.insert(name(placed.file.as_str()));
        let line = Line::parse(&placed.text)?;
        match line.command.to_ascii_lowercase().as_str() {
            "entry" | "title" => of_another = !line.rest.eq_ignore_ascii_case(entry),
            "group" => of_another = false,
            _ if of_another => {}
            _ if ["perl", "shell", "glob"].into_iter().any(|code| line.has(code)) => return None,
            _ => names.extend(line.rest.split_whitespace().map(name)),
        }
    }
    source.beyond.is_none().then_some(names)
}

/// The file that make would read (`set_ml` in L4Re's Makefile, `search_file` in ModList.pm).
pub(crate) fn list_file(tree: &BuildTree, options: &ListOptions) -> Result<Utf8PathBuf, TreeError> {
    let Some(name) = options.modules_list.clone() else { return Ok(tree.modules_list()) };
    if name.is_absolute() && name.is_file() {
        return Ok(name);
    }
    let mut searched = vec![tree.root().join("assets/modlist")];
    searched.extend(tree.module_dirs());
    let found = searched.iter().map(|dir| dir.join(&name)).find(|path| path.is_file());
    found.ok_or(TreeError::NoModuleList { name, searched })
}

/// What L4Re's Makefile puts into the environment of its tools.
fn variables(tree: &BuildTree, options: &ListOptions) -> BTreeMap<&'static str, String> {
    let platform = options.platform.as_deref().or(tree.platform()).unwrap_or_default();
    let source = tree.source().to_string();
    BTreeMap::from([
        ("ARCH", tree.arch().l4re().to_owned()),
        ("BITS", tree.arch().bits().to_string()),
        ("PLATFORM_TYPE", platform.to_owned()),
        ("SRC_BASE_ABS", source.clone()),
        ("L4DIR", source),
    ])
}

fn entry(
    tree: &BuildTree,
    options: &ListOptions,
    placed: &Placed,
    source: &mut Source,
) -> Option<Entry> {
    let line = Line::parse(&placed.text)?;
    if !["entry", "title"].iter().any(|command| line.command.eq_ignore_ascii_case(command)) {
        return None;
    }
    let archs = line.alternatives("arch");
    let for_tree = line.is_for(tree.arch().l4re(), &tree.arch().bits().to_string());
    if !(for_tree || options.all_archs) {
        return None;
    }
    if let Some(code) = ["perl", "shell", "glob"].into_iter().find(|code| line.has(code)) {
        let what = format!("an entry name made by [{code}]");
        source.note_beyond(&placed.file, placed.line, &what);
        return None;
    }
    (!line.rest.is_empty()).then(|| Entry {
        name: line.rest.to_owned(),
        archs: archs.unwrap_or_default().into_iter().map(ToOwned::to_owned).collect(),
        file: placed.file.clone(),
        line: Some(placed.line),
        comment: placed.comment.clone(),
    })
}

/// The entry names according to L4Re's own reader.
fn evaluated(
    tree: &BuildTree,
    file: &Utf8Path,
    variables: &BTreeMap<&'static str, String>,
    reason: String,
) -> Result<Vec<String>, TreeError> {
    let mut command = duct::cmd("perl", perl_argv(tree, file))
        .stdin_null()
        .stdout_capture()
        .stderr_capture()
        .unchecked();
    for (name, value) in variables {
        command = command.env(name, value);
    }
    let failed = |reason, output| TreeError::Evaluate { file: file.to_owned(), reason, output };
    let output = match command.run() {
        Ok(output) => output,
        Err(error) => return Err(failed(reason, format!("cannot start perl: {error}"))),
    };
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(failed(reason, text));
    }
    Ok(String::from_utf8_lossy(&output.stdout).lines().map(ToOwned::to_owned).collect())
}

fn perl_argv(tree: &BuildTree, file: &Utf8Path) -> Vec<String> {
    let dirs = tree.module_dirs().iter().map(|dir| dir.to_string()).collect::<Vec<_>>().join(":");
    let library = tree.source().join("tool/lib");
    let code = r#"print map { "$_\n" } L4::ModList::get_entries($ARGV[0], $ARGV[1])"#;
    ["-I", library.as_str(), "-ML4::ModList", "-e", code, "--", file.as_str(), &dirs]
        .map(ToOwned::to_owned)
        .to_vec()
}
