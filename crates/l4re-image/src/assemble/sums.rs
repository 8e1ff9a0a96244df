//! The MD5 sums of modules, several at a time and while something else goes on.
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

/// Does `other` while the sums of the modules are taken that are not known yet. Both results
/// are returned: of the sums all, in order, or what is wrong.
pub(super) fn meanwhile<T>(
    modules: &[Ready],
    other: impl FnOnce() -> T,
) -> (T, Result<Vec<String>, String>) {
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
    let (result, found) = thread::scope(|scope| {
        let spare = thread::available_parallelism().map_or(1, NonZero::get);
        let threads: Vec<_> = (0..spare.min(unknown.len())).map(|_| scope.spawn(work)).collect();
        let result = other();
        let join = |thread: thread::ScopedJoinHandle<'_, _>| {
            thread.join().unwrap_or_else(|panic| panic::resume_unwind(panic))
        };
        (result, threads.into_iter().map(join).collect::<Result<Vec<_>, _>>())
    });
    let sums = found.and_then(|found| {
        found.into_iter().flatten().for_each(|(index, sum)| sums[index] = Some(sum));
        sums.into_iter().collect::<Option<_>>().ok_or_else(|| "a sum is missing".to_owned())
    });
    (result, sums)
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
