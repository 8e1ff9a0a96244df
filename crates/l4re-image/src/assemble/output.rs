//! Writing an image: beside its place, whole, then there; and the links that lead to it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};

use camino::Utf8Path;

use super::base::Base;
use super::payload::{Entry, Payload};
use super::plan::plan;
use super::run::{AssembleError, Ready};
use super::write::Frame;
use crate::arch::Kind;
use crate::make::MakeRequest;
use crate::replace::Replacement;

/// Writes the image beside its place and puts it there when it is complete.
pub(super) fn write(
    path: &Utf8Path,
    base: &Base,
    attributes: &BTreeMap<String, String>,
    cmdline: &str,
    modules: &[Ready],
) -> Result<(), AssembleError> {
    let entries: Vec<Entry> = modules.iter().map(entry).collect();
    let shape = || AssembleError::Unfit("the base image has an unusual shape".to_owned());
    let (payload, frame) = plan(base, attributes, cmdline, &entries).ok_or_else(shape)?;
    let failed = |source| AssembleError::Write { path: path.to_owned(), source };
    if let Some(dir) = path.parent() {
        fs_err::create_dir_all(dir).map_err(failed)?;
    }
    let mut output = Replacement::of(path).map_err(failed)?;
    write_parts(output.file(), &payload, &frame, modules)
        .map_err(failed)?
        .map_err(AssembleError::Unfit)?;
    output.flush().map_err(failed)?;
    output.commit().map_err(failed)
}

fn entry(module: &Ready) -> Entry {
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
        md5: module.prepared.md5.clone(),
        attributes: options.iter().filter_map(own).collect(),
    }
}

fn write_parts(
    mut file: &File,
    payload: &Payload,
    frame: &Frame,
    modules: &[Ready],
) -> io::Result<Result<(), String>> {
    let data_at = frame.front.len() as u64;
    file.write_all(&frame.front)?;
    file.write_all(&payload.front)?;
    for (module, start) in modules.iter().zip(&payload.starts) {
        file.seek(SeekFrom::Start(data_at + start))?;
        let mut input = File::open(&module.prepared.file)?;
        // Between files this is copy_file_range or the like: no bytes pass through here.
        if io::copy(&mut input, &mut file)? != module.prepared.size {
            return Ok(Err(format!("{} changes while it is read", module.prepared.file)));
        }
    }
    file.seek(SeekFrom::Start(data_at + payload.end))?;
    file.write_all(&frame.back)?;
    // With an empty module and nothing behind it the end is a hole.
    file.set_len(data_at + payload.end + frame.back.len() as u64)?;
    Ok(Ok(()))
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
