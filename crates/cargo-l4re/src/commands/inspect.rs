//! `cargo l4re inspect IMAGE|URL`: what an image is made of, and whether it is sound.
//!
//! Works on images that anyone built. A failed check is exit code 5.

use clap::Args;
use l4re_image::{Inspection, Verdict};

use super::Context;
use crate::failure::Failure;
use crate::shell::Table;
use crate::target::Target;

/// Arguments of `inspect`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Image file or URL
    #[arg(value_name = "IMAGE|URL")]
    image: String,
}

/// Runs `inspect`.
pub fn inspect(context: &Context, arguments: &Arguments) -> Result<(), Failure> {
    let folder = context.environment.folder();
    let path = match Target::parse(&arguments.image, folder) {
        Target::Url(url) => context.with_runtime(|_, interrupt| {
            Ok(crate::download::fetch(&url, &context.cache()?, &context.shell, interrupt)?)
        })?,
        Target::Image(path) => path,
        Target::Entry(_) => folder.join(&arguments.image),
    };
    let inspection = l4re_image::inspect(&path)?;
    context.shell.json("inspection", &inspection)?;
    if !context.shell.is_json() {
        show(context, &inspection)?;
    }
    crate::build::sound(&inspection)
}

fn show(context: &Context, inspection: &Inspection) -> Result<(), Failure> {
    let shell = &context.shell;
    let size = bytesize::ByteSize::b(inspection.size).display().iec();
    let platform = inspection.platform.as_deref().unwrap_or("unknown");
    shell.result(format_args!("{}", inspection.path))?;
    shell.result(format_args!(
        "  {} {}, {size}, platform {platform}",
        inspection.arch, inspection.kind
    ))?;
    if let Some(sum) = &inspection.sha256 {
        shell.result(format_args!("  sha256 {sum}"))?;
    }
    match inspection.info {
        Some(_) => modules(context, inspection)?,
        None => shell.result("  no L4Re image info: this is not L4Re's bootstrapper")?,
    }
    if !inspection.attributes.is_empty() {
        shell.result("\nAttributes")?;
        let mut table = Table::new(&[]);
        for attribute in &inspection.attributes {
            table.row([attribute.key.clone(), attribute.value.clone()]);
        }
        shell.result(table)?;
    }
    shell.result("\nChecks")?;
    let mut table = Table::new(&[]);
    for check in &inspection.checks {
        let verdict = match check.verdict {
            Verdict::Pass => "ok",
            Verdict::Warn => "odd",
            Verdict::Fail => "FAILED",
            Verdict::Skip => "-",
        };
        table.row([verdict.to_owned(), format!("{:?}", check.name), check.detail.clone()]);
    }
    Ok(shell.result(table)?)
}

fn modules(context: &Context, inspection: &Inspection) -> Result<(), Failure> {
    let mut table = Table::new(&["TYPE", "SIZE", "NAME", "COMMAND LINE"]);
    for module in &inspection.modules {
        let size = bytesize::ByteSize::b(module.size).display().iec().to_string();
        let kind = format!("{:?}", module.kind).to_lowercase();
        table.row([kind, size, module.name.clone(), module.cmdline.clone()]);
    }
    context.shell.result("\nModules")?;
    Ok(context.shell.result(table)?)
}
