//! Unpacking an image into a folder: its modules, uncompressed, and a module list that builds
//! the same again, as `l4image extract` does.
//!
//! Invariants: nothing is written outside the folder, whatever names an image has; a file
//! appears under its name when it is complete.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{self, Write};

use camino::{Utf8Path, Utf8PathBuf};
use flate2::read::GzDecoder;

use super::file::ImageFile;
use super::inspection::{Attribute, Inspection, Module, ModuleKind};
use super::sums::PartReader;
use super::{ImageError, inspect_headers};
use crate::replace::Replacement;

/// The name of the module list in the folder.
const LIST: &str = "modules.list";

/// Why an image could not be unpacked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExtractError {
    /// The image cannot be read.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// An image without modules of L4Re's.
    #[error("{path} has no modules: it is not an L4Re image")]
    NoModules {
        /// The image.
        path: Utf8PathBuf,
    },
    /// A module with a name that is no plain file name.
    #[error("module {index} is named {name:?}, which is no plain file name")]
    Name {
        /// Which module, from 0.
        index: usize,
        /// Its name.
        name: String,
    },
    /// Two modules with the same name.
    #[error("two files would be named {name:?}")]
    Twice {
        /// The name.
        name: String,
    },
    /// A compressed module that does not unpack to what the image states.
    #[error("module {name} does not unpack: {reason}")]
    Unpack {
        /// The module.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// The folder cannot be written to.
    #[error("cannot write {path}: {source}")]
    Write {
        /// The file or folder.
        path: Utf8PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// Unpacks the modules of an image into a folder, which is made if need be, with a
/// `modules.list`. The files that were written are returned, the list last.
pub fn extract(image: &Utf8Path, dir: &Utf8Path) -> Result<Vec<Utf8PathBuf>, ExtractError> {
    let inspection = inspect_headers(image)?;
    if inspection.info.is_none() {
        return Err(ExtractError::NoModules { path: image.to_owned() });
    }
    check_names(&inspection.modules)?;
    let file = ImageFile::open(image)?;
    fs_err::create_dir_all(dir).map_err(|source| write_error(dir, source))?;
    let mut written = Vec::new();
    for module in &inspection.modules {
        let path = dir.join(&module.name);
        write_module(&file, module, &path)?;
        written.push(path);
    }
    let path = dir.join(LIST);
    write_whole(&path, modules_list(&inspection).as_bytes())?;
    written.push(path);
    Ok(written)
}

fn check_names(modules: &[Module]) -> Result<(), ExtractError> {
    let mut names = BTreeSet::from([LIST]);
    for (index, Module { name, .. }) in modules.iter().enumerate() {
        let plain = !matches!(name.as_str(), "" | "." | "..")
            && !name.contains('/')
            && !name.contains(char::is_control);
        if !plain {
            return Err(ExtractError::Name { index, name: name.clone() });
        }
        if !names.insert(name) {
            return Err(ExtractError::Twice { name: name.clone() });
        }
    }
    Ok(())
}

fn write_error(path: &Utf8Path, source: io::Error) -> ExtractError {
    ExtractError::Write { path: path.to_owned(), source }
}

fn write_whole(path: &Utf8Path, bytes: &[u8]) -> Result<(), ExtractError> {
    let failed = |source| write_error(path, source);
    let mut file = Replacement::of(path).map_err(failed)?;
    file.write_all(bytes).map_err(failed)?;
    file.commit().map_err(failed)
}

fn write_module(file: &ImageFile, module: &Module, path: &Utf8Path) -> Result<(), ExtractError> {
    let failed = |source| write_error(path, source);
    let data = file.part("module data", module.file_offset, module.size)?;
    let reader = PartReader::new(&data);
    let mut output = Replacement::of(path).map_err(failed)?;
    let count = match module.is_compressed() {
        false => io::copy(&mut { reader }, &mut output).map_err(failed)?,
        true => {
            // A byte more than stated, so that a bomb stops there.
            let limit = module.size_uncompressed.saturating_add(1);
            let mut unpacked = io::Read::take(GzDecoder::new(reader), limit);
            copy_apart(&mut unpacked, &mut output, module, path)?
        }
    };
    if count != module.size_uncompressed {
        let reason = format!("{count} bytes instead of {}", module.size_uncompressed);
        return Err(ExtractError::Unpack { name: module.name.clone(), reason });
    }
    output.commit().map_err(failed)
}

/// Copies, and tells errors of the packed data from those of writing.
fn copy_apart(
    from: &mut impl io::Read,
    to: &mut impl Write,
    module: &Module,
    path: &Utf8Path,
) -> Result<u64, ExtractError> {
    let mut buffer = vec![0; 64 * 1024];
    let mut total = 0;
    loop {
        let count = from.read(&mut buffer).map_err(|error| {
            let (name, reason) = (module.name.clone(), error.to_string());
            ExtractError::Unpack { name, reason }
        })?;
        if count == 0 {
            return Ok(total);
        }
        to.write_all(&buffer[..count]).map_err(|source| write_error(path, source))?;
        total += count as u64;
    }
}

/// The list that `l4image extract` writes.
fn modules_list(inspection: &Inspection) -> String {
    let bootstrap = inspection.cmdline.as_deref().unwrap_or_default();
    let mut list = format!("# vim:set ft=l4mods:\n\nentry image\nbootstrap {bootstrap}\n");
    for module in &inspection.modules {
        let command = match module.kind {
            ModuleKind::Kernel => "kernel",
            ModuleKind::Sigma0 => "sigma0",
            ModuleKind::Roottask => "roottask",
            ModuleKind::Module | ModuleKind::Reserved => "module",
        };
        let args = module.cmdline.find(char::is_whitespace).map_or("", |at| &module.cmdline[at..]);
        // Writing to a string does not fail.
        let _ = writeln!(list, "{command}{} {}{args}", options(module), module.name);
    }
    list
}

fn options(module: &Module) -> String {
    let compress = module.is_compressed().then(|| "compress".to_owned());
    let attribute = |a: &Attribute| format!("attr:{}={}", a.key, a.value);
    let options: Vec<_> =
        compress.into_iter().chain(module.attributes.iter().map(attribute)).collect();
    if options.is_empty() { String::new() } else { format!("[{}]", options.join(",")) }
}
