//! `cargo l4re report [ENTRY|IMAGE|URL]`: what a bug report needs, in one text file.
//!
//! With a target it holds the plan too: what `deploy --dry-run` of the same words says.

use std::sync::Arc;

use camino::Utf8PathBuf;
use clap::Args;
use serde_json::json;

use super::Context;
#[cfg(feature = "cloud")]
use super::machine::deploy;
use crate::failure::Failure;
use crate::report::{self, Bundle, Mask};
use crate::settings::SettingsError;

/// Arguments of `report`.
#[derive(Debug, Args)]
pub struct Arguments {
    #[cfg(feature = "cloud")]
    #[command(flatten)]
    plan: deploy::Planned,
    /// The file, `-` for stdout [default: l4re-report-TIME.txt]
    #[arg(short, long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    output: Option<Utf8PathBuf>,
    /// How many of the last consoles' logs go into it
    #[arg(long, value_name = "N", default_value = "3")]
    logs: usize,
}

/// Runs `report`; settings that could not be read are part of what is reported.
pub fn report(
    context: &Arc<Context>,
    arguments: &Arguments,
    problem: Option<&SettingsError>,
) -> Result<(), Failure> {
    let mask = Mask::new(&context.environment).map_err(std::io::Error::other)?;
    let mut bundle = Bundle::new(mask);
    bundle.add("versions", &report::versions(context));
    match problem {
        Some(error) => bundle.add("settings", &format!("cannot be read: {error}")),
        None => bundle.add("settings", &report::settings(context)),
    }
    bundle.add("environment", &report::environment(context));
    bundle.add("build trees", &report::trees(context));
    #[cfg(feature = "cloud")]
    {
        bundle.add("desk", &desk(context));
        let plan = match deploy::planned(context, &arguments.plan) {
            Ok(Some(lines)) => lines.join("\n"),
            Ok(None) => "not asked for: name an entry, image or URL as for `deploy`".to_owned(),
            Err(failure) => failure.diagnostic("").render(),
        };
        bundle.add("plan", &plan);
    }
    for (title, end) in report::logs(context, arguments.logs) {
        bundle.add(&title, &end);
    }
    let name = || jiff::Zoned::now().strftime("l4re-report-%Y%m%d-%H%M%S.txt").to_string();
    let path = arguments.output.clone().unwrap_or_else(|| name().into());
    if path == "-" {
        return Ok(context.shell.raw(bundle.text().as_bytes())?);
    }
    let path = context.environment.folder().join(path);
    l4re_image::write_whole(&path, bundle.text().as_bytes())?;
    context.shell.status("Wrote", &path);
    context.shell.note("read it before you send it");
    Ok(context.shell.json("report", &json!({ "path": path, "sections": bundle.titles() }))?)
}

/// What the desk has and lacks.
#[cfg(feature = "cloud")]
fn desk(context: &Context) -> String {
    let twin = match crate::twin::running(context) {
        Some(status) => format!("twin {} runs ({})", status.version, status.accel),
        None => "no twin runs".to_owned(),
    };
    let findings = crate::twin::config(context).map(|config| l4re_twin::doctor(&config));
    let missing = match findings {
        Ok(missing) => missing.iter().map(ToString::to_string).collect(),
        Err(failure) => vec![failure.to_string()],
    };
    [vec![twin], missing].concat().join("\n")
}
