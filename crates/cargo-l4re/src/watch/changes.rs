//! Changes of files, gathered until nobody writes any more.
//!
//! Invariant: a change of what is looked at is never lost, also while something is being
//! built; what a build itself writes can be forgotten.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use notify::event::{AccessKind, AccessMode, EventKind, ModifyKind, RenameMode};
use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::{Instant, timeout_at};

use super::scope::Scope;
use crate::failure::Failure;

/// Silence after which a change is complete: an editor writes, renames and sets times.
const QUIET: Duration = Duration::from_millis(60);
/// Longest wait for silence.
const LONGEST: Duration = Duration::from_secs(2);

/// Tells of changes.
pub struct Changes {
    watcher: RecommendedWatcher,
    /// Paths that changed, and whether nothing is there any more by that name.
    events: UnboundedReceiver<(PathBuf, bool)>,
    scope: Scope,
    watched: BTreeSet<Utf8PathBuf>,
    kept: BTreeSet<Utf8PathBuf>,
}

impl Changes {
    /// Begins to look at `scope`.
    pub fn of(scope: &Scope) -> Result<Self, Failure> {
        let (tell, events) = unbounded_channel();
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            let Ok(event) = event else { return };
            if is_change(&event.kind) {
                let gone = is_end(&event.kind);
                // Nobody listens any more only when the program ends.
                event.paths.into_iter().for_each(|path| drop(tell.send((path, gone))));
            }
        });
        let watcher = watcher.map_err(not_watched)?;
        let (watched, kept) = (BTreeSet::new(), BTreeSet::new());
        let mut changes = Self { watcher, events, scope: scope.clone(), watched, kept };
        changes.look_at(scope)?;
        Ok(changes)
    }

    /// Looks at another scope from now on.
    pub fn look_at(&mut self, scope: &Scope) -> Result<(), Failure> {
        let folders = scope.folders();
        for old in self.watched.difference(&folders) {
            // A folder that is gone is watched no longer anyway.
            let _ = self.watcher.unwatch(old.as_std_path());
        }
        for new in folders.difference(&self.watched) {
            let watched = self.watcher.watch(new.as_std_path(), RecursiveMode::NonRecursive);
            watched.map_err(not_watched)?;
        }
        self.watched = folders;
        self.scope = scope.clone();
        Ok(())
    }

    /// Waits for a change, and until it is complete. Can be dropped and asked again.
    pub async fn next(&mut self) -> BTreeSet<Utf8PathBuf> {
        while self.kept.is_empty() {
            match self.events.recv().await {
                Some(event) => self.keep(event),
                None => std::future::pending().await,
            }
        }
        let end = Instant::now() + LONGEST;
        while let Ok(Some(event)) =
            timeout_at((Instant::now() + QUIET).min(end), self.events.recv()).await
        {
            self.keep(event);
            if Instant::now() >= end {
                break;
            }
        }
        std::mem::take(&mut self.kept)
    }

    /// Forgets changes so far below these folders: a build of ours has just written there.
    pub fn forget(&mut self, folders: &[Utf8PathBuf]) {
        while let Ok(event) = self.events.try_recv() {
            self.keep(event);
        }
        self.kept.retain(|path| !folders.iter().any(|folder| path.starts_with(folder)));
    }

    fn keep(&mut self, (path, gone): (PathBuf, bool)) {
        let Ok(path) = Utf8PathBuf::try_from(path) else { return };
        if gone && self.watched.contains(&path) {
            // One that is made anew by that name (another branch is checked out, say) is
            // another folder to the kernel: it has to be watched anew.
            let lost = self.watched.extract_if(.., |folder| folder.starts_with(&path));
            for folder in lost {
                let _ = self.watcher.unwatch(folder.as_std_path());
            }
        }
        if self.scope.matters(&path) {
            self.kept.insert(path);
        }
    }
}

/// Reading is no change; nor are times and rights alone, which every build sets.
fn is_change(kind: &EventKind) -> bool {
    match kind {
        EventKind::Access(kind) => *kind == AccessKind::Close(AccessMode::Write),
        EventKind::Modify(ModifyKind::Metadata(_)) | EventKind::Other => false,
        _ => true,
    }
}

/// Whether the name is free after that.
fn is_end(kind: &EventKind) -> bool {
    matches!(
        kind,
        EventKind::Remove(_)
            | EventKind::Modify(ModifyKind::Name(RenameMode::From | RenameMode::Both))
    )
}

fn not_watched(error: notify::Error) -> Failure {
    let path = error.paths.first().and_then(|path| Utf8Path::from_path(path));
    let at = path.map(|path| format!(" {path}")).unwrap_or_default();
    let text = match error.kind {
        notify::ErrorKind::MaxFilesWatch => {
            "the kernel watches no more folders for this user: raise fs.inotify.max_user_watches"
                .to_owned()
        }
        kind => format!("cannot watch{at}: {kind:?}"),
    };
    Failure::Io(std::io::Error::other(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_write_is_told_once_and_a_build_of_ours_not_at_all() {
        let folder = camino_tempfile::tempdir().unwrap();
        let (sources, made) = (folder.path().join("src"), folder.path().join("bin"));
        fs_err::create_dir_all(&sources).unwrap();
        fs_err::create_dir_all(&made).unwrap();
        let scope = Scope::for_test(&[&sources, &made]);
        let mut changes = Changes::of(&scope).unwrap();
        fs_err::write(sources.join("main.c"), "int a;").unwrap();
        fs_err::write(sources.join(".main.c.swp"), "").unwrap();
        let limit = Duration::from_secs(20);
        let changed = tokio::time::timeout(limit, changes.next()).await.unwrap();
        assert_eq!(changed, BTreeSet::from([sources.join("main.c")]));
        fs_err::write(made.join("main"), "elf").unwrap();
        fs_err::write(sources.join("other.c"), "").unwrap();
        let changed = loop {
            // The kernel tells in its own time: both have come when the later one has.
            changes.forget(std::slice::from_ref(&made));
            let changed = tokio::time::timeout(limit, changes.next()).await.unwrap();
            if changed.contains(&sources.join("other.c")) {
                break changed;
            }
        };
        assert!(changed.len() <= 2, "{changed:?}");
    }

    /// The paths that are told of until `wanted` is among them.
    async fn until(changes: &mut Changes, wanted: &Utf8Path) -> BTreeSet<Utf8PathBuf> {
        let mut all = BTreeSet::new();
        while !all.contains(wanted) {
            let next = tokio::time::timeout(Duration::from_secs(20), changes.next());
            all.extend(next.await.unwrap_or_else(|_| panic!("no word of {wanted}: {all:?}")));
        }
        all
    }

    #[tokio::test]
    async fn editors_save_as_they_like_and_a_burst_is_one_change() {
        let folder = camino_tempfile::tempdir().unwrap();
        let file = folder.path().join("main.c");
        fs_err::write(&file, "int a;").unwrap();
        let mut changes = Changes::of(&Scope::for_test(&[folder.path()])).unwrap();
        // vim: the old file becomes the backup, a new one is written, the backup goes.
        let backup = folder.path().join("main.c~");
        fs_err::rename(&file, &backup).unwrap();
        fs_err::write(&file, "int b;").unwrap();
        fs_err::remove_file(&backup).unwrap();
        assert_eq!(until(&mut changes, &file).await, BTreeSet::from([file.clone()]));
        // Others: a new file beside it takes its place.
        let beside = folder.path().join(".main.c.swp");
        fs_err::write(&beside, "int c;").unwrap();
        fs_err::rename(&beside, &file).unwrap();
        assert_eq!(until(&mut changes, &file).await, BTreeSet::from([file.clone()]));
        fs_err::remove_file(&file).unwrap();
        until(&mut changes, &file).await;
        for _ in 0..50 {
            fs_err::write(&file, "int d;").unwrap();
        }
        let mut told = 0;
        while tokio::time::timeout(QUIET * 10, changes.next()).await.is_ok() {
            told += 1;
        }
        // One, but on a machine that stands still again and again meanwhile.
        assert!((1..25).contains(&told), "{told}");
    }

    #[tokio::test]
    async fn folders_that_come_and_come_again_are_looked_at() {
        let folder = camino_tempfile::tempdir().unwrap();
        let scope = Scope::for_test(&[folder.path()]);
        let mut changes = Changes::of(&scope).unwrap();
        let sources = folder.path().join("src");
        for round in ["one.c", "two.c"] {
            fs_err::create_dir(&sources).unwrap();
            until(&mut changes, &sources).await;
            changes.look_at(&scope).unwrap();
            fs_err::write(sources.join(round), "int a;").unwrap();
            until(&mut changes, &sources.join(round)).await;
            fs_err::remove_dir_all(&sources).unwrap();
            until(&mut changes, &sources).await;
        }
    }
}
