//! Writing an image: beside its place, whole, then there; and the links that lead to it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

use camino::Utf8Path;

use super::base::Base;
use super::payload::{Entry, Payload};
use super::plan::plan;
use super::run::{AssembleError, Ready};
use super::sums;
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
    let plan = |sums: &[String]| {
        let entries: Vec<Entry> = modules.iter().zip(sums).map(entry).collect();
        plan(base, attributes, cmdline, &entries)
            .ok_or_else(|| AssembleError::Unfit("the base image has an unusual shape".to_owned()))
    };
    // Sums have the same length, so that all places are known before the sums are.
    let (payload, frame) = plan(&vec!["0".repeat(32); modules.len()])?;
    let failed = |source| AssembleError::Write { path: path.to_owned(), source };
    if let Some(dir) = path.parent() {
        fs_err::create_dir_all(dir).map_err(failed)?;
    }
    let output = Replacement::of(path).map_err(failed)?;
    let mut file = output.file();
    let copied = || copy_modules(file, frame.front.len() as u64, &payload, modules);
    let (copied, sums) = sums::meanwhile(modules, copied);
    copied.map_err(failed)?.map_err(AssembleError::Unfit)?;
    let sums = sums.map_err(AssembleError::Unfit)?;
    for (module, sum) in modules.iter().zip(&sums) {
        module.prepared.finish(sum)?;
    }
    let (payload, frame) = plan(&sums)?;
    write_rest(&mut file, &payload, &frame).map_err(failed)?;
    output.commit().map_err(failed)
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
        md5: md5.clone(),
        attributes: options.iter().filter_map(own).collect(),
    }
}

fn copy_modules(
    mut file: &File,
    data_at: u64,
    payload: &Payload,
    modules: &[Ready],
) -> io::Result<Result<(), String>> {
    let mut buffer = vec![0; 256 * 1024];
    for (module, start) in modules.iter().zip(&payload.starts) {
        file.seek(SeekFrom::Start(data_at + start))?;
        let mut input = File::open(&module.prepared.file)?;
        if copy(&mut input, &mut file, &mut buffer)? != module.prepared.size {
            return Ok(Err(format!("{} changes while it is read", module.prepared.file)));
        }
    }
    Ok(Ok(()))
}

/// Copies all there is. The places of modules in files are no multiples of pages, for which the
/// kernel's own copying (copy_file_range) takes up to twice as long.
fn copy(from: &mut File, to: &mut &File, buffer: &mut [u8]) -> io::Result<u64> {
    let mut done = 0;
    loop {
        match from.read(buffer) {
            Ok(0) => return Ok(done),
            Ok(count) => {
                to.write_all(&buffer[..count])?;
                done += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Writes what is before the modules' bytes and after them.
fn write_rest(file: &mut &File, payload: &Payload, frame: &Frame) -> io::Result<()> {
    let data_at = frame.front.len() as u64;
    file.seek(SeekFrom::Start(0))?;
    file.write_all(&frame.front)?;
    file.write_all(&payload.front)?;
    file.seek(SeekFrom::Start(data_at + payload.end))?;
    file.write_all(&frame.back)?;
    // With an empty module and nothing behind it the end is a hole.
    file.set_len(data_at + payload.end + frame.back.len() as u64)
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
