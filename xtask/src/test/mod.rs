//! `cargo xtask test`: all that CI runs, cheap failures first, stopping at the first.
//!
//! The last line is the sum of all test programs, so that a run which executed no test
//! cannot pass for a good one.

mod count;
mod small;
mod steps;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;

use crate::failure::{self, Failure};
use crate::project::Project;
use crate::shell;
use crate::test::count::Count;
use crate::test::steps::Step;

/// What `cargo xtask test` takes.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only this step, with what it needs; may be given more than once
    #[arg(long, value_name = "STEP")]
    only: Vec<Step>,
}

/// `cargo xtask test`.
///
/// # Errors
/// What failed first; exit code 3 when the machine lacks something, else 1.
pub(crate) fn run(project: &Project, args: &Args) -> Result<()> {
    let steps = chosen(&args.only);
    let mut count = Count::default();
    let mut done = Vec::new();
    for (number, step) in steps.iter().enumerate() {
        shell::heading(&format!("{}/{} {}", number + 1, steps.len(), step.title()));
        let start = Instant::now();
        let outcome = step.run(project, &mut count);
        done.push((*step, start.elapsed()));
        if let Err(error) = outcome {
            summary(&done, &steps, Some(*step));
            return Err(outward(error)).with_context(|| format!("step {}", step.name()));
        }
        shell::status("Passed", &format!("{} in {}", step.name(), shell::seconds(start.elapsed())));
    }
    summary(&done, &steps, None);
    let tested = steps.contains(&Step::Unit) || steps.contains(&Step::EndToEnd);
    ensure!(!tested || count.passed > 0, "no test was executed");
    if tested {
        shell::result(&format!("{} passed, {} failed", count.passed, count.failed));
    }
    Ok(())
}

fn chosen(only: &[Step]) -> Vec<Step> {
    let all = Step::value_variants().iter().copied();
    all.filter(|step| only.is_empty() || only.contains(step)).collect()
}

/// Only "not set up" has a meaning for the caller; a child's own code has none here.
fn outward(error: anyhow::Error) -> anyhow::Error {
    match failure::code(&error) {
        failure::NOT_SET_UP => error,
        _ => Failure { code: 1, message: format!("{error:#}") }.into(),
    }
}

fn summary(done: &[(Step, Duration)], all: &[Step], failed: Option<Step>) {
    shell::heading("Summary");
    for (step, time) in done {
        let verdict = if failed == Some(*step) { "FAILED" } else { "ok" };
        shell::say(&row(step.name(), &shell::seconds(*time), verdict));
    }
    for step in all.iter().skip(done.len()) {
        shell::say(&row(step.name(), "", "not run"));
    }
    let total = done.iter().map(|(_, time)| *time).sum();
    shell::say(&row("total", &shell::seconds(total), ""));
}

fn row(name: &str, time: &str, verdict: &str) -> String {
    format!("{name:>12} {time:>13}  {verdict}").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_keep_their_order_whatever_the_command_line_says() {
        assert_eq!(chosen(&[Step::Unit, Step::Fmt]), [Step::Fmt, Step::Unit]);
        assert_eq!(chosen(&[]).first(), Some(&Step::Fmt));
        assert_eq!(chosen(&[]).last(), Some(&Step::EndToEnd));
    }

    #[test]
    fn a_compilers_code_is_not_ours_but_a_lack_is() {
        let compiler = Failure { code: 101, message: "cargo".to_owned() }.into();
        assert_eq!(failure::code(&outward(compiler)), 1);
        let lack = Failure::not_set_up("packages are missing").into();
        assert_eq!(failure::code(&outward(lack)), 3);
    }
}
