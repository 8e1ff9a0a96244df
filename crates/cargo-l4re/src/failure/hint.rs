//! What to do about a failure: commands to type, settings to make.

use l4re_image::{Cause, ImageError, MakeError, TreeError};

use super::Failure;
use crate::entry::EntryError;

/// The hints for a failure, most useful first.
pub(super) fn of(failure: &Failure, end: &str) -> Vec<String> {
    match failure {
        Failure::NoTree { .. } => trees("amd64"),
        Failure::NoTreeFor { asked, .. } => trees(asked),
        Failure::OtherArch { wanted, .. } => trees(wanted),
        Failure::WhichTree { .. } => vec!["say `--arch ARCH` or `--tree DIR`".to_owned()],
        Failure::WhichEntry { names, .. } => {
            vec![format!("name one of {names}"), "`cargo l4re entries` lists all".to_owned()]
        }
        Failure::NoEntry { nearest, .. } => nearest_entries(nearest),
        Failure::Tree(error) => tree(error),
        Failure::Make(error) => make(error),
        Failure::Entry { source: EntryError::NoModule { file, .. }, .. } => {
            vec![module_to_build(file)]
        }
        Failure::Image(error) => image(error),
        #[cfg(feature = "cloud")]
        Failure::Machine(failure) => failure.hints(end),
        _ => Vec::new(),
    }
}

/// How a build tree is named.
fn trees(arch: &str) -> Vec<String> {
    vec![
        "name one with `--tree DIR`".to_owned(),
        format!(
            "or set it for good: `[tree.{arch}] build = \"DIR\"` in l4re.toml, or under \
             [workspace.metadata.l4re] in Cargo.toml"
        ),
    ]
}

fn nearest_entries(nearest: &[String]) -> Vec<String> {
    let list = "`cargo l4re entries` lists what there is".to_owned();
    did_you_mean(nearest).into_iter().chain([list]).collect()
}

/// The names that are most like one that nobody has.
pub(super) fn did_you_mean(nearest: &[String]) -> Option<String> {
    let names: Vec<_> = nearest.iter().map(|name| format!("`{name}`")).collect();
    (!names.is_empty()).then(|| format!("did you mean {}?", names.join(" or ")))
}

fn tree(error: &TreeError) -> Vec<String> {
    match error {
        TreeError::NotATree { .. } => {
            vec!["a build tree is what `make B=DIR T=amd64` makes in L4Re's `l4` folder".to_owned()]
        }
        TreeError::IsKernelTree { path } => {
            vec![format!("give it as `--kernel {path}`, and L4Re's build tree as `--tree DIR`")]
        }
        TreeError::IsBuildTree { path } => vec![format!("give it as `--tree {path}`")],
        _ => Vec::new(),
    }
}

fn make(error: &MakeError) -> Vec<String> {
    let MakeError::Failed(failure) = error else { return Vec::new() };
    match &failure.cause {
        Cause::UnknownEntry { .. } => nearest_entries(&[]),
        // An L4Re program has L4Re's own loader in its place.
        Cause::MissingModule { file, .. }
            if file.starts_with("ld-linux") || file.starts_with("ld-musl") =>
        {
            vec![format!(
                "{file} is what starts programs on Linux, so a program of this image is built for \
                 Linux: build it for L4Re (`target = \"x86_64-unknown-l4re-uclibc\"`)"
            )]
        }
        Cause::MissingModule { file, .. } => vec![module_to_build(file)],
        Cause::UnknownPlatform { available, .. } if !available.is_empty() => {
            vec![format!("platforms: {}", available.join(", "))]
        }
        Cause::MissingTool { name } => vec![format!("install {name}")],
        _ => Vec::new(),
    }
}

fn module_to_build(file: &str) -> String {
    format!(
        "build {file}, or name its folder: `--kernel DIR` for the kernel, \
         `MODULE_SEARCH_PATH=DIR` for others"
    )
}

fn image(error: &ImageError) -> Vec<String> {
    match error {
        ImageError::NotFound { path } if path.extension().is_none() => {
            vec!["an entry is named without `/`, as `cargo l4re entries` lists it".to_owned()]
        }
        ImageError::Truncated { .. } => vec!["build or fetch it again".to_owned()],
        ImageError::NotAnImage { .. } => {
            vec!["images are what `cargo l4re efiimage` and `elfimage` make".to_owned()]
        }
        _ => Vec::new(),
    }
}
