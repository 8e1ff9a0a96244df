//! Entries that are declared in settings: written as a module list of L4Re's own grammar, so
//! that the native assembler and make both read them as any other.
//!
//! The list includes the build tree's own, which gives it the global defaults and groups. It
//! is kept in the build tree, under `.cargo-l4re/entries`.

mod artifact;
mod blame;

use camino::{Utf8Path, Utf8PathBuf};
use l4re_image::BuildTree;

pub use self::artifact::ArtifactError;
pub use self::blame::{blamed, placed};
use crate::commands::Context;
use crate::failure::Failure;
use crate::settings::{Entry, Module, ModuleTable};

/// What is wrong with a declared entry.
#[derive(Debug, thiserror::Error)]
pub enum EntryError {
    /// A word that a module list cannot hold.
    #[error("entry `{entry}`: {what} `{value}` {problem}")]
    Word {
        /// The entry.
        entry: String,
        /// What the word is.
        what: &'static str,
        /// The word.
        value: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// An entry that is in the build tree's list as well.
    #[error("entry `{name}` is declared in settings and in {list} too")]
    Twice {
        /// The entry.
        name: String,
        /// The tree's list.
        list: Utf8PathBuf,
    },
    /// A file that is not there.
    #[error("entry `{entry}`: no file {path}")]
    NoFile {
        /// The entry.
        entry: String,
        /// The file.
        path: Utf8PathBuf,
    },
    /// A module that is nowhere.
    #[error("entry `{entry}`: {part} `{file}` is in none of {folders} folders")]
    NoModule {
        /// The entry.
        entry: String,
        /// What it is there: `module`, `kernel`.
        part: &'static str,
        /// How it is named.
        file: String,
        /// In how many folders it was looked for.
        folders: usize,
    },
    /// The list cannot be written.
    #[error("cannot write {path}")]
    Write {
        /// The list.
        path: Utf8PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// Builds what Cargo has to build for an entry and writes its module list; gives the list's
/// path, for `MODULES_LIST`.
pub fn write_list(
    context: &Context,
    tree: &BuildTree,
    entry: &Entry,
) -> Result<Utf8PathBuf, Failure> {
    let mut modules = Vec::new();
    for module in &entry.modules {
        modules.push(match module {
            Module::Searched(words) => format!("module {}", plain(entry, "module", words)?),
            Module::Described(table) => described(context, entry, table)?,
        });
    }
    let text = list(entry, &tree.modules_list(), &modules)?;
    let folder = tree.root().join(".cargo-l4re/entries");
    let path = folder.join(format!("{}.list", entry.name));
    let failed = |source| EntryError::Write { path: path.clone(), source };
    fs_err::create_dir_all(&folder).map_err(failed)?;
    // Written only when it changed, so that its time says when it did.
    if fs_err::read_to_string(&path).ok().as_deref() != Some(&text) {
        l4re_image::write_whole(&path, text.as_bytes()).map_err(failed)?;
    }
    Ok(path)
}

/// The line of a module that is a file or an artifact.
fn described(context: &Context, entry: &Entry, table: &ModuleTable) -> Result<String, Failure> {
    let file = match &table.file {
        Some(file) if file.is_file() => file.clone(),
        Some(file) => {
            let (entry, path) = (entry.name.clone(), file.clone());
            return Err(EntryError::NoFile { entry, path }.into());
        }
        None => artifact::build(context, table)?,
    };
    let name = table.name.as_deref().or(file.file_name()).unwrap_or_default();
    Ok(module_line(entry, &file, name, table.args.as_deref())?)
}

fn module_line(
    entry: &Entry,
    file: &Utf8Path,
    name: &str,
    args: Option<&str>,
) -> Result<String, EntryError> {
    let file = word(entry, "file", file.as_str())?;
    let name = word(entry, "module name", name)?;
    let args = args.map(|args| plain(entry, "command line", args)).transpose()?;
    Ok(format!("module[fname={name}] {file} {}", args.unwrap_or_default()).trim_end().to_owned())
}

/// The list's text.
fn list(entry: &Entry, of_tree: &Utf8Path, modules: &[String]) -> Result<String, EntryError> {
    let mut lines = vec![
        "# Written by cargo l4re from its settings: changes here are lost.".to_owned(),
        format!("include {}", word(entry, "module list", of_tree.as_str())?),
        format!("entry {}", word(entry, "name", &entry.name)?),
    ];
    for folder in &entry.search_path {
        lines.push(format!("searchpath {}", word(entry, "folder", folder.as_str())?));
    }
    let parts =
        [("kernel", &entry.kernel), ("sigma0", &entry.sigma0), ("roottask", &entry.roottask)];
    for (part, words) in parts {
        if let Some(words) = words {
            lines.push(format!("{part} {}", plain(entry, part, words)?));
        }
    }
    lines.extend_from_slice(modules);
    Ok(lines.join("\n") + "\n")
}

/// Words that stay on their line.
fn plain<'a>(entry: &Entry, what: &'static str, value: &'a str) -> Result<&'a str, EntryError> {
    let problem = if value.contains(['\n', '\r']) {
        "has a line break"
    } else if value.contains('#') {
        "has a `#`, which begins a comment in a module list"
    } else if value.trim().is_empty() {
        "is empty"
    } else {
        return Ok(value.trim());
    };
    Err(EntryError::Word { entry: entry.name.clone(), what, value: value.to_owned(), problem })
}

/// A single word, as a file or a name must be.
fn word<'a>(entry: &Entry, what: &'static str, value: &'a str) -> Result<&'a str, EntryError> {
    let value = plain(entry, what, value)?;
    if value.contains(|c: char| c.is_whitespace() || "[],".contains(c)) {
        let problem = "has a character that a module list cannot hold there";
        let (entry, value) = (entry.name.clone(), value.to_owned());
        return Err(EntryError::Word { entry, what, value, problem });
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(text: &str) -> Entry {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn a_list_in_l4res_grammar() {
        let entry = entry(
            "name = \"vm\"\nkernel = \"fiasco -serial_esc\"\nroottask = \"moe rom/vm.cfg\"\n\
             modules = [\"l4re\", \"ned\"]\nsearch-path = [\"/w\"]\n",
        );
        let modules = ["module l4re".to_owned(), "module[fname=app] /t/app -v".to_owned()];
        let text = list(&entry, Utf8Path::new("/src/modules.list"), &modules).unwrap();
        let lines: Vec<_> = text.lines().skip(1).collect();
        assert_eq!(
            lines,
            [
                "include /src/modules.list",
                "entry vm",
                "searchpath /w",
                "kernel fiasco -serial_esc",
                "roottask moe rom/vm.cfg",
                "module l4re",
                "module[fname=app] /t/app -v",
            ]
        );
    }

    #[test]
    fn what_a_list_cannot_hold_is_refused() {
        let entry = entry("name = \"vm\"\n");
        let line = |file: &str, name: &str, args| module_line(&entry, file.into(), name, args);
        assert!(line("/a b/app", "app", None).unwrap_err().to_string().contains("file `/a b/app`"));
        assert!(line("/app", "a,b", None).is_err());
        assert!(line("/app", "app", Some("x\nentry y")).is_err());
        assert_eq!(line("/app", "app", Some("-v")).unwrap(), "module[fname=app] /app -v");
    }

    #[test]
    fn modules_are_words_or_tables() {
        let entry = entry(
            "name = \"a\"\nmodules = [\"l4re\", { file = \"x\", name = \"y\" }, { bin = \"b\" }]\n",
        );
        assert_eq!(entry.modules[0], Module::Searched("l4re".into()));
        assert!(matches!(&entry.modules[1], Module::Described(table) if table.file.is_some()));
        let error = toml::from_str::<Entry>("name = \"a\"\nmodules = [{ fil = \"x\" }]\n");
        assert!(error.unwrap_err().to_string().contains("unknown field `fil`"));
    }
}
