//! What QEMU records of a console by itself, for the time in which no daemon is there.
//!
//! It is no true record: whenever nobody takes the guest's output as fast as it comes, QEMU
//! writes the byte that has to wait twice (its `chardev/char.c`: what failed is logged, and
//! logged again when it is sent). So the daemon writes the log of what reaches it, and only
//! what came after that is taken from here. Runs of equal bytes are counted as one to find
//! the place. Invariant: bounded; the end is always there.

use std::io::{self, Read as _, Seek as _, SeekFrom};

use camino::Utf8Path;
use fs_err as fs;
use rustix::fs::FallocateFlags;

/// The file in an instance's directory.
pub(crate) const RECORD: &str = "console.qemu";

/// What of it is looked at, and kept when it grows.
const KEPT: u64 = 1024 * 1024;

/// Begins the record of a boot with what the log shows, so that the place is found in it.
pub(crate) fn begin(dir: &Utf8Path, log: &[u8]) -> io::Result<()> {
    fs::write(dir.join(RECORD), log)
}

/// Frees the older part of the record.
pub(super) fn keep_bounded(dir: &Utf8Path) -> io::Result<()> {
    let file = match fs::OpenOptions::new().write(true).open(dir.join(RECORD)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        file => file?,
    };
    let metadata = file.metadata()?;
    if std::os::unix::fs::MetadataExt::blocks(&metadata) * 512 > 2 * KEPT {
        let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        rustix::fs::fallocate(file.file(), hole, 0, metadata.len() - KEPT)?;
    }
    Ok(())
}

/// What the guest printed after `shown`, the end of the log.
pub(super) fn since(dir: &Utf8Path, shown: &[u8]) -> io::Result<Vec<u8>> {
    let mut file = match fs::File::open(dir.join(RECORD)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        file => file?,
    };
    let from = file.metadata()?.len().saturating_sub(KEPT);
    file.seek(SeekFrom::Start(from))?;
    let mut record = Vec::new();
    file.take(KEPT).read_to_end(&mut record)?;
    Ok(match after(shown, &record) {
        Some(rest) => rest.to_vec(),
        None => [LOST.as_bytes(), &record].concat(),
    })
}

const LOST: &str = "\r\n[l4re-twin: the console may have printed more before this]\r\n";

/// What follows the last place in `record` that shows `shown`.
fn after<'a>(shown: &[u8], record: &'a [u8]) -> Option<&'a [u8]> {
    if shown.is_empty() {
        return Some(record);
    }
    let (needle, needle_runs) = squeezed(shown);
    let (text, runs) = squeezed(record);
    let end = memchr::memmem::rfind(&text, &needle)? + needle.len();
    let last_run = shown.len() - needle_runs.last()?;
    let limit = runs.get(end).copied().unwrap_or(record.len());
    Some(&record[(runs[end - 1] + last_run).min(limit)..])
}

/// How much of `waiting`, of which at least so much, `record` already ends with.
pub(super) fn known(record: &[u8], waiting: &[u8], least: usize) -> usize {
    let (text, _) = squeezed(record);
    let most = waiting.len().min(least + MOMENT);
    let ends = |&count: &usize| text.ends_with(&squeezed(&waiting[..count]).0);
    (least..=most).rev().find(ends).unwrap_or(least)
}

/// What a guest may print between two looks that follow each other at once.
const MOMENT: usize = 1024;

/// The bytes without repeats, and where each run of them begins.
fn squeezed(bytes: &[u8]) -> (Vec<u8>, Vec<usize>) {
    let begins = |&at: &usize| at == 0 || bytes[at] != bytes[at - 1];
    let runs: Vec<usize> = (0..bytes.len()).filter(begins).collect();
    (runs.iter().map(|&at| bytes[at]).collect(), runs)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn what_came_after_the_log_is_found_in_a_record_with_doubled_bytes() {
        let found = |shown: &str, record: &str| {
            after(shown.as_bytes(), record.as_bytes())
                .map(|rest| String::from_utf8_lossy(rest).into_owned())
        };
        assert_eq!(found("MOE: Hello", "MOOE: Helllo world").unwrap(), " world");
        assert_eq!(found("...", "....").unwrap(), ".");
        assert_eq!(found("a..", "a.b a.").unwrap(), "");
        assert_eq!(found("", "all").unwrap(), "all");
        assert_eq!(found("one", "two"), None);
    }

    #[test]
    fn what_waits_is_not_taken_twice() {
        assert_eq!(known(b"missed: Helllo wo", b"Hello world", 5), 8);
        assert_eq!(known(b"missed", b"", 0), 0);
        assert_eq!(known(b"missed: Hello", b"Hello world", 5), 5);
    }

    #[test]
    fn a_record_that_grows_keeps_its_end() {
        let dir = camino_tempfile::tempdir().unwrap();
        keep_bounded(dir.path()).unwrap();
        assert!(since(dir.path(), b"").unwrap().is_empty());
        begin(dir.path(), &vec![b'x'; 5 * 1024 * 1024]).unwrap();
        let path = dir.path().join(RECORD);
        fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"end of it").unwrap();
        keep_bounded(dir.path()).unwrap();
        let metadata = fs::metadata(&path).unwrap();
        assert!(std::os::unix::fs::MetadataExt::blocks(&metadata) * 512 <= KEPT + 128 * 1024);
        assert_eq!(since(dir.path(), b"xxend").unwrap(), b" of it");
        assert!(since(dir.path(), b"other").unwrap().starts_with(LOST.as_bytes()));
    }
}
