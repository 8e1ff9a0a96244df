//! `cargo l4re ps`: the instances that carry our tags, from any machine.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use jiff::{SignedDuration, Timestamp};
use l4re_cloud::{Instance, InstanceFilter};
use serde_json::json;

use crate::commands::Context;
use crate::failure::Failure;
use crate::instance::{self, Money, Where};
use crate::shell::Table;

/// How long prices may be waited for; a table serves without them.
const PRICE_LIMIT: Duration = Duration::from_secs(2);

/// Arguments of `ps`.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    end: Where,
    /// Terminated ones too, as long as EC2 shows them
    #[arg(short, long)]
    all: bool,
    /// Only those of this owner
    #[arg(long, value_name = "NAME")]
    owner: Option<String>,
}

/// What a narrow terminal does not get, in this order: the name does for all commands.
const LEAST: [&str; 6] = ["OWNER", "ZONE", "AGE", "ID", "SPENT", "TYPE"];

/// Runs `ps`.
pub fn ps(context: &Arc<Context>, arguments: &Arguments) -> Result<(), Failure> {
    let ready = instance::connect(context, &arguments.end)?;
    let filter = InstanceFilter {
        owner: arguments.owner.clone(),
        dead: arguments.all,
        ..InstanceFilter::default()
    };
    let (machines, prices) = context.with_runtime(|runtime, _| {
        runtime.block_on(async {
            let connection = ready.connect().await?;
            let machines = connection.cloud.list(&filter).await?;
            let types: Vec<_> = machines.iter().map(|m| m.instance_type.clone()).collect();
            connection.prices.ask(&connection.cloud, &types, PRICE_LIMIT).await;
            Ok((machines, connection.prices))
        })
    })?;
    let now = Timestamp::now();
    let headings =
        ["NAME", "STATE", "TYPE", "ZONE", "AGE", "EXPIRES", "$/H", "SPENT", "OWNER", "ID"];
    let mut sources = BTreeSet::new();
    let mut table = Table::new(&headings);
    for machine in &machines {
        let money = prices.of(&machine.instance_type);
        context.shell.json("instance", &message(machine, money, now))?;
        table.row(row(machine, money, now));
        sources.extend(money.map(|money| money.source()));
    }
    match machines.is_empty() {
        true => context.shell.status("None", "no instances"),
        false => context.shell.table(table, &LEAST)?,
    }
    for source in sources {
        let of = "on demand; SPENT counts this run and those that `cargo l4re stop` ended";
        context.shell.status("Prices", format_args!("{source}, {of}"));
    }
    for machine in machines.iter().filter(|machine| machine.next_image().is_some()) {
        let name = machine.name.as_deref().unwrap_or(&machine.id);
        context.shell.warn(format_args!(
            "{name} is being given another image, or that was cut off: which one it boots is \
             certain again after `deploy --on {name}`"
        ));
    }
    Ok(())
}

fn row(machine: &Instance, money: Option<Money>, now: Timestamp) -> [String; 10] {
    let dash = || "-".to_owned();
    let text = |value: &Option<String>| value.clone().unwrap_or_else(dash);
    let since = machine.created.or(machine.launched);
    [
        text(&machine.name),
        machine.state.to_string(),
        machine.instance_type.clone(),
        text(&machine.zone),
        since.map_or_else(dash, |since| coarse(now.duration_since(since))),
        machine.expires.map_or_else(dash, |expires| until(expires.duration_since(now))),
        money.map_or_else(dash, |money| format!("{:.3}", money.per_hour())),
        spent(machine, money, now).map_or_else(dash, |spent| format!("{spent:.2}")),
        text(&machine.owner),
        machine.id.clone(),
    ]
}

fn spent(machine: &Instance, money: Option<Money>, now: Timestamp) -> Option<f64> {
    money.and_then(|money| money.spent(machine, now))
}

fn until(left: SignedDuration) -> String {
    match left.is_negative() {
        true => "expired".to_owned(),
        false => format!("in {}", coarse(left)),
    }
}

/// A time in its two largest units: `2h05m`, `3m12s`, `9s`.
pub fn coarse(time: SignedDuration) -> String {
    let seconds = time.as_secs().unsigned_abs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, minutes) => format!("{minutes}m{:02}s", seconds % 60),
        (0, hours, minutes) => format!("{hours}h{minutes:02}m"),
        (days, hours, _) => format!("{days}d{hours:02}h"),
    }
}

fn message(machine: &Instance, money: Option<Money>, now: Timestamp) -> serde_json::Value {
    json!({
        "id": machine.id,
        "name": machine.name,
        "state": machine.state.ec2(),
        "state_reason": machine.reason,
        "type": machine.instance_type,
        "arch": machine.arch,
        "zone": machine.zone,
        "launched": machine.launched,
        "created": machine.created,
        "expires": machine.expires,
        "owner": machine.owner,
        "image": machine.image,
        "next_image": machine.next_image(),
        "public_ip": machine.public_ip,
        "private_ip": machine.private_ip,
        "spot": machine.spot_request.is_some(),
        "end_is_scheduled": machine.end_is_scheduled(),
        "dollars_per_hour": money.map(|money| money.per_hour()),
        "dollars_spent": spent(machine, money, now),
        "price_source": money.map(|money| money.source()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_in_two_units() {
        let text = |seconds| coarse(SignedDuration::from_secs(seconds));
        assert_eq!(text(9), "9s");
        assert_eq!(text(192), "3m12s");
        assert_eq!(text(7500), "2h05m");
        assert_eq!(text(90_000), "1d01h");
        assert_eq!(until(SignedDuration::from_secs(-1)), "expired");
    }
}
