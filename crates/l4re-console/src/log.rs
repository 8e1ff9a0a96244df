//! The raw record of a console.
//!
//! Invariant: bytes go to the file unbuffered and unchanged, so that the file is complete to
//! the last byte read however the process ends.

use std::fs::File;
use std::io::Write as _;

use camino::{Utf8Path, Utf8PathBuf};

/// A log file that takes every byte read.
#[derive(Debug)]
pub struct RawLog {
    path: Utf8PathBuf,
    file: File,
    written: u64,
}

/// Why a log is not complete.
#[derive(Debug, thiserror::Error)]
#[error("log {path} is incomplete after {written} bytes: {source}")]
pub struct LogError {
    /// The file.
    pub path: Utf8PathBuf,
    /// Bytes that are in it.
    pub written: u64,
    /// The cause, for instance a full disk.
    pub source: std::io::Error,
}

impl RawLog {
    /// Makes or empties the file at `path`.
    pub fn create(path: &Utf8Path) -> Result<Self, LogError> {
        // Errors of ours name the path.
        let open = || {
            let file = File::options().write(true).create(true).truncate(false).open(path)?;
            // One that was emptied, even of nothing, is written to the disk when it is closed
            // (ext4): half a second for a large log.
            if file.metadata()?.len() > 0 {
                file.set_len(0)?;
            }
            Ok(file)
        };
        let file = open().map_err(nothing_written(path))?;
        Ok(Self { path: path.to_owned(), file, written: 0 })
    }

    /// Makes sure that a log can be made at `path`; one that is there stays as it is.
    pub fn check(path: &Utf8Path) -> Result<(), LogError> {
        let opened = File::options().append(true).create(true).open(path);
        opened.map(drop).map_err(nothing_written(path))
    }

    /// Appends bytes.
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), LogError> {
        let mut rest = bytes;
        while !rest.is_empty() {
            match self.file.write(rest) {
                Ok(0) => return Err(self.error(std::io::ErrorKind::WriteZero.into())),
                Ok(count) => {
                    self.written += count as u64;
                    rest = &rest[count..];
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.error(error)),
            }
        }
        Ok(())
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Utf8Path {
        &self.path
    }

    /// Bytes written.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.written
    }

    fn error(&self, source: std::io::Error) -> LogError {
        LogError { path: self.path.clone(), written: self.written, source }
    }
}

fn nothing_written(path: &Utf8Path) -> impl FnOnce(std::io::Error) -> LogError {
    move |source| LogError { path: path.to_owned(), written: 0, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_in_the_file_at_once() {
        let dir = camino_tempfile::tempdir().unwrap();
        let path = dir.path().join("console.log");
        let mut log = RawLog::create(&path).unwrap();
        log.append(b"\x1b[31mraw\0").unwrap();
        log.append(b"\xff\n").unwrap();
        assert_eq!(fs_err::read(&path).unwrap(), b"\x1b[31mraw\0\xff\n");
        assert_eq!(log.written(), 11);
    }

    #[test]
    fn a_full_disk_is_said_with_the_path_and_the_bytes_that_made_it() {
        let mut log = RawLog::create(Utf8Path::new("/dev/full")).unwrap();
        let error = log.append(b"x").unwrap_err();
        assert_eq!(error.written, 0);
        assert_eq!(error.source.kind(), std::io::ErrorKind::StorageFull);
        assert!(error.to_string().starts_with("log /dev/full is incomplete after 0 bytes"));
    }

    #[test]
    fn a_path_that_cannot_be_made_is_an_error() {
        let path = Utf8Path::new("/nonexistent/x.log");
        for error in [RawLog::create(path).unwrap_err(), RawLog::check(path).unwrap_err()] {
            assert!(error.to_string().contains("/nonexistent/x.log"), "{error}");
        }
    }

    #[test]
    fn a_log_that_is_there_is_emptied() {
        let dir = camino_tempfile::tempdir().unwrap();
        let path = dir.path().join("console.log");
        fs_err::write(&path, "of the last run").unwrap();
        RawLog::create(&path).unwrap().append(b"new").unwrap();
        assert_eq!(fs_err::read(&path).unwrap(), b"new");
    }

    #[test]
    fn a_check_changes_no_log() {
        let dir = camino_tempfile::tempdir().unwrap();
        let path = dir.path().join("console.log");
        RawLog::create(&path).unwrap().append(b"of the last run").unwrap();
        RawLog::check(&path).unwrap();
        assert_eq!(fs_err::read(&path).unwrap(), b"of the last run");
    }
}
