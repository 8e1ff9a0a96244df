//! skeleton
use camino::Utf8PathBuf;

use super::{MakeError, MakeRequest};
use crate::image::Image;

/// Stops a running [`make`] from another thread.
#[derive(Clone, Debug, Default)]
pub struct Cancel(());

impl Cancel {
    /// Stops make and all that it started, now or, if it has not started yet, at its start.
    pub fn cancel(&self) {
        unimplemented!()
    }
}

/// What make made.
#[derive(Clone, Debug)]
pub struct Made {
    /// The image.
    pub image: Image,
    /// The link of the standard name (`bootx64.efi`) that leads to it, when make set one.
    pub standard: Option<Utf8PathBuf>,
    /// Whether this run wrote it; `false` when make found it up to date.
    pub fresh: bool,
}

/// Builds an image by make and checks the result.
///
/// `on_output` gets all that make and its children print, stdout and stderr in one stream, so
/// in the order in which it was written, byte for byte. The children have no standard input.
/// They are a process group of their own, which is killed when `cancel` says so or when this
/// function unwinds.
pub fn make(
    request: &MakeRequest,
    cancel: &Cancel,
    on_output: &mut dyn FnMut(&[u8]),
) -> Result<Made, MakeError> {
    let _ = (request, cancel, on_output);
    unimplemented!()
}
