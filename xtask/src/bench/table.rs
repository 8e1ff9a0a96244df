//! The results: a table for people, JSON for programs. Both say the same.

use serde_json::{Value, json};

use super::sample::Sample;

/// The table's lines, its head first.
pub(super) fn lines(samples: &[Sample]) -> Vec<String> {
    let head = ["measure", "ours", "theirs", "ratio", "target", "verdict"].map(str::to_owned);
    let rows: Vec<[String; 6]> = std::iter::once(head).chain(samples.iter().map(row)).collect();
    let widths: [usize; 6] =
        std::array::from_fn(|column| rows.iter().map(|row| row[column].len()).max().unwrap_or(0));
    rows.iter().map(|row| aligned(row, widths)).collect()
}

/// The same as JSON, times in seconds.
pub(super) fn json(samples: &[Sample]) -> Value {
    let measures: Vec<Value> = samples
        .iter()
        .map(|sample| {
            json!({
                "name": sample.goal.name,
                "ours": { "what": sample.goal.ours, "median": sample.ours().as_secs_f64() },
                "theirs": { "what": sample.goal.theirs, "median": sample.theirs().as_secs_f64() },
                "rounds": sample.rounds(),
                "ratio": sample.ratio(),
                "target": sample.goal.target,
                "ok": sample.is_ok(),
            })
        })
        .collect();
    json!({ "format_version": 1, "measures": measures })
}

fn row(sample: &Sample) -> [String; 6] {
    let side =
        |what: &str, time: std::time::Duration| format!("{what} {:.3} s", time.as_secs_f64());
    [
        sample.goal.name.to_owned(),
        side(sample.goal.ours, sample.ours()),
        side(sample.goal.theirs, sample.theirs()),
        format!("{:.3}", sample.ratio()),
        format!("<= {}", sample.goal.target),
        sample.verdict(),
    ]
}

fn aligned(row: &[String; 6], widths: [usize; 6]) -> String {
    let cells: Vec<String> =
        row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
    cells.join("  ").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::super::sample::tests::sample;
    use super::*;

    #[test]
    fn the_table_is_aligned() {
        let samples = [sample(&[10], &[500], 0.03), sample(&[1100], &[1000], 1.03)];
        assert_eq!(
            lines(&samples),
            [
                "measure  ours       theirs     ratio  target   verdict",
                "start    a 0.010 s  b 0.500 s  0.020  <= 0.03  ok",
                "start    a 1.100 s  b 1.000 s  1.100  <= 1.03  short by 7 %",
            ]
        );
    }

    #[test]
    fn json_says_the_same() {
        let json = json(&[sample(&[10], &[500], 0.03)]);
        assert_eq!(json["measures"][0]["ratio"], 0.02);
        assert_eq!(json["measures"][0]["ok"], true);
    }
}
