//! `cargo l4re doctor`: says what will not work, before it costs anything.
//!
//! Nothing is changed. Each finding comes with what to do about it. The exit code is 6 when
//! there is something with which a deploy (with `--local`, an instance on the desk) will fail.

mod desk;
mod trees;

use std::sync::Arc;

use clap::Args;
use l4re_cloud::{DoctorOptions, Finding, InstanceTypeFacts, Level, PolicyOptions};
use l4re_image::{Arch, Kind};
use serde_json::json;

use crate::commands::Context;
use crate::failure::{Failure, MachineFailure};
use crate::instance::{self, Account, Where};

/// Arguments of `doctor`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Look at this desk, for instances on the twin, instead of at AWS
    #[arg(long, conflicts_with_all = ["region", "profile"])]
    local: bool,
    #[command(flatten)]
    account: Account,
    /// Print the least IAM policy that all commands work with
    #[arg(long, conflicts_with_all = ["local", "metal", "types", "spot"])]
    policy: bool,
    /// As for a metal machine
    #[arg(long)]
    metal: bool,
    /// Instance type, instead of those of the settings (several are tried in turn)
    #[arg(long = "type", value_name = "TYPE", conflicts_with = "metal")]
    types: Vec<String>,
    /// Kind of image, instead of the one that fits the machine
    #[arg(long, value_name = "KIND", value_parser = crate::commands::flags::kinds())]
    kind: Option<Kind>,
    /// As for spot capacity
    #[arg(long)]
    spot: bool,
    /// Bucket for images
    #[arg(long, value_name = "NAME", value_parser = crate::settings::bucket)]
    bucket: Option<String>,
}

/// Runs `doctor`.
pub fn doctor(context: &Arc<Context>, arguments: &Arguments) -> Result<(), Failure> {
    let bucket = arguments.bucket.clone().or(context.settings.bucket().map(str::to_owned));
    let scheduler_role = context.settings.find(|layer| layer.scheduler_role.clone());
    if arguments.policy {
        return policy(context, PolicyOptions { bucket, scheduler_role });
    }
    let arch = arch(context);
    if arguments.local {
        let findings = desk::findings(&crate::twin::config(context)?);
        return report(context, &findings);
    }
    let types = match arguments.types.as_slice() {
        [] => context.settings.machine(arch, arguments.metal),
        types => types.to_vec(),
    };
    let options = DoctorOptions {
        arch,
        kind: arguments.kind,
        types,
        spot: arguments.spot,
        subnet: context.settings.find(|layer| layer.subnet.clone()),
        public_address: context.settings.find(|layer| layer.public_address),
        bucket,
        https: context.settings.find(|layer| layer.https).unwrap_or(false),
        scheduler_role,
    };
    let end = Where { account: arguments.account.clone(), ..Where::default() };
    let (mut findings, machines) = at_aws(context, &end, &options)?;
    findings.extend(trees::findings(context, arch, &machines));
    report(context, &findings)
}

/// What AWS says. Without a region there is nobody to ask, and that is a finding.
fn at_aws(
    context: &Arc<Context>,
    end: &Where,
    options: &DoctorOptions,
) -> Result<(Vec<Finding>, Vec<InstanceTypeFacts>), Failure> {
    let ready = instance::connect(context, end)?;
    let examined = context.with_runtime(|runtime, interrupt| {
        runtime.block_on(async {
            let cloud = ready.connect().await?.cloud;
            tokio::select! {
                examined = cloud.doctor(options) => Ok(examined),
                () = interrupt.asked() => Err(Failure::Interrupted),
            }
        })
    });
    match examined {
        Ok(examined) => Ok((examined.findings, examined.machines)),
        Err(Failure::Machine(MachineFailure::Cloud(error))) => {
            let fix = Failure::from(error).diagnostic("");
            let help = fix.help.first().cloned().unwrap_or_default();
            Ok((vec![Finding::problem("region", fix.message, help)], Vec::new()))
        }
        Err(failure) => Err(failure),
    }
}

/// For images of which architecture: as named or set, or arm64, whose metal is the aim.
fn arch(context: &Context) -> Arch {
    let set = context.settings.find(|layer| layer.arch).map(|key| key.0);
    let only = match context.settings.trees().as_slice() {
        [(arch, _)] => Some(*arch),
        _ => None,
    };
    context.global.arch.or(set).or(only).unwrap_or(Arch::Arm64)
}

fn policy(context: &Context, options: PolicyOptions) -> Result<(), Failure> {
    let policy = l4re_cloud::policy(&options);
    let text = serde_json::to_string_pretty(&policy).map_err(std::io::Error::other)?;
    context.shell.json("policy", &policy)?;
    Ok(context.shell.result(text)?)
}

/// What to do about a finding: where an error is behind it, the same as about the error.
fn fix(finding: &Finding) -> Option<String> {
    let of_cause = || {
        let hints = crate::failure::cloud_hints(finding.cause.as_ref()?);
        (!hints.is_empty()).then(|| hints.join("; "))
    };
    finding.fix.clone().or_else(of_cause)
}

fn report(context: &Context, findings: &[Finding]) -> Result<(), Failure> {
    let shell = &context.shell;
    for finding in findings {
        let Finding { check, level, text, .. } = finding;
        let fix = fix(finding);
        shell.json(
            "finding",
            &json!({ "check": check, "level": level.word(), "text": text, "fix": fix }),
        )?;
        shell.paragraph(&format!("{:>8}  ", level.word()), &format!("{check}: {text}"))?;
        if let Some(fix) = fix {
            shell.paragraph(&format!("{:>8}  ", "->"), &fix)?;
        }
    }
    let problems = findings.iter().filter(|finding| finding.level == Level::Problem).count();
    match problems {
        0 => Ok(()),
        problems => Err(MachineFailure::Unwell { problems }.into()),
    }
}
