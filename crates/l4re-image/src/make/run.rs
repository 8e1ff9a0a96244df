//! Building an image by make: the run, and what is asked of its result.
//!
//! Invariant: what is returned exists, is an image of the tree's architecture, and fails no
//! check of its headers.

use std::os::unix::fs::MetadataExt;

use camino::{Utf8Path, Utf8PathBuf};

use super::old::Old;
use super::process::{self, Cancel};
use super::watch::Watch;
use super::{MakeError, MakeFailure, MakeRequest, make_argv};
use crate::arch::Kind;
use crate::image::{self, Image, Inspection};

/// What make made.
#[derive(Clone, Debug)]
pub struct Made {
    /// The image.
    pub image: Image,
    /// The link of the standard name (`bootx64.efi`) that leads to it, when make set one.
    pub standard: Option<Utf8PathBuf>,
    /// Whether this run wrote it; `false` when a sound image of the very same parts was
    /// there and stays.
    pub written: bool,
}

/// Builds an image by make and checks the result.
///
/// `on_output` gets all that make and its children print, stdout and stderr in one stream, so
/// in the order in which it was written, byte for byte. The children have no standard input.
/// They are a process group of their own, which is ended when `cancel` says so or when this
/// function unwinds.
pub fn make(
    request: &MakeRequest,
    cancel: &Cancel,
    on_output: &mut dyn FnMut(&[u8]),
) -> Result<Made, MakeError> {
    request.check()?;
    let expected = request.image_path();
    let before = identity(&expected);
    let old = Old::keep(&expected);
    let mut watch = Watch::default();
    let status = process::run(&make_argv(request), cancel, &mut |bytes| {
        watch.feed(bytes);
        on_output(bytes);
    })?;
    if !status.success() {
        let (cause, lines) = watch.finish();
        let (code, status) = (status.code(), status.to_string());
        return Err(MakeError::Failed(Box::new(MakeFailure { status, code, cause, lines })));
    }
    // A Makeconf.local can move the image: then only the builder's own word tells.
    let said = watch.generated().map(|path| request.tree.source().join(path));
    let path = said.filter(|path| path.is_file()).unwrap_or(expected);
    let after = identity(&path);
    if after.is_none() {
        return Err(MakeError::NoImage { path });
    }
    check_headers(&path, request)?;
    let image = Image::open(&path)?;
    old.give_up();
    let standard = standard_link(&image);
    Ok(Made { image, standard, written: after != before })
}

/// What changes when a file is written: inode, size, and time of modification.
fn identity(path: &Utf8Path) -> Option<(u64, u64, i64, i64)> {
    let data = fs_err::metadata(path).ok()?;
    Some((data.ino(), data.size(), data.mtime(), data.mtime_nsec()))
}

/// The headers of the image at a path, which must be for the tree's architecture and fail no
/// check.
pub(crate) fn check_headers(
    path: &Utf8Path,
    request: &MakeRequest,
) -> Result<Inspection, MakeError> {
    let inspection = image::inspect_headers(path)?;
    let fails = |check| MakeError::Check { path: path.to_owned(), check };
    let tree_arch = request.tree.arch();
    if inspection.arch != tree_arch {
        return Err(fails(format!("it is for {}, the tree for {tree_arch}", inspection.arch)));
    }
    if let Some(check) = inspection.failed().next() {
        return Err(fails(check.detail.clone()));
    }
    Ok(inspection)
}

/// The link beside an EFI image by which firmware would find it.
pub(crate) fn standard_link(image: &Image) -> Option<Utf8PathBuf> {
    let name = image.arch.efi_name().filter(|_| image.kind == Kind::Efi)?;
    let link = image.path.parent()?.join(name);
    let leads_to = link.canonicalize_utf8().ok()?;
    (leads_to == image.path.canonicalize_utf8().ok()?).then_some(link)
}
