//! What is said when a run is over or left: phases, cost, and what to type next.

use std::time::Duration;

use l4re_cloud::{Instance, price};
use l4re_console::follow::Report;

use crate::commands::Context;

/// The phase table, on stderr.
pub fn phases(context: &Context, report: &Report) {
    let shell = &context.shell;
    let times = report.phases.as_slice();
    if times.is_empty() {
        return;
    }
    let total = seconds(report.elapsed);
    shell.status("Phases", format_args!("{:<12} {:>9} {:>9}", "", "at", "took"));
    let took: Vec<_> = report.phases.lasting(report.elapsed).map(|(_, took)| took).collect();
    for (time, took) in times.iter().zip(took) {
        let (at, took) = (seconds(time.at), seconds(took));
        shell.status("", format_args!("{:<12} {at:>9} {took:>9}", time.phase.name()));
    }
    shell.status("", format_args!("{:<12} {total:>9}", "end"));
}

fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}

/// What an instance costs.
#[derive(Debug, Clone, Copy)]
pub struct Money {
    /// US dollars per hour.
    pub per_hour: f64,
    exact: bool,
}

impl Money {
    /// The price of a type in a region; nothing on the desk costs anything.
    pub fn of(instance_type: &str, region: &str, local: bool) -> Option<Self> {
        let price = price(instance_type, region).filter(|_| !local)?;
        Some(Self { per_hour: price.per_hour, exact: price.exact_region })
    }
}

impl std::fmt::Display for Money {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let about = if self.exact { "" } else { "about " };
        write!(f, "{about}{:.3} $/h (list of {})", self.per_hour, l4re_cloud::PRICES_AS_OF)
    }
}

/// How to get back to an instance that runs on, and what that costs.
pub fn ready_again(context: &Context, instance: &Instance, region: &str, local: bool) {
    let name = instance.name.as_deref().unwrap_or(&instance.id);
    let flag = if local { " --local" } else { "" };
    let cost = match Money::of(&instance.instance_type, region, local) {
        Some(money) => format!(", at {money}"),
        None => String::new(),
    };
    let until = match instance.expires {
        Some(expires) => format!(" until {}", expires.strftime("%H:%M UTC")),
        None => String::new(),
    };
    context.shell.status("Running", format_args!("{name} ({}){until}{cost}", instance.id));
    context.shell.help(format_args!("its console: cargo l4re console{flag} {name}"));
    context.shell.help(format_args!("its end:     cargo l4re rm{flag} {name}"));
}

/// A URL without its query, which may hold a signature.
pub fn masked(url: &str) -> &str {
    url.split(['?', '#']).next().unwrap_or(url)
}

/// A script with the queries of its URLs left out: they hold signatures.
pub fn masked_script(script: &str) -> String {
    let word = |word: &str| match word.contains("://") && word.contains('?') {
        true => format!("{}?…", masked(word)),
        false => word.to_owned(),
    };
    let line = |line: &str| line.split(' ').map(word).collect::<Vec<_>>().join(" ");
    script.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_masked() {
        let script = "#!ipxe\nkernel --name i http://h/b?X-Amz-Signature=1 a=b || goto end";
        assert_eq!(masked_script(script), "#!ipxe\nkernel --name i http://h/b?… a=b || goto end");
    }
}
