//! Reading an image: quickly for its headers, wholly for its contents.

use camino::Utf8Path;

use super::ImageError;
use super::file::ImageFile;
use super::info::Contents;
use super::inspection::{Image, Inspection, Module, ModuleKind};
use super::layout::Layout;
use super::sums::{self, ModuleSums};
use super::{checks, code};
use crate::arch::Arch;

impl Image {
    /// Reads the headers, checks them against the file, and sums its bytes.
    pub fn open(path: &Utf8Path) -> Result<Self, ImageError> {
        let file = ImageFile::open(path)?;
        let layout = Layout::read(&file)?;
        let sha256 = sums::sha256(&file)?;
        let path = path.to_owned();
        Ok(Self { path, arch: layout.arch, kind: layout.kind, size: file.len(), sha256 })
    }

    /// [`inspect`], and the image that it is about.
    pub fn inspect(path: &Utf8Path) -> Result<(Self, Inspection), ImageError> {
        let (inspection, sha256) = whole(path)?;
        let Inspection { arch, kind, size, .. } = inspection;
        Ok((Self { path: path.to_owned(), arch, kind, size, sha256 }, inspection))
    }
}

/// Reads an image, its modules and its checks, and sums its bytes; the file is read once, and
/// compressed modules once more.
///
/// A PE or ELF file without L4Re's image info is an image too: `info` is `None` then.
pub fn inspect(path: &Utf8Path) -> Result<Inspection, ImageError> {
    Ok(whole(path)?.0)
}

fn whole(path: &Utf8Path) -> Result<(Inspection, String), ImageError> {
    let file = ImageFile::open(path)?;
    let mut inspection = headers(&file)?;
    let (sums, sha256) = sums::all(&file, &inspection.modules)?;
    if let Some(sums) = &sums {
        let summed = || inspection.modules.iter().zip(sums);
        inspection.wants_el2 = el2(inspection.arch, summed());
    }
    if inspection.info.is_some() {
        let summed = sums.as_ref().map(|sums| inspection.modules.iter().zip(sums));
        let check = checks::of_sums(summed);
        inspection.checks.push(check);
    }
    inspection.code = code::sum(&file, &inspection)?;
    inspection.sha256 = Some(sha256.clone());
    Ok((inspection, sha256))
}

/// Whether an image's kernel must be entered in EL2, as in
/// [`Inspection`](Inspection::wants_el2); of the modules only the kernel is read.
pub fn wants_el2(path: &Utf8Path) -> Result<Option<bool>, ImageError> {
    let file = ImageFile::open(path)?;
    let inspection = headers(&file)?;
    let kernel = inspection.modules.iter().find(|module| module.kind == ModuleKind::Kernel);
    let sums = kernel.map(|kernel| sums::module(&file, kernel)).transpose()?;
    Ok(el2(inspection.arch, kernel.into_iter().zip(&sums)))
}

/// [`inspect`] without reading module contents: no sums, no `wants_el2`; about a millisecond
/// for an L4Re image of any size.
pub fn inspect_headers(path: &Utf8Path) -> Result<Inspection, ImageError> {
    headers(&ImageFile::open(path)?)
}

fn headers(file: &ImageFile) -> Result<Inspection, ImageError> {
    let layout = Layout::read(file)?;
    let contents = match &layout.inner {
        Some(inner) => Contents::read(&inner.0, &inner.1)?,
        None => Contents::read(file, &layout)?,
    };
    let mut inspection = Inspection {
        path: file.path().to_owned(),
        arch: layout.arch,
        kind: layout.kind,
        size: file.len(),
        sha256: None,
        wrapped: layout.inner.is_some(),
        wrapped_at: layout.inner.as_ref().map(|inner| (inner.0.base(), inner.0.len())),
        code: None,
        platform: None,
        wants_el2: None,
        info: None,
        cmdline: None,
        modules: Vec::new(),
        attributes: Vec::new(),
        checks: checks::of_headers(file, &layout, contents.as_ref()),
    };
    if let Some(contents) = contents {
        inspection.info = Some(contents.info);
        inspection.cmdline = contents.cmdline;
        inspection.modules = contents.modules;
        inspection.attributes = contents.attributes;
        inspection.platform = inspection.attribute("l4i:PT").map(ToOwned::to_owned);
    }
    Ok(inspection)
}

/// What the kernel in the image says; only Arm has exception levels.
fn el2<'a>(
    arch: Arch,
    mut modules: impl Iterator<Item = (&'a Module, &'a ModuleSums)>,
) -> Option<bool> {
    if !matches!(arch, Arch::Arm | Arch::Arm64) {
        return None;
    }
    let (_, sums) = modules.find(|(module, _)| module.kind == ModuleKind::Kernel)?;
    sums.md5_uncompressed.is_ok().then_some(sums.el2)
}
