//! Reading and writing records. Invariant: a record is either the old or the new one,
//! whole, at any moment at which the process may be killed; only its owner can read it.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::atomic::{AtomicU64, Ordering};

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::TwinError;

/// A record, or `None` if there is none.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Utf8Path) -> Result<Option<T>, TwinError> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(TwinError::file(path)(error)),
    };
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|error| TwinError::Damaged { path: path.to_owned(), detail: error.to_string() })
}

/// Writes a record beside its place and moves it there.
pub(crate) fn write_json<T: Serialize>(path: &Utf8Path, value: &T) -> Result<(), TwinError> {
    let bytes = serde_json::to_vec_pretty(value)
        .map_err(|error| TwinError::Damaged { path: path.to_owned(), detail: error.to_string() })?;
    write(path, &bytes).map_err(TwinError::file(path))
}

/// Writes a record that somebody [holds](write_held).
pub(crate) fn write_json_held<T: Serialize>(path: &Utf8Path, value: &T) -> Result<File, TwinError> {
    let bytes = serde_json::to_vec_pretty(value)
        .map_err(|error| TwinError::Damaged { path: path.to_owned(), detail: error.to_string() })?;
    write_held(path, &bytes).map_err(TwinError::file(path))
}

/// Writes a file beside its place, readable by its owner only, and moves it there.
pub(crate) fn write(path: &Utf8Path, bytes: &[u8]) -> io::Result<()> {
    place(path, bytes, |_| Ok(())).map(drop)
}

/// The same with a lock on the file, from before it has its place until what this gives is
/// dropped: who finds it there finds it locked for as long as its writer stands by it.
fn write_held(path: &Utf8Path, bytes: &[u8]) -> io::Result<File> {
    place(path, bytes, |file| file.lock())
}

fn place(
    path: &Utf8Path,
    bytes: &[u8],
    before: impl FnOnce(&File) -> io::Result<()>,
) -> io::Result<File> {
    let beside = beside(path);
    let mut options = std::fs::OpenOptions::new();
    let opened = options.write(true).create(true).truncate(true).mode(0o600).open(&beside);
    let placed = opened.and_then(|mut file| {
        file.write_all(bytes)?;
        before(&file)?;
        std::fs::rename(&beside, path)?;
        Ok(file)
    });
    if placed.is_err() {
        let _ = std::fs::remove_file(&beside);
    }
    placed
}

/// A name beside `path` that nobody else uses.
pub(crate) fn beside(path: &Utf8Path) -> Utf8PathBuf {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let count = COUNTER.fetch_add(1, Ordering::Relaxed);
    let name = path.file_name().unwrap_or_default();
    path.with_file_name(format!(".{name}.{}.{count}.new", std::process::id()))
}

/// Whether a name is one of [`beside`].
pub(crate) fn is_beside(name: &str) -> bool {
    name.starts_with('.') && name.ends_with(".new")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn records_come_back_are_private_and_leave_nothing_beside_them() {
        let dir = camino_tempfile::tempdir().unwrap();
        let path = dir.path().join("record.json");
        assert_eq!(read_json::<Vec<u32>>(&path).unwrap(), None);
        write_json(&path, &vec![1, 2]).unwrap();
        write_json(&path, &vec![3]).unwrap();
        assert_eq!(read_json::<Vec<u32>>(&path).unwrap(), Some(vec![3]));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_damaged_record_is_named() {
        let dir = camino_tempfile::tempdir().unwrap();
        let path = dir.path().join("record.json");
        fs::write(&path, "[1,").unwrap();
        let error = read_json::<Vec<u32>>(&path).unwrap_err();
        assert!(error.to_string().contains("record.json is damaged"), "{error}");
    }
}
