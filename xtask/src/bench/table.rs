//! The results: a table for people, JSON for programs. Both say the same.

use std::time::Duration;

use serde_json::{Value, json};

use super::outcome::Outcome;
use super::sample::Tree;

const HEAD: [&str; 7] = ["measure", "tree", "ours", "theirs", "ratio", "target", "verdict"];
/// In place of what a measure does not have.
const NONE: &str = "-";

type Row = [String; HEAD.len()];

/// The table's lines, its head first.
pub(super) fn lines(outcomes: &[Outcome]) -> Vec<String> {
    let head = HEAD.map(str::to_owned);
    let rows: Vec<Row> = std::iter::once(head).chain(outcomes.iter().map(row)).collect();
    let widths: [usize; HEAD.len()] =
        std::array::from_fn(|column| rows.iter().map(|row| row[column].len()).max().unwrap_or(0));
    rows.iter().map(|row| aligned(row, widths)).collect()
}

/// The same as JSON, times in seconds, memory in MiB.
pub(super) fn json(outcomes: &[Outcome]) -> Value {
    let measures: Vec<Value> = outcomes.iter().map(measure).collect();
    json!({ "format_version": 1, "measures": measures })
}

fn measure(outcome: &Outcome) -> Value {
    let goal = outcome.goal();
    let mut value = json!({
        "name": goal.name,
        "tree": goal.tree.map(Tree::name),
        "rounds": outcome.rounds(),
        "target": goal.target,
        "ok": outcome.is_ok(),
    });
    match outcome {
        Outcome::Ratio(sample) => {
            let side = |what, time: Duration| json!({ "what": what, "median": time.as_secs_f64() });
            value["ours"] = side(goal.ours, sample.ours());
            value["theirs"] = side(goal.theirs, sample.theirs());
            value["ratio"] = sample.ratio().into();
        }
        Outcome::Peak(peak) => {
            value["ours"] = json!({ "what": goal.ours, "peak_mib": peak.largest() });
        }
        Outcome::Rate(rate) => {
            value["ours"] = json!({ "what": goal.ours, "mib_per_s": rate.per_second });
        }
        Outcome::Figure(figure) => {
            let unit = figure.unit.name();
            let side = |what, number: f64| json!({ "what": what, unit: number });
            value["ours"] = side(goal.ours, figure.ours);
            value["theirs"] = figure.theirs.map_or(Value::Null, |number| side(goal.theirs, number));
        }
    }
    value
}

fn row(outcome: &Outcome) -> Row {
    let goal = outcome.goal();
    let time = |what: &str, time: Duration| format!("{what} {:.3} s", time.as_secs_f64());
    let [ours, theirs, ratio, target] = match outcome {
        Outcome::Ratio(sample) => [
            time(goal.ours, sample.ours()),
            time(goal.theirs, sample.theirs()),
            format!("{:.3}", sample.ratio()),
            format!("<= {}", goal.target),
        ],
        Outcome::Peak(peak) => [
            format!("{} {:.1} MiB", goal.ours, peak.largest()),
            NONE.to_owned(),
            NONE.to_owned(),
            format!("<= {} MiB", goal.target),
        ],
        Outcome::Rate(rate) => [
            format!("{} {:.0} MiB/s", goal.ours, rate.per_second),
            NONE.to_owned(),
            NONE.to_owned(),
            format!(">= {} MiB/s", goal.target),
        ],
        Outcome::Figure(figure) => {
            let show = |what: &str, number| format!("{what} {}", figure.unit.show(number));
            [
                show(goal.ours, figure.ours),
                figure.theirs.map_or_else(|| NONE.to_owned(), |number| show(goal.theirs, number)),
                figure.theirs.map_or_else(
                    || NONE.to_owned(),
                    |theirs| format!("{:.3}", figure.ours / theirs),
                ),
                figure.target(),
            ]
        }
    };
    let tree = goal.tree.map_or(NONE, Tree::name).to_owned();
    [goal.name.to_owned(), tree, ours, theirs, ratio, target, outcome.verdict()]
}

fn aligned(row: &Row, widths: [usize; HEAD.len()]) -> String {
    let cells: Vec<String> =
        row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
    cells.join("  ").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::super::figure::{Unit, tests::figure};
    use super::super::{peak::tests::peak, sample::tests::sample};
    use super::*;

    fn outcomes() -> [Outcome; 4] {
        let mut short = sample(&[1100], &[1000], 1.03);
        short.goal.tree = Some(Tree::Real);
        [
            Outcome::Ratio(sample(&[10], &[500], 0.03)),
            Outcome::Ratio(short),
            Outcome::Peak(peak(&[20.0, 16.0], 32.0)),
            Outcome::Figure(figure(Unit::Rate, 2000.0, 1000.0)),
        ]
    }

    #[test]
    fn the_table_is_aligned() {
        assert_eq!(
            lines(&outcomes()),
            [
                "measure   tree  ours        theirs     ratio    target      verdict",
                "start     -     a 0.010 s   b 0.500 s  0.020    <= 0.03     ok",
                "start     real  a 1.100 s   b 1.000 s  1.100    <= 1.03     short by 7 %",
                "memory    -     a 20.0 MiB  -          -        <= 32 MiB   ok",
                "describe  -     a 2000 /s   b 5 /s     400.000  >= 1000 /s  ok",
            ]
        );
    }

    #[test]
    fn json_says_the_same() {
        let json = json(&outcomes());
        let [first, second, third, fourth] = [0, 1, 2, 3].map(|index| &json["measures"][index]);
        assert_eq!(first["ratio"], 0.02);
        assert_eq!(first["ok"], true);
        assert_eq!(second["tree"], "real");
        assert_eq!(third["ours"]["peak_mib"], 20.0);
        assert_eq!(third["rounds"], 2);
        assert_eq!(fourth["theirs"]["per_second"], 5.0);
    }
}
