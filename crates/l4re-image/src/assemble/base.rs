//! The base image: found, checked against what is to be built, and split where the modules go.
//!
//! Invariant: it is looked at under the lock that L4Re's own tools take before they rebuild
//! it (`tool/imagebuilder/_platform_rebuild.pl`).

use std::ffi::OsString;
use std::fs::File;

use camino::{Utf8Path, Utf8PathBuf};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::AssembleError;
use super::kept::Kept;
use super::settings::Settings;
use crate::arch::Kind;
use crate::image::{Inspection, inspect_headers};
use crate::make::MakeRequest;

/// Bootstrappers are far smaller; what is larger is make's to handle.
const LARGEST: u64 = 16 << 20;

/// A base image that fits.
#[derive(Debug)]
pub(super) struct Base {
    pub(super) bytes: Vec<u8>,
    pub(super) inspection: Inspection,
}

/// The lock of the build tree, held until dropped.
#[derive(Debug)]
pub(super) struct TreeLock(
    #[expect(dead_code, reason = "the lock lives as long as the file")] File,
);

impl TreeLock {
    /// Takes the lock if it is free; whoever holds it may be about to change the base image.
    pub(super) fn take(root: &Utf8Path) -> Result<Self, AssembleError> {
        let path = root.join(".make.flock");
        let failed = |source| AssembleError::Write { path: path.clone(), source };
        let file = File::create(&path).map_err(failed)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self(file)),
            Err(Errno::WOULDBLOCK) => {
                Err(AssembleError::Unfit("the tree is locked by another build".to_owned()))
            }
            Err(errno) => Err(failed(errno.into())),
        }
    }
}

impl Base {
    /// The base image that make left, if it fits, or one kept from before.
    pub(super) fn open(
        request: &MakeRequest,
        settings: &Settings,
        environment: Option<&[(OsString, OsString)]>,
    ) -> Result<Self, AssembleError> {
        let path = base_path(request, settings);
        let unfit = |reason: String| AssembleError::Unfit(format!("base image {path}: {reason}"));
        let ram_base = selected_ram_base(settings).map_err(unfit)?;
        let kept = environment.map(|env| Kept::of(request, settings, ram_base, env));
        let reason = match Self::read(&path) {
            Ok(base) => match fits(request, settings, &base.inspection) {
                Ok(()) => {
                    // Without a copy make rebuilds when it is wanted again: slower, not wrong.
                    let _ = kept.map(|kept| kept.keep(&path, request, settings));
                    return Ok(base);
                }
                Err(reason) => reason,
            },
            Err(reason) => reason,
        };
        let relinks = hex(settings.inner("SWITCHED")).ok() != Some(ram_base);
        let settled = settings.inner("RAM_BASE_SWITCH_OK") == "yes";
        let recalled = kept.as_ref().filter(|_| settled).and_then(|kept| kept.recall(relinks));
        let base = recalled.and_then(|path| Self::read(path).ok());
        base.filter(|base| is_for(request, settings, &base.inspection).is_ok())
            .ok_or_else(|| unfit(reason))
    }

    /// Keeps what make used for this request.
    pub(super) fn keep(
        request: &MakeRequest,
        settings: &Settings,
        environment: &[(OsString, OsString)],
    ) -> Result<(), String> {
        let path = base_path(request, settings);
        let inspection = inspect_headers(&path).map_err(|error| error.to_string())?;
        is_for(request, settings, &inspection)?;
        let ram_base = selected_ram_base(settings)?;
        if hex(settings.inner("SWITCHED"))? != ram_base {
            return Err(format!("the tree was last built for another RAM base than {ram_base:#x}"));
        }
        let kept = Kept::of(request, settings, ram_base, environment);
        kept.keep(&path, request, settings).map_err(|error| error.to_string())
    }

    fn read(path: &Utf8Path) -> Result<Self, String> {
        let inspection = inspect_headers(path).map_err(|error| error.to_string())?;
        if inspection.size > LARGEST {
            return Err("unusually large".to_owned());
        }
        let bytes = fs_err::read(path).map_err(|error| error.to_string())?;
        if bytes.len() as u64 != inspection.size {
            return Err("being written".to_owned());
        }
        Ok(Self { bytes, inspection })
    }
}

/// Where it is (`_l4image_build.sh.inc`).
fn base_path(request: &MakeRequest, settings: &Settings) -> Utf8PathBuf {
    let name = format!("bootstrap.{}", request.kind.suffix());
    let system = format!("{}_{}", settings.outer("ARCH"), settings.inner("CPU"));
    request.tree.root().join("bin").join(system).join("plain").join(name)
}

/// L4Re rebuilds the base image unless all of this holds.
fn fits(request: &MakeRequest, settings: &Settings, base: &Inspection) -> Result<(), String> {
    let platform = settings.inner("PLATFORM_TYPE");
    if settings.inner("RAM_BASE_SWITCH_OK") != "yes" {
        return Err("the RAM base is not settled".to_owned());
    }
    if settings.inner("RAM_BASE_SWITCH_PLATFORM_TYPE") != platform {
        return Err(format!("the tree was last built for another platform than {platform}"));
    }
    is_for(request, settings, base)?;
    let selected = selected_ram_base(settings)?;
    if hex(settings.inner("SWITCHED"))? != selected {
        return Err(format!("the tree was last built for another RAM base than {selected:#x}"));
    }
    let uefi = if request.kind == Kind::Efi { "y" } else { "n" };
    match (attribute(base, "l4i:uefi")? == "y") == (uefi == "y") {
        true => Ok(()),
        false => Err(format!("its attribute l4i:uefi is not {uefi}")),
    }
}

/// Whether a base image was built for what is selected, as make would.
fn is_for(request: &MakeRequest, settings: &Settings, base: &Inspection) -> Result<(), String> {
    let platform = settings.inner("PLATFORM_TYPE");
    let built = attribute(base, "l4i:PT")?;
    if built != platform {
        return Err(format!("built for platform {built}, not {platform}"));
    }
    let built = hex(attribute(base, "l4i:rambase")?)?;
    let selected = selected_ram_base(settings)?;
    if selected != built {
        return Err(format!("built for RAM base {built:#x}, not {selected:#x}"));
    }
    match base.arch == request.tree.arch() {
        true => Ok(()),
        false => Err(format!("it is for {}", base.arch)),
    }
}

fn attribute<'a>(base: &'a Inspection, name: &str) -> Result<&'a str, String> {
    base.attribute(name).ok_or(format!("no attribute {name}"))
}

fn selected_ram_base(settings: &Settings) -> Result<u64, String> {
    hex(match settings.inner("RAM_BASE") {
        "" | "0" => settings.inner("PLATFORM_RAM_BASE"),
        base => base,
    })
}

/// Perl's `hex`: with or without `0x`.
fn hex(text: &str) -> Result<u64, String> {
    let digits = text.strip_prefix("0x").or(text.strip_prefix("0X")).unwrap_or(text);
    u64::from_str_radix(digits, 16).map_err(|_| format!("RAM base `{text}` is no number"))
}
