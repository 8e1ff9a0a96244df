//! A change of a file, and how it is taken back.

use std::ops::Range;

use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};

use super::{settings_file, tasks_file};
use crate::settings::LOCAL_FILE;

/// A file that cannot be changed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// It is no JSON, not even with comments.
    #[error("{message}")]
    Json {
        /// What is wrong.
        message: String,
        /// The text.
        text: String,
        /// Where.
        span: Range<usize>,
    },
    /// It is no TOML.
    #[error("{message}")]
    Toml {
        /// What is wrong.
        message: String,
        /// The text.
        text: String,
        /// Where.
        span: Option<Range<usize>>,
    },
    /// Its outermost value is of another kind.
    #[error("a list of tasks must be {wanted}")]
    Shape {
        /// The kind that it must have.
        wanted: &'static str,
    },
    /// A property that is no list.
    #[error("`{name}` is no list")]
    NoList {
        /// The property.
        name: &'static str,
    },
    /// A key that is no table.
    #[error("`{key}` is no table")]
    NoTable {
        /// The key.
        key: String,
    },
}

/// A change of one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edit {
    /// The file.
    pub path: Utf8PathBuf,
    /// Its text before; `None` where it was not there.
    pub before: Option<String>,
    /// Its text after.
    pub after: String,
}

/// What becomes of a file whose change is taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It is written as it was before.
    Restored(String),
    /// It is removed.
    Removed,
    /// It was changed by others since: only what we added goes.
    Mended(String),
    /// Nothing of ours is left in it.
    Nothing,
}

/// What is to become of a file that now has the text `current`.
pub fn take_back(edit: &Edit, current: Option<&str>) -> Result<Change, EditError> {
    let Some(current) = current else { return Ok(Change::Nothing) };
    if current == edit.after {
        return Ok(match &edit.before {
            Some(before) => Change::Restored(before.clone()),
            None => Change::Removed,
        });
    }
    let before = edit.before.as_deref();
    let left = match edit.path.extension() {
        Some("toml") => settings_file::without(current, before, &edit.after)?,
        Some("json") => tasks_file::without(current, before, &edit.after)?,
        _ => without_lines(current, before.unwrap_or_default(), &edit.after),
    };
    let bare = match edit.path.extension() {
        Some("json") => tasks_file::is_bare(&left),
        _ => left.trim().is_empty(),
    };
    Ok(match (left == current, bare && before.is_none()) {
        (_, true) => Change::Removed,
        (true, false) => Change::Nothing,
        (false, false) => Change::Mended(left),
    })
}

/// A `.gitignore` that names the file of settings of this machine; `None` if it does so.
pub fn ignored(before: Option<&str>) -> Option<String> {
    let text = before.unwrap_or_default();
    if text.lines().any(|line| line.trim().trim_start_matches('/') == LOCAL_FILE) {
        return None;
    }
    let gap = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    Some(format!("{text}{gap}{LOCAL_FILE}\n"))
}

/// `current` without the lines that `after` has and `before` has not.
fn without_lines(current: &str, before: &str, after: &str) -> String {
    let known: Vec<&str> = before.lines().collect();
    let added: Vec<&str> = after.lines().filter(|line| !known.contains(line)).collect();
    let lines = current.split_inclusive('\n');
    lines.filter(|line| !added.contains(&line.trim_end_matches(['\n', '\r']))).collect()
}

/// A file's text, if it is there.
pub fn read(path: &Utf8Path) -> std::io::Result<Option<String>> {
    match fs_err::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_touched_comes_back_byte_for_byte() {
        let before = "a\nb".to_owned();
        let after = ignored(Some(&before)).unwrap();
        assert_eq!(after, "a\nb\nl4re.local.toml\n");
        assert_eq!(ignored(Some(&after)), None);
        let edit = Edit { path: ".gitignore".into(), before: Some(before.clone()), after };
        assert_eq!(take_back(&edit, Some(&edit.after)), Ok(Change::Restored(before)));
        let more = format!("{}mine\n", edit.after);
        assert_eq!(take_back(&edit, Some(&more)), Ok(Change::Mended("a\nb\nmine\n".into())));
        assert_eq!(take_back(&edit, Some("a\n")), Ok(Change::Nothing));
        assert_eq!(take_back(&edit, None), Ok(Change::Nothing));
    }
}
