//! What `init` has changed in a project, kept in the state folder until it is taken back.

use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};

use super::edit::Edit;

/// The changes of one project, the oldest first.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Record {
    /// The changes.
    pub edits: Vec<Edit>,
}

impl Record {
    /// The record of the project in `folder`; an empty one where there is none.
    pub fn read(state: &Utf8Path, folder: &Utf8Path) -> std::io::Result<Self> {
        match super::edit::read(&file(state, folder))? {
            Some(text) => Ok(serde_json::from_str(&text)?),
            None => Ok(Self::default()),
        }
    }

    /// Keeps the record; an empty one is removed.
    pub fn write(&self, state: &Utf8Path, folder: &Utf8Path) -> std::io::Result<()> {
        let path = file(state, folder);
        if self.edits.is_empty() {
            return match path.exists() {
                true => fs_err::remove_file(path),
                false => Ok(()),
            };
        }
        fs_err::create_dir_all(path.parent().unwrap_or(state))?;
        // A record cut short would lose what it can take back.
        l4re_image::write_whole(&path, serde_json::to_string(self)?.as_bytes())
    }
}

fn file(state: &Utf8Path, folder: &Utf8Path) -> Utf8PathBuf {
    let name = folder.as_str().replace('%', "%25").replace('/', "%2F");
    state.join("init").join(format!("{name}.json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_kept_until_it_is_empty() {
        let state = camino_tempfile::tempdir().unwrap();
        let folder = Utf8Path::new("/src/my%app");
        let edit = Edit { path: "/x".into(), before: None, after: "a".into() };
        Record { edits: vec![edit.clone()] }.write(state.path(), folder).unwrap();
        assert_eq!(Record::read(state.path(), folder).unwrap().edits, [edit]);
        Record::default().write(state.path(), folder).unwrap();
        assert!(Record::read(state.path(), folder).unwrap().edits.is_empty());
        assert!(!file(state.path(), folder).exists());
    }
}
