//! `cargo xtask dist`: what a release consists of, below `target/dist`.
//!
//! For each target an archive with the stripped binary, completions, man pages and licences;
//! beside the archives an SBOM and the sums of all. The same commit gives the same archives:
//! names are sorted, and times and owners are the commit's, not the machine's.

mod archive;
mod sbom;
mod target;

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};

use crate::build::{self, Profile};
use crate::call::Call;
use crate::project::Project;
use crate::setup::{self, Purpose};
use crate::shell;

use self::archive::Archive;
use self::target::Target;

/// What `cargo xtask dist` takes.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only this target; may be given more than once
    #[arg(long = "target", value_name = "TRIPLE")]
    targets: Vec<Target>,
    /// Folder for the result [default: dist in the target directory]
    #[arg(long, value_name = "DIR")]
    out: Option<Utf8PathBuf>,
}

/// `cargo xtask dist`.
///
/// # Errors
/// What could not be installed, built, packed or summed.
pub(crate) fn run(project: &Project, args: &Args) -> Result<()> {
    setup::ensure(project, Purpose::Dist)?;
    let out = args.out.clone().unwrap_or_else(|| project.target.join("dist"));
    let out = std::path::absolute(&out).map(Utf8PathBuf::try_from)??;
    fs_err::create_dir_all(&out)?;
    let targets = match args.targets.as_slice() {
        [] => Target::ALL.to_vec(),
        some => some.to_vec(),
    };
    let version = version(project)?;
    let mut built = Vec::new();
    for target in targets {
        shell::status("Building", target.triple());
        built.push((target, target.build(project)?));
    }
    // Completions and man pages are the same for all; somebody who runs here writes them.
    let speaker = match built.iter().find(|(target, _)| target.runs_here()) {
        Some((_, binary)) => binary.clone(),
        None => build::binary(project, Profile::Release)?,
    };
    let mut files = Vec::new();
    for (target, binary) in &built {
        let name = format!("cargo-l4re-{version}-{}", target.triple());
        let archive = Archive { name: &name, binary, speaker: &speaker };
        let path = archive.write(project, &out)?;
        let size = fs_err::metadata(binary)?.len();
        shell::status("Packed", &format!("{path} (binary: {:.1} MiB)", size as f64 / MEBIBYTE));
        files.push(path);
    }
    let path = out.join(format!("cargo-l4re-{version}.cdx.json"));
    fs_err::write(&path, sbom::document(project, &version)?)?;
    shell::status("Wrote", path.as_str());
    files.push(path);
    sums(&out, &files)
}

const MEBIBYTE: f64 = (1 << 20) as f64;

/// The version that is released: that of the package `cargo-l4re`.
fn version(project: &Project) -> Result<String> {
    let ours = project.packages.iter().find(|package| package["name"] == "cargo-l4re");
    let version = ours.and_then(|package| package["version"].as_str());
    Ok(version.context("the package cargo-l4re has no version")?.to_owned())
}

/// Writes `SHA256SUMS`, as `sha256sum --check` reads it.
fn sums(out: &Utf8Path, files: &[Utf8PathBuf]) -> Result<()> {
    let names = files.iter().filter_map(|file| file.file_name());
    let sums = Call::new(["sha256sum", "--"].into_iter().chain(names)).dir(out).read()?;
    let path = out.join("SHA256SUMS");
    fs_err::write(&path, sums)?;
    shell::status("Wrote", path.as_str());
    files.iter().for_each(|file| shell::result(file.as_str()));
    shell::result(path.as_str());
    Ok(())
}
