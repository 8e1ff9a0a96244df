//! What to do about a failure: commands to type, settings to make.

use l4re_cloud::{CloudError, PlanError, SerialError};
use l4re_console::verdict::Verdict;
use l4re_image::{Cause, ImageError, MakeError, TreeError};

use super::Failure;

/// The hints for a failure, most useful first.
pub(super) fn of(failure: &Failure, local: bool) -> Vec<String> {
    match failure {
        Failure::NoTree { .. } => vec![
            "name one with `--tree DIR`".to_owned(),
            "or set it for good: `[tree.amd64] build = \"DIR\"` in l4re.toml, or under \
             [workspace.metadata.l4re] in Cargo.toml"
                .to_owned(),
        ],
        Failure::WhichTree { .. } => vec!["say `--arch ARCH` or `--tree DIR`".to_owned()],
        Failure::WhichEntry { names, .. } => {
            vec![format!("name one of {names}"), "`cargo l4re entries` lists all".to_owned()]
        }
        Failure::NoEntry { nearest, .. } => nearest_entries(nearest),
        Failure::Tree(error) => tree(error),
        Failure::Make(error) => make(error),
        Failure::Image(error) => image(error),
        Failure::DeskLacks { missing, .. } => install(missing),
        Failure::Cloud(error) => cloud(error, if local { " --local" } else { "" }),
        Failure::Verdict { verdict, .. } => self::verdict(verdict),
        _ => Vec::new(),
    }
}

fn nearest_entries(nearest: &[String]) -> Vec<String> {
    let mut hints = Vec::new();
    if !nearest.is_empty() {
        let names: Vec<_> = nearest.iter().map(|name| format!("`{name}`")).collect();
        hints.push(format!("did you mean {}?", names.join(" or ")));
    }
    hints.push("`cargo l4re entries` lists what there is".to_owned());
    hints
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
        Cause::MissingModule { file, .. } => vec![format!(
            "build {file}, or name its folder: `--kernel DIR` for the kernel, \
             `MODULE_SEARCH_PATH=DIR` for others"
        )],
        Cause::UnknownPlatform { available, .. } if !available.is_empty() => {
            vec![format!("platforms: {}", available.join(", "))]
        }
        Cause::MissingTool { name } => vec![format!("install {name}")],
        _ => Vec::new(),
    }
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

/// One line to install what is missing.
fn install(missing: &[l4re_twin::Finding]) -> Vec<String> {
    let mut packages: Vec<_> = missing.iter().filter_map(|finding| finding.package).collect();
    packages.sort_unstable();
    packages.dedup();
    match packages.is_empty() {
        true => Vec::new(),
        false => vec![format!("sudo apt-get install {}", packages.join(" "))],
    }
}

fn cloud(error: &CloudError, flag: &str) -> Vec<String> {
    let hint = match error {
        CloudError::NoCredentials => {
            "`aws configure sso` or `aws configure` makes a profile; `--local` needs no account"
        }
        CloudError::Expired { .. } => "`aws sso login` begins a new session",
        CloudError::Capacity(_) => "name further types with `--type TYPE`, or try again later",
        CloudError::NoRegion => "set AWS_REGION, or `region` in the profile",
        CloudError::NoSuchBucket { bucket, .. } => {
            return vec![
                format!("`--make-bucket` makes {bucket}"),
                "or name another: `--bucket NAME`, or `bucket = \"NAME\"` in the settings"
                    .to_owned(),
            ];
        }
        CloudError::AlreadyRunning(running) => {
            return vec![
                format!("its console: cargo l4re console{flag} {}", running.name),
                format!("its end: cargo l4re rm{flag} {}", running.name),
                "or launch another one beside it: `--name NAME`".to_owned(),
            ];
        }
        CloudError::NotFound { .. } => {
            "`cargo l4re ps` lists what there is (`--local`: on the twin)"
        }
        CloudError::SpotCannotStop { name, .. } => {
            return vec![format!("`cargo l4re rm{flag} {name}` ends it")];
        }
        CloudError::NotOffered { .. } => "name others with `--type TYPE`, or use another region",
        CloudError::Quota { .. } => {
            "ask for more in the Service Quotas console, or name another type"
        }
        CloudError::UserDataTooLarge { .. } => "shorten `--command-line`",
        CloudError::Plan(error) => return plan(error),
        CloudError::Serial(SerialError::Disabled { region }) => {
            return vec![format!(
                "an administrator can allow it: aws ec2 enable-serial-console-access --region {region}"
            )];
        }
        _ => return Vec::new(),
    };
    vec![hint.to_owned()]
}

fn plan(error: &PlanError) -> Vec<String> {
    let hint = match error {
        PlanError::NoUefi { .. } => {
            "`cargo l4re elfimage ENTRY` builds the ELF image; `deploy ENTRY --metal` does so by itself"
        }
        PlanError::NoBios { .. } => "`cargo l4re efiimage ENTRY` builds the EFI image",
        PlanError::NoOwnAmi { .. } => {
            "the ELF image boots without one: `--kind elf`, or an image from `cargo l4re elfimage`"
        }
        PlanError::ArchMismatch { .. } => {
            "leave `--type` out for a machine that fits the image, or build for that machine (`--arch`)"
        }
        _ => return Vec::new(),
    };
    vec![hint.to_owned()]
}

fn verdict(verdict: &Verdict) -> Vec<String> {
    match verdict {
        Verdict::TimedOut { .. } => vec!["`--timeout TIME` gives it longer".to_owned()],
        _ => Vec::new(),
    }
}
