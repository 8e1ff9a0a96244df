//! Changes of files, gathered until nobody writes any more.
//!
//! Invariant: a change of what is looked at is never lost, also while something is being
//! built; what a build itself writes can be forgotten.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use notify::event::{AccessKind, AccessMode, EventKind, ModifyKind};
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
    events: UnboundedReceiver<PathBuf>,
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
                // Nobody listens any more only when the program ends.
                event.paths.into_iter().for_each(|path| drop(tell.send(path)));
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
                Some(path) => self.keep(path),
                None => std::future::pending().await,
            }
        }
        let end = Instant::now() + LONGEST;
        while let Ok(Some(path)) =
            timeout_at((Instant::now() + QUIET).min(end), self.events.recv()).await
        {
            self.keep(path);
            if Instant::now() >= end {
                break;
            }
        }
        std::mem::take(&mut self.kept)
    }

    /// Forgets changes so far below these folders: a build of ours has just written there.
    pub fn forget(&mut self, folders: &[Utf8PathBuf]) {
        while let Ok(path) = self.events.try_recv() {
            self.keep(path);
        }
        self.kept.retain(|path| !folders.iter().any(|folder| path.starts_with(folder)));
    }

    fn keep(&mut self, path: PathBuf) {
        if let Ok(path) = Utf8PathBuf::try_from(path)
            && self.scope.matters(&path)
        {
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
}
