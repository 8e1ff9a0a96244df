//! `cargo l4re init`: settings and editor tasks for a project, and their removal.
//!
//! Finds build trees nearby, writes them into the settings that the project shares, and
//! adds tasks to those of the editors. What is there already stays; a second call adds
//! nothing. `--undo` takes back what calls before it have added.

use camino::{Utf8Path, Utf8PathBuf};
use clap::Args;
use l4re_image::{Arch, BuildTree, KernelTree, ListOptions};
use serde_json::json;

use super::Context;
use crate::editor::{self, Change, Edit, Editor, Record, SettingsFile, Trees};
use crate::failure::Failure;

/// Arguments of `init`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Only this editor's tasks; may be given more than once [default: all]
    #[arg(long, value_name = "NAME")]
    editor: Vec<Editor>,
    /// No editor's tasks
    #[arg(long, conflicts_with = "editor")]
    no_editor: bool,
    /// Write l4re.toml, also where there is a Cargo.toml
    #[arg(long)]
    l4re_toml: bool,
    /// Say what would be written, and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Take back what `init` has added
    #[arg(long, conflicts_with_all = ["editor", "no_editor", "l4re_toml"])]
    pub undo: bool,
}

/// Runs `init`.
pub fn init(context: &Context, arguments: &Arguments) -> Result<(), Failure> {
    let folder = context.environment.folder();
    let file = SettingsFile::of(folder, !arguments.l4re_toml)
        .map_err(|error| failure(&folder.join("Cargo.toml"), error))?;
    let state = context.environment.state_dir().ok_or(Failure::NoHome)?;
    let record = Record::read(&state, file.folder())?;
    if arguments.undo {
        return undo(context, arguments, &file, &state, record);
    }
    let Found { trees, entries } = found(context)?;
    let mut plan = Plan::default();
    let missing = missing(context, &trees);
    let meant = meant(context, &missing);
    if !missing.is_empty() || meant.is_some() {
        plan.add(file.path.clone(), |before| file.merged(before, &missing, meant).map(Some))?;
    }
    if file.folder().ancestors().any(|dir| dir.join(".git").exists()) {
        plan.add(file.folder().join(".gitignore"), |before| Ok(editor::ignored(before)))?;
    }
    for editor in editors(arguments).filter(|editor| editor.asks() || !entries.is_empty()) {
        let tasks = editor::tasks();
        plan.add(file.folder().join(editor.file()), |before| {
            editor::merged(editor, before, &tasks, &entries).map(Some)
        })?;
    }
    if plan.edits.is_empty() {
        let why = match trees.is_empty() && entries.is_empty() {
            true => "there is nothing to write",
            false => "all is there already",
        };
        context.shell.status("Unchanged", why);
    }
    write(context, arguments, plan, &state, &file, record)
}

/// What is to be written.
#[derive(Debug, Default)]
struct Plan {
    edits: Vec<Edit>,
}

impl Plan {
    /// Adds a file, if its text is to be another one.
    fn add(
        &mut self,
        path: Utf8PathBuf,
        text: impl FnOnce(Option<&str>) -> Result<Option<String>, editor::EditError>,
    ) -> Result<(), Failure> {
        let before = editor::read(&path)?;
        let after = text(before.as_deref()).map_err(|error| failure(&path, error))?;
        if let Some(after) = after.filter(|after| Some(after) != before.as_ref()) {
            self.edits.push(Edit { path, before, after });
        }
        Ok(())
    }
}

/// What there is to work with.
#[derive(Debug)]
struct Found {
    trees: Vec<(Arch, Trees)>,
    entries: Vec<String>,
}

fn editors(arguments: &Arguments) -> impl Iterator<Item = Editor> {
    let editors = match arguments.editor.as_slice() {
        _ if arguments.no_editor => Vec::new(),
        [] => vec![Editor::VsCode, Editor::Zed],
        named => named.to_vec(),
    };
    editors.into_iter()
}

/// The trees that the flags name or that are nearby, and the entries of the first.
fn found(context: &Context) -> Result<Found, Failure> {
    let folder = context.environment.folder();
    let mut nearby = editor::search(folder);
    if let Some(dir) = &context.global.tree {
        nearby.trees.insert(0, BuildTree::open(&folder.join(dir))?);
    }
    if let Some(dir) = &context.global.kernel {
        nearby.kernels.insert(0, KernelTree::open(&folder.join(dir))?);
    }
    let trees = nearby.by_arch();
    for (arch, trees) in &trees {
        let known = |path: &Option<Utf8PathBuf>| {
            path.as_ref().map_or("none".to_owned(), ToString::to_string)
        };
        let (build, kernel) = (known(&trees.build), known(&trees.kernel));
        context.shell.status("Found", format_args!("{arch}: {build}, kernel: {kernel}"));
    }
    let set = context
        .settings
        .trees()
        .into_iter()
        .filter_map(|(_, tree)| BuildTree::open(&tree.build?).ok());
    let all: Vec<BuildTree> = set.chain(nearby.trees).collect();
    if all.is_empty() {
        context.shell.warn("no build tree is nearby; name one with `--tree DIR`");
    }
    let declared = context.settings.declared().into_iter().map(|entry| entry.name.clone());
    let mut entries: Vec<String> = declared.collect();
    if let Some(tree) = all.first() {
        let listed = tree.entries(&ListOptions::default())?.into_iter().map(|entry| entry.name);
        entries.extend(listed);
    }
    Ok(Found { trees, entries })
}

/// What no setting names yet, in whatever file.
fn missing(context: &Context, trees: &[(Arch, Trees)]) -> Vec<(Arch, Trees)> {
    let unset = |(arch, trees): &(Arch, Trees)| {
        let set = context.settings.tree(*arch);
        let build = trees.build.clone().filter(|_| set.build.is_none());
        let kernel = trees.kernel.clone().filter(|_| set.kernel.is_none());
        (build.is_some() || kernel.is_some()).then_some((*arch, Trees { build, kernel }))
    };
    trees.iter().filter_map(unset).collect()
}

/// The architecture to say where several trees will be set and nothing says which is meant:
/// this machine's if it is among them.
fn meant(context: &Context, missing: &[(Arch, Trees)]) -> Option<Arch> {
    if context.settings.find(|layer| layer.arch).is_some() {
        return None;
    }
    let set = context.settings.trees().into_iter().filter(|(_, tree)| tree.build.is_some());
    let set = set.map(|(arch, _)| arch);
    let added = missing.iter().filter(|(_, trees)| trees.build.is_some()).map(|(arch, _)| *arch);
    let mut all: Vec<Arch> = set.chain(added).collect();
    all.sort_unstable();
    all.dedup();
    let ours = all.iter().copied().find(|arch| arch.rust() == std::env::consts::ARCH);
    (all.len() > 1).then(|| ours.unwrap_or(all[0]))
}

fn write(
    context: &Context,
    arguments: &Arguments,
    plan: Plan,
    state: &Utf8Path,
    file: &SettingsFile,
    mut record: Record,
) -> Result<(), Failure> {
    for edit in plan.edits {
        let verb = match (arguments.dry_run, &edit.before) {
            (true, _) => "Would write",
            (false, None) => "Created",
            (false, Some(_)) => "Changed",
        };
        let path = edit.path.clone();
        if !arguments.dry_run {
            fs_err::create_dir_all(path.parent().unwrap_or(&path))?;
            l4re_image::write_whole(&path, edit.after.as_bytes())?;
            // At once: a file that cannot be written leaves those before it to be undone.
            record.edits.push(edit);
            record.write(state, file.folder())?;
        }
        told(context, verb, &path)?;
    }
    Ok(())
}

fn undo(
    context: &Context,
    arguments: &Arguments,
    file: &SettingsFile,
    state: &Utf8Path,
    record: Record,
) -> Result<(), Failure> {
    if record.edits.is_empty() {
        let folder = file.folder();
        context.shell.status("Unchanged", format_args!("`init` has added nothing to {folder}"));
    }
    let mut left = record.edits.clone();
    for edit in record.edits.iter().rev() {
        let current = editor::read(&edit.path)?;
        let change = editor::take_back(edit, current.as_deref());
        let change = change.map_err(|error| failure(&edit.path, error))?;
        if arguments.dry_run {
            told(context, "Would undo", &edit.path)?;
            continue;
        }
        match &change {
            Change::Restored(text) | Change::Mended(text) => {
                l4re_image::write_whole(&edit.path, text.as_bytes())?;
            }
            Change::Removed => {
                fs_err::remove_file(&edit.path)?;
                // The folder goes too, if it was made for the file; one that holds more stays.
                if let Some(folder) = edit.path.parent().filter(|dir| *dir != file.folder()) {
                    let _ = fs_err::remove_dir(folder);
                }
            }
            Change::Nothing => {}
        }
        left.pop();
        Record { edits: left.clone() }.write(state, file.folder())?;
        let verb = match change {
            Change::Restored(_) => "Restored",
            Change::Mended(_) => "Mended",
            Change::Removed => "Removed",
            Change::Nothing => "Kept",
        };
        told(context, verb, &edit.path)?;
    }
    Ok(())
}

fn told(context: &Context, verb: &str, path: &Utf8Path) -> Result<(), Failure> {
    context.shell.status(verb, path);
    let change = verb.to_lowercase().replace(' ', "-");
    Ok(context.shell.json("file", &json!({ "path": path, "change": change }))?)
}

fn failure(path: &Utf8Path, source: editor::EditError) -> Failure {
    Failure::Edit { path: path.to_owned(), source }
}
