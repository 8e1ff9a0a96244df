//! Bounds for what is kept in a build tree: the things that were used last stay.
//!
//! Invariant: a thing is used when its note was read, which shows in the note's time of
//! modification; what cannot be removed is left for the next time.

use std::fs::{self, File};
use std::time::{Duration, SystemTime};

use camino::{Utf8Path, Utf8PathBuf};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Notes of a sort in the folder, by how their names begin, and how many may stay: each
/// environment has its own, and each image's name.
const NOTES: [(&str, usize); 3] = [("base-", 16), ("settings-", 64), ("image-", 256)];
/// A module that nobody used for so long is forgotten.
const MODULES: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Notes a use; once a day is enough.
pub(super) fn used(note: &Utf8Path) {
    if age(note).is_some_and(|age| age > DAY)
        && let Ok(file) = File::options().append(true).open(note)
    {
        // At worst it is removed too early, and made again.
        let _ = file.set_modified(SystemTime::now());
    }
}

/// Removes from the folder of a build tree what is too much or too old.
pub(super) fn sweep(root: &Utf8Path) {
    let dir = root.join(".cargo-l4re");
    let files = files(&dir);
    for (start, most) in NOTES {
        let of_sort = |file: &&Utf8PathBuf| file.file_name().is_some_and(|n| n.starts_with(start));
        let notes = files.iter().filter(of_sort).filter(|file| file.extension().is_none());
        let mut notes: Vec<_> = notes.map(|file| (age(file), file)).collect();
        notes.sort();
        for (_, note) in notes.into_iter().skip(most) {
            remove(note);
            remove(&note.with_extension("image"));
        }
    }
    for file in self::files(&dir.join("modules")) {
        // What was made of a module is as old as the note about it.
        let note = file.with_extension("");
        let limit = if file.as_str().ends_with(".tmp") { DAY } else { MODULES };
        if age(&note).or_else(|| age(&file)).is_some_and(|age| age > limit) {
            remove(&file);
        }
    }
}

fn files(dir: &Utf8Path) -> Vec<Utf8PathBuf> {
    let entries = dir.read_dir_utf8().into_iter().flatten().flatten();
    let mut files: Vec<_> = entries.map(camino::Utf8DirEntry::into_path).collect();
    // Notes come after what they are about, which is judged by them.
    files.sort_by(|a, b| b.cmp(a));
    files
}

fn age(file: &Utf8Path) -> Option<Duration> {
    let changed = fs::metadata(file).ok()?.modified().ok()?;
    Some(SystemTime::now().duration_since(changed).unwrap_or_default())
}

fn remove(file: &Utf8Path) {
    // There may be none.
    let _ = fs::remove_file(file);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_last_stays() {
        let dir = camino_tempfile::tempdir().unwrap();
        let write = |name: &str, age: Duration| {
            let path = dir.path().join(".cargo-l4re").join(name);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            File::create(&path).unwrap().set_modified(SystemTime::now() - age).unwrap();
            path
        };
        let old: Vec<_> =
            (0..20_u32).map(|n| write(&format!("base-{n}"), 3 * DAY * (n + 1))).collect();
        let images: Vec<_> = (0..20).map(|n| write(&format!("base-{n}.image"), DAY)).collect();
        let other = write("settings-1", 400 * DAY);
        used(&old[19]);
        let forgotten = [write("modules/a", 31 * DAY), write("modules/a.bytes", DAY)];
        let kept = [write("modules/b", DAY), write("modules/b.bytes", 40 * DAY)];
        let begun = write("modules/c.1.tmp", 2 * DAY);
        sweep(dir.path());
        let stays = |n: usize| n < 15 || n == 19;
        assert!((0..20).all(|n| old[n].exists() == stays(n) && images[n].exists() == stays(n)));
        assert!(other.exists() && kept.iter().all(|file| file.exists()));
        assert!(!begun.exists() && !forgotten.iter().any(|file| file.exists()));
        sweep(&dir.path().join("nothing"));
    }
}
