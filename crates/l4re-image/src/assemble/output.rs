//! Writing an image: beside its place, whole, then there; and the links that lead to it.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use camino::Utf8Path;

use super::payload::{Entry, Payload};
use super::run::{AssembleError, Ready};
use super::sums;
use super::write::Frame;
use crate::arch::Kind;
use crate::image::{Image, Inspection, Pieces, beside};
use crate::make::{MakeError, MakeRequest, check_headers};
use crate::replace::Replacement;

/// An image that is to be written.
pub(super) struct Output<'a> {
    pub(super) request: &'a MakeRequest,
    pub(super) path: &'a Utf8Path,
    pub(super) modules: &'a [Ready],
    /// Its sum, where it is known.
    pub(super) sha256: Option<String>,
}

impl Output<'_> {
    /// Writes it beside its place and puts it there when it is complete and fails no check; the
    /// sums of its modules are returned with it.
    pub(super) fn write(
        self,
        plan: impl Fn(&[String]) -> Result<(Payload, Frame), AssembleError>,
    ) -> Result<(Image, Vec<String>), AssembleError> {
        let Self { request, path, modules, sha256 } = self;
        let failed = |source| AssembleError::Write { path: path.to_owned(), source };
        if let Some(dir) = path.parent() {
            fs_err::create_dir_all(dir).map_err(failed)?;
        }
        let output = Replacement::of(path).map_err(failed)?;
        let file = output.file();
        let sums = sums::of(modules).map_err(AssembleError::Unfit)?;
        // What is in front of the modules holds their sums: so the image's sum comes after, and
        // the image is written while it is taken.
        let (payload, frame) = plan(&sums)?;
        let write = |pieces| Writer::to(file, pieces).image(&payload, &frame, modules);
        let (written, sha256) = match sha256 {
            Some(sha256) => (write(Pieces::unsummed()), sha256),
            None => beside(write),
        };
        written.map_err(failed)?.map_err(AssembleError::Unfit)?;
        for (module, sum) in modules.iter().zip(&sums) {
            module.prepared.finish(sum)?;
        }
        let image = checked(output.temporary(), path, sha256, request)?;
        output.commit().map_err(failed)?;
        Ok((image, sums))
    }
}

/// The image in the file `at` that is to be at `path`, if it fails no check.
pub(super) fn checked(
    at: &Utf8Path,
    path: &Utf8Path,
    sha256: String,
    request: &MakeRequest,
) -> Result<Image, AssembleError> {
    let headers = check_headers(at, request).map_err(|error| match error {
        MakeError::Image(error) => AssembleError::Image(error),
        error => AssembleError::Refused(error),
    })?;
    let Inspection { arch, kind, size, .. } = headers;
    Ok(Image { path: path.to_owned(), arch, kind, size, sha256 })
}

/// The modules as the table describes them.
pub(super) fn entries(modules: &[Ready], sums: &[String]) -> Vec<Entry> {
    modules.iter().zip(sums).map(entry).collect()
}

fn entry((module, md5): (&Ready, &String)) -> Entry {
    let options = &module.listed.options;
    let own = |(key, value): (&String, &Option<String>)| {
        let key = key.strip_prefix("attr:")?;
        Some((key.to_owned(), value.clone().unwrap_or_default()))
    };
    Entry {
        flags: module.listed.kind,
        name: module.listed.name.clone(),
        cmdline: module.listed.cmdline.replace('"', "\\\""),
        size: module.prepared.size,
        unpacked: module.prepared.unpacked,
        md5: md5.clone(),
        attributes: options.iter().filter_map(own).collect(),
    }
}

/// Writes an image from its start to its end, and has it summed meanwhile.
struct Writer<'a> {
    file: &'a File,
    at: u64,
    pieces: Pieces,
}

impl<'a> Writer<'a> {
    fn to(file: &'a File, pieces: Pieces) -> Self {
        Self { file, at: 0, pieces }
    }

    fn image(
        mut self,
        payload: &Payload,
        frame: &Frame,
        modules: &[Ready],
    ) -> io::Result<Result<(), String>> {
        let data_at = frame.front.len() as u64;
        self.bytes(&frame.front)?;
        self.bytes(&payload.front)?;
        for (module, start) in modules.iter().zip(&payload.starts) {
            self.hole(data_at + start);
            if self.module(&module.prepared.file)? != module.prepared.size {
                return Ok(Err(format!("{} changes while it is read", module.prepared.file)));
            }
        }
        self.hole(data_at + payload.end);
        self.bytes(&frame.back)?;
        // With an empty module and nothing behind it the end is a hole.
        self.file.set_len(self.at).map(Ok)
    }

    fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, self.at)?;
        self.pieces.add_bytes(bytes);
        self.at += bytes.len() as u64;
        Ok(())
    }

    /// Nothing up to a place: zeros in the new file.
    fn hole(&mut self, to: u64) {
        self.pieces.add_zeros(to.saturating_sub(self.at));
        self.at = to;
    }

    /// The bytes of a file, how many of which is returned.
    fn module(&mut self, path: &Utf8Path) -> io::Result<u64> {
        let mut input = File::open(path)?;
        let start = self.at;
        while let Some(piece) = self.pieces.read(&mut input)? {
            self.file.write_all_at(piece.bytes(), self.at)?;
            self.at += piece.bytes().len() as u64;
            self.pieces.add(piece);
        }
        Ok(self.at - start)
    }
}

/// Sets the links that make sets beside the image: `last`, without the entry's name, and the
/// standard name.
pub(super) fn link(
    request: &MakeRequest,
    path: &Utf8Path,
    last: &str,
) -> Result<(), AssembleError> {
    let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else { return Ok(()) };
    let standard = request.tree.arch().efi_name().filter(|_| request.kind == Kind::Efi);
    for link in [Some(last), standard].into_iter().flatten() {
        let link = dir.join(link);
        let failed = |source| AssembleError::Write { path: link.clone(), source };
        replace_link(name, &link).map_err(failed)?;
    }
    Ok(())
}

/// Points a link elsewhere in one step.
fn replace_link(to: &str, link: &Utf8Path) -> io::Result<()> {
    if link.file_name() == Some(to) || link.read_link_utf8().is_ok_and(|now| now == to) {
        return Ok(());
    }
    let temporary = link.with_extension(format!("{}.tmp", std::process::id()));
    std::os::unix::fs::symlink(to, &temporary)?;
    std::fs::rename(&temporary, link)
}
