//! `cargo l4re inspect IMAGE|URL`: what an image is made of, and whether it is sound.
//!
//! Works on images that anyone built. A failed check is exit code 5; a difference found by
//! `--diff` is none, it is what was asked for.

use camino::Utf8PathBuf;
use clap::Args;
use l4re_image::{Change, Difference, DiskTable, Inspection, Module, Verdict};
use serde_json::json;

use super::Context;
use crate::failure::Failure;
use crate::shell::Table;
use crate::target::Target;

/// Arguments of `inspect`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Image or disk file, or a URL
    #[arg(value_name = "IMAGE|URL", required_unless_present = "diff",
        value_hint = clap::ValueHint::FilePath)]
    image: Option<String>,
    /// Unpack the modules into a folder, with a modules.list
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath, requires = "image")]
    extract: Option<Utf8PathBuf>,
    /// Say what differs between two images, module by module
    #[arg(long, num_args = 2, value_names = ["A", "B"], conflicts_with = "image",
        value_hint = clap::ValueHint::FilePath)]
    diff: Vec<String>,
}

/// Runs `inspect`.
pub fn inspect(context: &Context, arguments: &Arguments) -> Result<(), Failure> {
    if let [a, b] = arguments.diff.as_slice() {
        return diff(context, a, b);
    }
    let path = path(context, arguments.image.as_deref().unwrap_or_default())?;
    if let Some(dir) = &arguments.extract {
        return extract(context, &path, &context.environment.folder().join(dir));
    }
    if let Some(disk) = l4re_image::read_disk(&path)? {
        return show_disk(context, disk);
    }
    let inspection = l4re_image::inspect(&path)?;
    context.shell.json("inspection", &inspection)?;
    if !context.shell.is_json() {
        show(context, &inspection)?;
    }
    crate::build::sound(&inspection)
}

/// The file that a word names; a URL is fetched.
fn path(context: &Context, word: &str) -> Result<Utf8PathBuf, Failure> {
    let folder = context.environment.folder();
    match Target::parse(word, folder) {
        Target::Url(url) => context.with_runtime(|_, interrupt| {
            Ok(crate::download::fetch(&url, &context.cache()?, &context.shell, interrupt)?)
        }),
        Target::Image(path) => Ok(path),
        Target::Entry(_) => Ok(folder.join(word)),
    }
}

fn extract(context: &Context, image: &Utf8PathBuf, dir: &Utf8PathBuf) -> Result<(), Failure> {
    for file in l4re_image::extract(image, dir)? {
        context.shell.result(&file)?;
        context.shell.json("extracted", &json!({ "path": file }))?;
    }
    Ok(())
}

fn diff(context: &Context, a: &str, b: &str) -> Result<(), Failure> {
    let a = l4re_image::inspect(&path(context, a)?)?;
    let b = l4re_image::inspect(&path(context, b)?)?;
    let differences = l4re_image::diff(&a, &b);
    for difference in &differences {
        context.shell.json("difference", difference)?;
        for line in lines(difference) {
            context.shell.result(line)?;
        }
    }
    if differences.is_empty() {
        context.shell.status("Equal", "no module, attribute or header differs");
    }
    Ok(())
}

/// A difference as lines: what it is about, then what is there in A and in B.
fn lines(difference: &Difference) -> Vec<String> {
    let change =
        |about: &str, Change { field, a, b }: &Change| format!("{about}: {field} {a} -> {b}");
    let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "(none)".to_owned());
    match difference {
        Difference::Image(of) => vec![change("image", of)],
        Difference::Attribute { key, a, b } => {
            vec![format!("attribute {key}: {} -> {}", value(a), value(b))]
        }
        Difference::Removed { name, index } => {
            vec![format!("module {name}: only in A, at {index}")]
        }
        Difference::Added { name, index } => vec![format!("module {name}: only in B, at {index}")],
        Difference::Module { name, changes } => {
            changes.iter().map(|of| change(&format!("module {name}"), of)).collect()
        }
        other => vec![format!("{other:?}")],
    }
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

fn show_disk(context: &Context, disk: DiskTable) -> Result<(), Failure> {
    let shell = &context.shell;
    shell.json("disk-inspection", &disk)?;
    if !shell.is_json() {
        let iec = |bytes| bytesize::ByteSize::b(bytes).display().iec().to_string();
        shell.result(format_args!("{}", disk.path))?;
        shell.result(format_args!("  disk with a GUID partition table, {}", iec(disk.size)))?;
        shell.result("\nPartitions")?;
        let mut table = Table::new(&["START", "SIZE", "NAME", "TYPE"]);
        for partition in &disk.partitions {
            let kind = if partition.efi_system { "EFI system" } else { &partition.kind };
            let [start, size] = [partition.start, partition.size].map(iec);
            table.row([start, size, partition.name.clone(), kind.to_owned()]);
        }
        shell.result(table)?;
    }
    match disk.findings.is_empty() {
        true => Ok(()),
        false => Err(Failure::ImageChecks { path: disk.path, failed: disk.findings }),
    }
}

fn modules(context: &Context, inspection: &Inspection) -> Result<(), Failure> {
    let mut table = Table::new(&["TYPE", "SIZE", "MD5", "COMMAND LINE"]);
    for module in &inspection.modules {
        let size = bytesize::ByteSize::b(module.size).display().iec().to_string();
        let kind = format!("{:?}", module.kind).to_lowercase();
        table.row([kind, size, module.md5.clone(), words(module)]);
    }
    context.shell.result("\nModules")?;
    Ok(context.shell.table(table, &["MD5"])?)
}

/// A module's command line, its name before it where that is another, its attributes behind.
fn words(module: &Module) -> String {
    let first = module.cmdline.split_whitespace().next().unwrap_or_default();
    let mut words = match first == module.name {
        true => module.cmdline.clone(),
        false => format!("{}: {}", module.name, module.cmdline),
    };
    for attribute in &module.attributes {
        words += &format!(" [{}={}]", attribute.key, attribute.value);
    }
    words
}
