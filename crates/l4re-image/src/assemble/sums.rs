//! The MD5 sums of modules, several at a time.
//!
//! Invariant: memory is a buffer for each thread, whatever the modules' sizes.

use std::fs::File;
use std::io::{self, Read};
use std::num::NonZero;
use std::panic;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use camino::Utf8Path;
use md5::{Digest, Md5};

use super::run::Ready;

/// The sums of all modules, in order: those that are not known yet are taken.
pub(super) fn of(modules: &[Ready]) -> Result<Vec<String>, String> {
    let mut sums: Vec<_> = modules.iter().map(|module| module.prepared.md5.clone()).collect();
    let unknown: Vec<_> = (0..sums.len()).filter(|&index| sums[index].is_none()).collect();
    let next = AtomicUsize::new(0);
    // Each thread takes the next module until there is none.
    let work = || -> Result<Vec<(usize, String)>, String> {
        let take = || unknown.get(next.fetch_add(1, Ordering::Relaxed)).copied();
        let sum = |index: usize| {
            let file = &modules[index].prepared.file;
            md5(file).map(|sum| (index, sum)).map_err(|error| format!("{file}: {error}"))
        };
        std::iter::from_fn(take).map(sum).collect()
    };
    let found = thread::scope(|scope| {
        let processors = thread::available_parallelism().map_or(1, NonZero::get);
        let threads: Vec<_> =
            (0..processors.min(unknown.len())).map(|_| scope.spawn(work)).collect();
        let join = |thread: thread::ScopedJoinHandle<'_, _>| {
            thread.join().unwrap_or_else(|panic| panic::resume_unwind(panic))
        };
        threads.into_iter().map(join).collect::<Result<Vec<_>, _>>()
    })?;
    found.into_iter().flatten().for_each(|(index, sum)| sums[index] = Some(sum));
    sums.into_iter().collect::<Option<_>>().ok_or_else(|| "a sum is missing".to_owned())
}

/// The MD5 of a file.
pub(super) fn md5(path: &Utf8Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hash = Md5::new();
    let mut buffer = vec![0; 256 * 1024];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(hex::encode(hash.finalize())),
            Ok(count) => hash.update(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
