//! The console's log on disk: what the guest printed, byte by byte. What it printed while no
//! daemon was there is taken from QEMU's own record. Invariant: bounded; what had to go is
//! marked where it went, and the end is always there, since the API answers with it.

use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::FileExt as _;

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use rustix::fs::FallocateFlags;

use super::unattended;
use crate::state::files;

/// The most that a log takes on disk.
const LIMIT: u64 = 16 * 1024 * 1024;
/// What stays of the beginning and of the end when a log grows too large.
const HEAD: u64 = 4 * 1024 * 1024;
const TAIL: u64 = 8 * 1024 * 1024;
/// After so much more its size on disk is looked at again.
const LOOK: u64 = 1024 * 1024;
/// What file systems free at once.
const BLOCK: u64 = 64 * 1024;
/// What the API shows.
const SHOWN: u64 = 64 * 1024;

/// The log's file in an instance's directory.
const LOG: &str = "console.log";

/// The log of one instance.
#[derive(Debug)]
pub(crate) struct ConsoleLog {
    dir: Utf8PathBuf,
    file: fs::File,
    /// How much came since its size was looked at.
    unseen: u64,
}

impl ConsoleLog {
    /// Begins a new log in an instance's directory.
    pub(crate) fn create(dir: &Utf8Path) -> io::Result<Self> {
        fs::write(Self::path(dir), [])?;
        let _ = fs::remove_file(Self::snapshot_path(dir));
        let _ = fs::remove_file(dir.join(unattended::RECORD));
        Self::open(dir)
    }

    /// Goes on with the log that is there, and with what was printed since.
    pub(crate) fn reopen(dir: &Utf8Path) -> io::Result<Self> {
        let mut log = Self::open(dir)?;
        log.append(&log.missed()?)?;
        Ok(log)
    }

    /// What the guest printed that is not in the log yet.
    pub(super) fn missed(&self) -> io::Result<Vec<u8>> {
        unattended::since(&self.dir, &Self::tail(&self.dir)?)
    }

    fn open(dir: &Utf8Path) -> io::Result<Self> {
        let path = Self::path(dir);
        let open = std::fs::OpenOptions::new().create(true).append(true).open(&path)?;
        let file = fs::File::from_parts(open, path.into_std_path_buf());
        Ok(Self { dir: dir.to_owned(), file, unseen: LOOK })
    }

    /// Adds what was printed.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.keep_bounded(bytes.len())
    }

    /// Frees the middle of a log that has grown too large by so much that came.
    fn keep_bounded(&mut self, came: usize) -> io::Result<()> {
        self.unseen += came as u64;
        if self.unseen < LOOK {
            return Ok(());
        }
        self.unseen = 0;
        unattended::keep_bounded(&self.dir)?;
        let metadata = self.file.metadata()?;
        if std::os::unix::fs::MetadataExt::blocks(&metadata) * 512 > LIMIT {
            self.cut(metadata.len())?;
        }
        Ok(())
    }

    /// What is shown until the next snapshot: the end of the log as it is now.
    pub(crate) fn take_snapshot(dir: &Utf8Path) -> io::Result<()> {
        files::write(&Self::snapshot_path(dir), &Self::tail(dir)?)
    }

    /// The last 64 KiB; empty if there is no log yet.
    pub(crate) fn tail(dir: &Utf8Path) -> io::Result<Vec<u8>> {
        read_end(&Self::path(dir))
    }

    /// The last snapshot; empty if there is none yet.
    pub(crate) fn snapshot(dir: &Utf8Path) -> io::Result<Vec<u8>> {
        read_end(&Self::snapshot_path(dir))
    }

    /// Whoever appends meanwhile is not disturbed: a hole has the size of what was there.
    fn cut(&self, length: u64) -> io::Result<()> {
        let gone = length.saturating_sub(HEAD + TAIL) / BLOCK * BLOCK;
        let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        // Not the one that appends, which could not write in the middle.
        let file = fs::OpenOptions::new().write(true).open(self.file.path())?;
        rustix::fs::fallocate(file.file(), hole, HEAD, gone)?;
        let mark = format!("\r\n[l4re-twin: {gone} bytes of the console were cut here]\r\n");
        file.file().write_all_at(mark.as_bytes(), HEAD)
    }

    fn path(dir: &Utf8Path) -> Utf8PathBuf {
        dir.join(LOG)
    }

    fn snapshot_path(dir: &Utf8Path) -> Utf8PathBuf {
        dir.join("console.snapshot")
    }
}

fn read_end(path: &Utf8Path) -> io::Result<Vec<u8>> {
    let mut file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(SHOWN)))?;
    let mut bytes = Vec::new();
    file.take(SHOWN).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_shown_and_the_snapshot_stays_behind() {
        let dir = camino_tempfile::tempdir().unwrap();
        assert!(ConsoleLog::tail(dir.path()).unwrap().is_empty());
        let mut log = ConsoleLog::create(dir.path()).unwrap();
        log.append(&vec![b'a'; 70_000]).unwrap();
        ConsoleLog::take_snapshot(dir.path()).unwrap();
        log.append(b"end").unwrap();
        let tail = ConsoleLog::tail(dir.path()).unwrap();
        assert_eq!(tail.len(), 65_536);
        assert!(tail.ends_with(b"aend"));
        assert!(ConsoleLog::snapshot(dir.path()).unwrap().ends_with(b"aaaa"));
    }

    #[test]
    fn what_was_printed_without_a_daemon_is_there_afterwards() {
        let dir = camino_tempfile::tempdir().unwrap();
        let mut log = ConsoleLog::create(dir.path()).unwrap();
        log.append(b"iPXE, then ").unwrap();
        unattended::begin(dir.path(), &ConsoleLog::tail(dir.path()).unwrap()).unwrap();
        log.append(b"MOE: Hello").unwrap();
        let record = dir.path().join(unattended::RECORD);
        let mut record = fs::OpenOptions::new().append(true).open(record).unwrap();
        record.write_all(b"MOOE: Hello world").unwrap();
        drop(log);
        for _ in 0..2 {
            ConsoleLog::reopen(dir.path()).unwrap();
            assert_eq!(ConsoleLog::tail(dir.path()).unwrap(), b"iPXE, then MOE: Hello world");
        }
    }

    #[test]
    fn a_log_that_never_ends_is_cut_with_a_mark() {
        let dir = camino_tempfile::tempdir().unwrap();
        let mut log = ConsoleLog::create(dir.path()).unwrap();
        log.append(b"first line\n").unwrap();
        for _ in 0..40 {
            log.append(&vec![b'x'; 1024 * 1024]).unwrap();
        }
        log.append(b"last line\n").unwrap();
        let path = ConsoleLog::path(dir.path());
        let blocks = std::os::unix::fs::MetadataExt::blocks(&fs::metadata(&path).unwrap());
        assert!(blocks * 512 <= LIMIT + LOOK, "{blocks} blocks");
        let whole = fs::read(path).unwrap();
        assert!(whole.starts_with(b"first line\n") && whole.ends_with(b"xlast line\n"));
        let text = String::from_utf8(whole).unwrap();
        assert!(text.contains("bytes of the console were cut here"));
    }
}
