//! From a listed module to the file whose bytes go into the image: found, unpacked if asked,
//! stripped as L4Re's tools do.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use camino::{Utf8Path, Utf8PathBuf};
use flate2::read::MultiGzDecoder;

use super::AssembleError;
use super::remember::{Made, Memory, Prepared};
use super::sums::md5;
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
        // L4Re's tools give the name to a shell.
        let plain = |c: char| c.is_ascii_alphanumeric() || "_-./+,=:@%".contains(c);
        if !name.chars().all(plain) {
            return Err(AssembleError::Unfit(format!("module {name} has an odd name")));
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
        let compress = match module.options.get("compress").map(Option::as_deref) {
            None | Some(Some("none")) => false,
            Some(None | Some("gz")) => true,
            Some(Some(_)) => return Err(unfit("an unknown way to compress")),
        };
        let path = self.find(&module.file)?.ok_or_else(|| unfit("not found"))?;
        let way = Way { unpack: module.has("uncompress"), strip: !module.has("nostrip"), compress };
        let name = format!("{way:?} {} {:?}", self.objcopy, self.tool);
        self.memory.prepared(&path, &name, self.tool.is_some(), |target| {
            self.make(&path, way, target).map_err(|error| unfit(&error.to_string()))
        })
    }

    /// Makes what goes into the image, at `target` unless it is the file itself.
    fn make(&self, path: &Utf8Path, way: Way, target: &Utf8Path) -> io::Result<Made> {
        let mut file = path.to_owned();
        // Where L4Re's tools have a file of their own, without the random part.
        let mut noted = String::new();
        if way.unpack && starts_with(path, b"\x1f\x8b")? {
            file = target.with_extension("unpacked");
            noted = format!("l4re-tmp/{}", path.file_name().unwrap_or_default());
            let mut output = File::create(&file)?;
            io::copy(&mut MultiGzDecoder::new(File::open(path)?), &mut output)?;
        }
        if way.strip && can_be_stripped(&file)? && self.strip(&file, target)? {
            if file != path {
                std::fs::remove_file(&file)?;
            }
            file = target.to_owned();
            "cargo-l4re".clone_into(&mut noted);
        } else if file != path {
            std::fs::rename(&file, target)?;
            file = target.to_owned();
        }
        if !way.compress {
            return Ok(Made { file, unpacked: None });
        }
        let unpacked = Some((std::fs::metadata(&file)?.len(), md5(&file)?));
        let packed = target.with_extension("packed");
        compress(&file, &packed, &noted)?;
        std::fs::rename(packed, target)?;
        Ok(Made { file: target.to_owned(), unpacked })
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

/// What is done to a module's file.
#[derive(Clone, Copy, Debug)]
struct Way {
    unpack: bool,
    strip: bool,
    compress: bool,
}

/// Compresses a file with the library that L4Re's tools do it with: another one would give
/// other bytes. They note the file's name and time in it; that of a temporary file (`noted`) has
/// random characters, ten or in a folder's name eight.
fn compress(file: &Utf8Path, packed: &Utf8Path, noted: &str) -> io::Result<()> {
    const CODE: &str = "my @name = $ARGV[2] ? (Name => File::Spec->tmpdir.'/'.$ARGV[2]) : (); \
                        gzip $ARGV[0] => $ARGV[1], @name or die $GzipError";
    let modules = ["-MFile::Spec", "-MIO::Compress::Gzip=gzip,$GzipError", "-e", CODE, "--"];
    let files = [file.as_str(), packed.as_str(), noted];
    let perl = duct::cmd("perl", modules.into_iter().chain(files)).stdin_null().stdout_null();
    let output = perl.stderr_capture().unchecked().run()?;
    let said = String::from_utf8_lossy(&output.stderr);
    output.status.success().then_some(()).ok_or_else(|| io::Error::other(said.trim().to_owned()))
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
