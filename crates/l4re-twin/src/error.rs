//! What can go wrong with a twin as a whole. What an AWS client did wrong is answered on
//! the wire and never comes here.

use std::io;

use camino::Utf8PathBuf;

/// Why a twin could not start, be asked, or be stopped.
#[derive(Debug, thiserror::Error)]
pub enum TwinError {
    /// Another daemon holds the state directory's lock.
    #[error("a twin is already running with the state directory {dir}")]
    AlreadyRunning {
        /// The state directory.
        dir: Utf8PathBuf,
    },
    /// A file of the state directory could not be read or written.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: Utf8PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A file of the state directory holds something else than the twin wrote.
    #[error("{path} is damaged: {detail}")]
    Damaged {
        /// The file.
        path: Utf8PathBuf,
        /// What is wrong with it.
        detail: String,
    },
    /// The running daemon did not free disk.
    #[error("the twin with process id {pid} did not free disk: {detail}")]
    NotFreed {
        /// Its process.
        pid: u32,
        /// What happened.
        detail: String,
    },
    /// A rule of a plan of faults that cannot be meant.
    #[error("fault {number}: {detail}")]
    Fault {
        /// Which, counted from 1.
        number: usize,
        /// What is wrong with it.
        detail: String,
    },
    /// No port of the loopback interface could be had.
    #[error("cannot listen on 127.0.0.1: {0}")]
    Listen(io::Error),
    /// The running daemon did not answer or did not end.
    #[error("the twin with process id {pid} did not end: {detail}")]
    NotStopped {
        /// Its process.
        pid: u32,
        /// What happened.
        detail: String,
    },
}

impl TwinError {
    /// Names the file that an I/O error belongs to.
    pub(crate) fn file(path: impl Into<Utf8PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { path, source }
    }
}
