//! What can be wrong with a file that is to be an image; each error names the file and the
//! place in it.

use std::io;

use camino::Utf8PathBuf;

/// Why a file cannot be read as an image.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// No such file.
    #[error("no such image: {path}")]
    NotFound {
        /// The file asked for.
        path: Utf8PathBuf,
    },
    /// The file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: Utf8PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Neither PE nor ELF.
    #[error("{path} is not an image (neither PE nor ELF): it looks like {looks_like}")]
    NotAnImage {
        /// The file.
        path: Utf8PathBuf,
        /// What it is by its first bytes, with its article: "an HTML page".
        looks_like: &'static str,
    },
    /// A part lies, wholly or in part, beyond the end of the file.
    #[error(
        "{path} is truncated: {field} at {offset:#x} needs {expected} bytes, and {actual} are left"
    )]
    Truncated {
        /// The file.
        path: Utf8PathBuf,
        /// The part, in the words of the format's specification.
        field: &'static str,
        /// Where it starts in the file.
        offset: u64,
        /// How long it is.
        expected: u64,
        /// How much of it there is.
        actual: u64,
    },
    /// A field with a value that cannot be.
    #[error("{path}: {field} at {offset:#x} is {value:#x}: {why}")]
    BadField {
        /// The file.
        path: Utf8PathBuf,
        /// The field, in the words of the format's specification.
        field: &'static str,
        /// Where it is in the file.
        offset: u64,
        /// Its value.
        value: u64,
        /// What is wrong with that.
        why: &'static str,
    },
    /// A sound file for a machine that L4Re does not run on.
    #[error("{path} is for an unsupported machine ({field} is {value:#06x} at {offset:#x})")]
    UnsupportedMachine {
        /// The file.
        path: Utf8PathBuf,
        /// The field that says so.
        field: &'static str,
        /// Where it is in the file.
        offset: u64,
        /// Its value.
        value: u16,
    },
}
