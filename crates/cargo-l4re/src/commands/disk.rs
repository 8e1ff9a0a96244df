//! `cargo l4re disk [ENTRY|IMAGE|URL]`: a disk that UEFI boots, as a sparse file.
//!
//! The same image gives the same bytes. What starts first is the image, or with `--ipxe` an
//! iPXE binary, which then finds the image beside it.

use camino::Utf8PathBuf;
use clap::Args;
use l4re_image::{Cancel, DiskOptions, Kind, write_disk};
use serde_json::json;

use super::Context;
use super::flags::ImageFlags;
use crate::failure::Failure;

/// Arguments of `disk`.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    image: ImageFlags,
    /// The disk's file [default: the image's name with .img]
    #[arg(short, long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    output: Option<Utf8PathBuf>,
    /// EFI binary of iPXE that starts instead of the image
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    ipxe: Option<Utf8PathBuf>,
}

/// Runs `disk`.
pub fn disk(context: &Context, arguments: &Arguments) -> Result<(), Failure> {
    let image = context.with_runtime(|_, interrupt| {
        let source = arguments.image.source(context, interrupt)?;
        let kind = arguments.image.kind.unwrap_or(Kind::Efi);
        source.image(context, kind, &Cancel::default(), interrupt)
    })?;
    let folder = context.environment.folder();
    let path = match &arguments.output {
        Some(path) => folder.join(path),
        None => image.path.with_extension("img"),
    };
    let disk = match &arguments.ipxe {
        None => write_disk(&path, &image, &DiskOptions::default())?,
        Some(ipxe) => {
            let ipxe = crate::build::ipxe(&folder.join(ipxe))?;
            write_disk(&path, &ipxe, &DiskOptions { beside: Some(image) })?
        }
    };
    let size = bytesize::ByteSize::b(disk.size).display().iec();
    context.shell.status("Wrote", format_args!("{} ({size}, sparse)", disk.path));
    for file in &disk.files {
        context.shell.detail("Holds", file);
    }
    context.shell.result(&disk.path)?;
    let message = json!({ "path": disk.path, "size": disk.size, "files": disk.files });
    Ok(context.shell.json("disk", &message)?)
}
