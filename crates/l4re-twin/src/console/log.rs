//! The console's log on disk. Invariant: bounded; what had to go is marked where it went,
//! and the end is always there, since the API answers with it.

use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;

use crate::state::files;

/// The most that a log takes on disk.
const LIMIT: u64 = 16 * 1024 * 1024;
/// What stays of the beginning and of the end when a log grows too large.
const HEAD: usize = 4 * 1024 * 1024;
const TAIL: usize = 8 * 1024 * 1024;
/// What the API shows.
const SHOWN: u64 = 64 * 1024;

/// The log of one instance.
#[derive(Debug)]
pub(crate) struct ConsoleLog {
    dir: Utf8PathBuf,
    file: fs::File,
    length: u64,
}

impl ConsoleLog {
    /// Begins a new log in an instance's directory.
    pub(crate) fn create(dir: &Utf8Path) -> io::Result<Self> {
        let file = fs::File::create(Self::path(dir))?;
        let _ = fs::remove_file(Self::snapshot_path(dir));
        Ok(Self { dir: dir.to_owned(), file, length: 0 })
    }

    /// Adds what the guest printed.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.length += bytes.len() as u64;
        if self.length > LIMIT {
            self.cut()?;
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

    fn cut(&mut self) -> io::Result<()> {
        let path = Self::path(&self.dir);
        let whole = fs::read(&path)?;
        let gone = whole.len() - HEAD - TAIL;
        let mark = format!("\r\n[l4re-twin: {gone} bytes of the console were cut here]\r\n");
        let tail = &whole[whole.len() - TAIL..];
        files::write(&path, &[&whole[..HEAD], mark.as_bytes(), tail].concat())?;
        self.file = fs::File::from_parts(
            std::fs::OpenOptions::new().append(true).open(&path)?,
            path.as_std_path().to_owned(),
        );
        self.length = self.file.metadata()?.len();
        Ok(())
    }

    fn path(dir: &Utf8Path) -> Utf8PathBuf {
        dir.join("console.log")
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
    fn a_log_that_never_ends_is_cut_with_a_mark() {
        let dir = camino_tempfile::tempdir().unwrap();
        let mut log = ConsoleLog::create(dir.path()).unwrap();
        log.append(b"first line\n").unwrap();
        for _ in 0..20 {
            log.append(&vec![b'x'; 1024 * 1024]).unwrap();
        }
        log.append(b"last line\n").unwrap();
        let whole = fs::read(ConsoleLog::path(dir.path())).unwrap();
        assert!(whole.len() as u64 <= LIMIT);
        assert!(whole.starts_with(b"first line\n") && whole.ends_with(b"last line\n"));
        let text = String::from_utf8(whole).unwrap();
        assert!(text.contains("bytes of the console were cut here"));
    }
}
