//! From a listed module to the file whose bytes go into the image: found, unpacked if asked,
//! stripped as L4Re's tools do.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use camino::{Utf8Path, Utf8PathBuf};
use flate2::read::MultiGzDecoder;

use super::AssembleError;
use super::remember::{Memory, Prepared};
use crate::modlist::Listed;

/// Where files are looked for, and how they are stripped.
#[derive(Debug)]
pub(super) struct Workshop<'a> {
    pub(super) search: &'a [Utf8PathBuf],
    /// The command that strips, as L4Re gives it to a shell.
    pub(super) objcopy: &'a str,
    /// What tells that program from another of its name; unknown without an environment.
    pub(super) tool: Option<&'a str>,
    pub(super) memory: &'a Memory,
}

impl Workshop<'_> {
    /// The file of a module (`search_file` of `ModList.pm`).
    pub(super) fn find(&self, name: &str) -> Result<Option<Utf8PathBuf>, AssembleError> {
        if ["ssh://", "scp://", "http://", "https://"].iter().any(|s| name.starts_with(s)) {
            return Err(AssembleError::Unfit(format!("module {name} is to be downloaded")));
        }
        let whole = Utf8Path::new(name);
        if whole.is_absolute() && whole.is_file() {
            return Ok(Some(whole.to_owned()));
        }
        // An absolute path goes below the folders, too, in L4Re's tools.
        let name = name.trim_start_matches('/');
        Ok(self.search.iter().map(|dir| dir.join(name)).find(|path| path.is_file()))
    }

    /// The bytes that go into the image.
    pub(super) fn prepare(&self, module: &Listed) -> Result<Prepared, AssembleError> {
        let unfit =
            |reason: &str| AssembleError::Unfit(format!("module {}: {reason}", module.file));
        if module.options.get("compress").is_some_and(|c| c.as_deref() != Some("none")) {
            return Err(unfit("[compress]"));
        }
        let path = self.find(&module.file)?.ok_or_else(|| unfit("not found"))?;
        let unpack = module.has("uncompress");
        let strip = !module.has("nostrip");
        let way = self.tool.map(|tool| format!("{unpack} {strip} {} {tool}", self.objcopy));
        self.memory.prepared(&path, way.as_deref(), |target| {
            self.make(&path, unpack, strip, target).map_err(|error| unfit(&error.to_string()))
        })
    }

    /// Makes what goes into the image, at `target` unless it is the file itself.
    fn make(
        &self,
        path: &Utf8Path,
        unpack: bool,
        strip: bool,
        target: &Utf8Path,
    ) -> io::Result<Utf8PathBuf> {
        let mut file = path.to_owned();
        if unpack && starts_with(path, b"\x1f\x8b")? {
            file = target.with_extension("unpacked");
            let mut output = File::create(&file)?;
            io::copy(&mut MultiGzDecoder::new(File::open(path)?), &mut output)?;
        }
        if strip && can_be_stripped(&file)? && self.strip(&file, target)? {
            if file != path {
                std::fs::remove_file(&file)?;
            }
            file = target.to_owned();
        } else if file != path {
            std::fs::rename(&file, target)?;
            file = target.to_owned();
        }
        Ok(file)
    }

    /// Runs `objcopy -S`; whether it could do anything with the file.
    fn strip(&self, file: &Utf8Path, target: &Utf8Path) -> io::Result<bool> {
        let mut words = self.objcopy.split_whitespace().map(ToOwned::to_owned);
        let program = words.next().ok_or(io::ErrorKind::NotFound)?;
        let args = words.chain(["-S".to_owned(), file.to_string(), target.to_string()]);
        let run = duct::cmd(program, args).stdin_null().stdout_null().stderr_null().unchecked();
        Ok(run.run()?.status.success())
    }
}

/// What L4Re's tools leave alone: EFI files and Linux' arm64 images. They look at 60 bytes,
/// and only if there are as many.
fn can_be_stripped(path: &Utf8Path) -> io::Result<bool> {
    let mut start = [0; 0x3c];
    let whole = read_start(path, &mut start)? == start.len();
    Ok(!(whole && (start.starts_with(b"MZ") || start[0x38..].starts_with(b"ARMd"))))
}

fn starts_with(path: &Utf8Path, mark: &[u8; 2]) -> io::Result<bool> {
    let mut start = [0; 2];
    Ok(read_start(path, &mut start)? == 2 && start == *mark)
}

fn read_start(path: &Utf8Path, buffer: &mut [u8]) -> io::Result<usize> {
    let file = File::open(path)?;
    let mut count = 0;
    while count < buffer.len() {
        match file.read_at(&mut buffer[count..], count as u64)? {
            0 => break,
            more => count += more,
        }
    }
    Ok(count)
}
