//! `cargo l4re twin fault`: what EC2 and the network do wrong now and then, when it is
//! wanted. The plan lies beside the twin's state; a running twin takes a change at its next
//! call.

use camino::{Utf8Path, Utf8PathBuf};
use clap::{Args, Subcommand};
use l4re_twin::{Effect, FaultPlan, FaultRule, faults, set_faults};

use crate::commands::Context;
use crate::failure::{Failure, MachineFailure};
use crate::shell::count;

/// Arguments of `twin fault`.
#[derive(Debug, Args)]
pub(super) struct Fault {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Add a fault
    Add(Box<Add>),
    /// List the faults, each with its number
    List,
    /// Take all faults away, or those with these numbers
    Clear {
        /// Numbers as `list` has them
        #[arg(value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
        numbers: Vec<u32>,
    },
    /// Put the faults of a TOML file in force, in place of all that were
    Load {
        /// The file
        #[arg(value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
        file: Utf8PathBuf,
    },
}

/// One fault.
#[derive(Debug, Args)]
struct Add {
    /// What it happens on, with `*` and `?`: an action such as `RunInstances`, `s3:PUT`,
    /// `guest:GET` (a guest's download), `guest:metadata`, `console:session`,
    /// `machine:network`
    #[arg(value_name = "CALL")]
    on: String,
    #[command(flatten)]
    effect: Happens,
    /// How likely it is at each call, from 0 to 1
    #[arg(long, value_name = "P", default_value_t = 1.0)]
    probability: f64,
    /// Only at the Nth call that fits
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    call: Option<u64>,
    /// No more often than this
    #[arg(long, value_name = "N")]
    times: Option<u64>,
    /// Only launches into this zone
    #[arg(long, value_name = "ZONE")]
    zone: Option<String>,
    /// Only launches of types that fit this, with `*` and `?`
    #[arg(long = "type", value_name = "TYPE")]
    instance_type: Option<String>,
    /// Only launches of spot capacity
    #[arg(long)]
    spot: bool,
    /// Where chance begins, for all faults: the same seed and calls give the same faults
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
}

/// What happens: one of these.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Happens {
    /// The call fails with this code; `CODE:STATUS` names the HTTP status, too
    #[arg(long, value_name = "CODE")]
    error: Option<String>,
    /// The call takes so many milliseconds longer
    #[arg(long, value_name = "MS")]
    delay: Option<u64>,
    /// The connection is closed before the call happens
    #[arg(long)]
    reset: bool,
    /// The call happens, and the connection is closed without an answer
    #[arg(long)]
    lost_answer: bool,
    /// The answer breaks off after so many bytes
    #[arg(long, value_name = "BYTES")]
    truncate: Option<u64>,
    /// Launches find no capacity
    #[arg(long)]
    no_capacity: bool,
    /// The machine's network never answers (CALL is `machine:network`)
    #[arg(long)]
    no_network: bool,
    /// The session is dropped after so many bytes (CALL is `console:session`)
    #[arg(long, value_name = "BYTES")]
    drop_console: Option<u64>,
    /// The session comes to its limit after so many seconds; EC2's is an hour (CALL is
    /// `console:session`)
    #[arg(long, value_name = "SECONDS")]
    end_console: Option<u64>,
    /// The daemon is killed before the call happens, once
    #[arg(long)]
    kill: bool,
}

/// Runs `twin fault`.
pub(super) fn fault(context: &Context, dir: &Utf8Path, fault: &Fault) -> Result<(), Failure> {
    let mut plan = faults(dir)?;
    let (verb, what) = match &fault.action {
        Action::List => return list(context, &plan),
        Action::Add(add) => {
            let rule = add.rule();
            let what = format!("fault {}: {rule}", plan.rules.len() + 1);
            plan.seed = add.seed.unwrap_or(plan.seed);
            plan.rules.push(rule);
            ("Added", what)
        }
        Action::Clear { numbers } if numbers.is_empty() => {
            let what = count(plan.rules.len(), "fault");
            plan = FaultPlan::default();
            ("Cleared", what)
        }
        Action::Clear { numbers } => {
            let known = 1..=u32::try_from(plan.rules.len()).unwrap_or(u32::MAX);
            if let Some(unknown) = numbers.iter().find(|number| !known.contains(number)) {
                return Err(MachineFailure::NoSuchFault { number: *unknown }.into());
            }
            let mut number = 0;
            plan.rules.retain(|_| {
                number += 1;
                !numbers.contains(&number)
            });
            ("Cleared", count(known.count() - plan.rules.len(), "fault"))
        }
        Action::Load { file } => {
            plan = read(&context.environment.folder().join(file))?;
            ("Loaded", format!("{} from {file}", count(plan.rules.len(), "fault")))
        }
    };
    plan.check().map_err(MachineFailure::Twin)?;
    set_faults(dir, &plan)?;
    // Only now is it so.
    context.shell.status(verb, what);
    Ok(context.shell.json("faults", &plan)?)
}

fn read(file: &Utf8Path) -> Result<FaultPlan, Failure> {
    let text = fs_err::read_to_string(file)
        .map_err(|source| MachineFailure::FaultFile { source: source.into() })?;
    toml::from_str(&text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        let before = &text[..at.min(text.len())];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |last| last.chars().count()) + 1;
        let source = format!("{file}:{line}:{column}: {}", error.message()).into();
        MachineFailure::FaultFile { source }.into()
    })
}

fn list(context: &Context, plan: &FaultPlan) -> Result<(), Failure> {
    for (index, rule) in plan.rules.iter().enumerate() {
        context.shell.result(format_args!("{:>3}  {rule}", index + 1))?;
    }
    if plan.rules.is_empty() {
        context.shell.status("Found", "no faults");
    } else if plan.seed != 0 {
        context.shell.result(format_args!("seed {}", plan.seed))?;
    }
    Ok(context.shell.json("faults", plan)?)
}

impl Add {
    fn rule(&self) -> FaultRule {
        FaultRule {
            on: self.on.clone(),
            probability: self.probability,
            at_call: self.call,
            times: self.times,
            zone: self.zone.clone(),
            instance_type: self.instance_type.clone(),
            spot: self.spot,
            effect: self.effect.effect(),
        }
    }
}

impl Happens {
    fn effect(&self) -> Effect {
        match self {
            Self { error: Some(error), .. } => code(error),
            Self { delay: Some(milliseconds), .. } => Effect::Delay { milliseconds: *milliseconds },
            Self { reset: true, .. } => Effect::Reset,
            Self { lost_answer: true, .. } => Effect::LostAnswer,
            Self { truncate: Some(bytes), .. } => Effect::Truncate { bytes: *bytes },
            Self { no_network: true, .. } => Effect::NoNetwork,
            Self { drop_console: Some(bytes), .. } => Effect::DropConsole { bytes: *bytes },
            Self { end_console: Some(seconds), .. } => Effect::EndConsole { seconds: *seconds },
            Self { kill: true, .. } => Effect::Kill,
            // clap takes one of them, and this is what is left.
            Self { .. } => code("InsufficientInstanceCapacity:500"),
        }
    }
}

/// `CODE` or `CODE:STATUS`.
fn code(text: &str) -> Effect {
    let parsed =
        text.rsplit_once(':').and_then(|(code, status)| Some((code, status.parse().ok()?)));
    let (code, status) = parsed.unwrap_or((text, 400));
    Effect::Error { code: code.to_owned(), status }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_may_name_its_status() {
        let error = |code: &str, status| Effect::Error { code: code.to_owned(), status };
        assert_eq!(code("SlowDown:503"), error("SlowDown", 503));
        assert_eq!(code("Server.InternalError"), error("Server.InternalError", 400));
        assert_eq!(code("A:B"), error("A:B", 400));
    }

    #[test]
    fn a_file_that_is_wrong_is_named_with_its_place() {
        let dir = camino_tempfile::tempdir().unwrap();
        let file = dir.path().join("faults.toml");
        fs_err::write(&file, "seed = 7\n[[rules]]\non = \"s3:*\"\neffekt = \"reset\"\n").unwrap();
        let error = read(&file).unwrap_err();
        let said = format!("{error}");
        assert!(said.contains("faults.toml:4:1: unknown field `effekt`"), "{said}");
    }

    #[test]
    fn the_books_file_is_one() {
        let page = include_str!("../../../../../docs/src/twin.md");
        let mut blocks = page.split("```toml\n").map(|rest| rest.split("```").next().unwrap());
        let block = blocks.find(|block| block.contains("[[rules]]")).unwrap();
        let plan: FaultPlan = toml::from_str(block).unwrap();
        plan.check().unwrap();
        assert!(plan.rules.len() >= 10);
    }
}
