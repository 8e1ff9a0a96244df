//! What is said when a run is over or left: phases, cost, and what to type next.

use std::time::Duration;

use jiff::Timestamp;
use l4re_cloud::Instance;

use super::attach::Ending;
use super::connect::Connection;
use crate::commands::Context;
use crate::target::masked;

/// Columns of the phase table.
const TABLE: u16 = 45;

/// The phase table, on stderr. Times count from when EC2 said that the instance runs; what
/// passes before the first output is `start`.
pub fn phases(context: &Context, ending: &Ending) {
    let (shell, report) = (&context.shell, &ending.report);
    shell.detail("Log", &ending.log);
    let Some(first) = report.phases.as_slice().first() else { return };
    let mut begin = Duration::ZERO;
    let has_room = shell.width() >= TABLE;
    let line = |verb: &str, name: &str, at: String, took: String| {
        let took = if has_room { format!(" {took:>9}") } else { String::new() };
        shell.status(verb, format_args!("{name:<12} {at:>9}{took}"));
    };
    let mut row = |name: &str, took: Duration| {
        line("", name, seconds(begin), seconds(took));
        begin += took;
    };
    line("Phases", "", "at".to_owned(), "took".to_owned());
    row("start", first.at);
    for (phase, took) in report.phases.lasting(report.elapsed) {
        row(phase.name(), took);
    }
    shell.status("", format_args!("{:<12} {:>9}", "end", seconds(report.elapsed)));
}

fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}

/// How to get back to an instance that runs on, and what that costs.
pub fn ready_again(context: &Context, connection: &Connection, instance: &Instance) {
    let name = instance.name.as_deref().unwrap_or(&instance.id);
    let flag = context.end();
    let cost = match connection.prices.of(&instance.instance_type) {
        Some(money) => {
            let spent = money.spent(instance, Timestamp::now());
            let spent = spent.map(|spent| format!(", {spent:.2} $ so far")).unwrap_or_default();
            let cost = money.for_market(instance.spot_request.is_some());
            format!(", at {cost}{spent}")
        }
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

/// Whether a type is metal, by the name that EC2 gives those.
pub fn is_metal(instance_type: &str) -> bool {
    instance_type.split_once('.').is_some_and(|(_, size)| size.starts_with("metal"))
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
