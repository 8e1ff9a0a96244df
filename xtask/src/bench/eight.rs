//! Eight hello instances at once: how long until the last one says so, and how much memory
//! all of it takes meanwhile, QEMU, daemon and commands together.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use camino::Utf8Path;

use super::figure::{Figure, Unit};
use super::outcome::Outcome;
use super::sample::Goal;
use super::{Bench, boot};

/// In seconds: what the slowest machine that CI has may take.
const TIME: Goal =
    Goal { name: "eight", tree: None, ours: "8 hello at once", theirs: "", target: 240.0 };
/// In MiB.
const MEMORY: Goal = Goal { name: "eight-memory", target: 4096.0, ..TIME };
const GUESTS: usize = 8;
/// How often memory is looked at.
const LOOK: Duration = Duration::from_millis(250);

/// Measures both.
pub(super) fn measure(bench: &Bench<'_>) -> Result<Vec<Outcome>> {
    let state = bench.project.target.join("bench/eight");
    boot::with_twin(bench, &state, || {
        let done = AtomicBool::new(false);
        let (time, memory) = std::thread::scope(|scope| {
            let peak = scope.spawn(|| peak_of(&state, &done));
            let time = all(bench, &state);
            done.store(true, Ordering::Relaxed);
            (time, peak.join().unwrap_or(f64::INFINITY))
        });
        let goal = |goal: Goal| Goal { tree: Some(bench.which), ..goal };
        let figure = |goal, unit, ours| {
            Outcome::Figure(Figure { goal, unit, ours, theirs: None, rounds: 1 })
        };
        Ok(vec![
            figure(goal(TIME), Unit::Seconds, time?.as_secs_f64()),
            figure(goal(MEMORY), Unit::Mebibytes, memory),
        ])
    })
}

fn all(bench: &Bench<'_>, state: &Utf8Path) -> Result<Duration> {
    // What is not built yet is built before the clock starts.
    boot::hello(bench, state, "first").context("one hello alone")?;
    let runs: Vec<Result<Duration>> = std::thread::scope(|scope| {
        let names: Vec<String> = (1..=GUESTS).map(|number| format!("hello-{number}")).collect();
        let threads: Vec<_> = names
            .into_iter()
            .map(|name| scope.spawn(move || boot::hello(bench, state, &name)))
            .collect();
        let panicked = |_| anyhow::anyhow!("a run of the bench panicked");
        threads.into_iter().map(|thread| thread.join().map_err(panicked)?).collect()
    });
    let times = runs.into_iter().collect::<Result<Vec<_>>>()?;
    Ok(times.into_iter().max().unwrap_or_default())
}

/// The most memory, in MiB, that everything of this state directory takes until `done`.
fn peak_of(state: &Utf8Path, done: &AtomicBool) -> f64 {
    let mut peak = 0_u64;
    while !done.load(Ordering::Relaxed) {
        peak = peak.max(kibibytes_of(state));
        std::thread::sleep(LOOK);
    }
    peak as f64 / 1024.0
}

/// What processes take that have the state directory in their command line or environment;
/// shared pages are shared out.
fn kibibytes_of(state: &Utf8Path) -> u64 {
    let Ok(processes) = std::fs::read_dir("/proc") else { return 0 };
    let ours = |dir: &std::path::Path| {
        ["cmdline", "environ"].iter().any(|file| {
            std::fs::read(dir.join(file))
                .is_ok_and(|text| String::from_utf8_lossy(&text).contains(state.as_str()))
        })
    };
    processes
        .flatten()
        .map(|entry| entry.path())
        .filter(|dir| ours(dir))
        .filter_map(|dir| proportional(&std::fs::read_to_string(dir.join("smaps_rollup")).ok()?))
        .sum()
}

fn proportional(rollup: &str) -> Option<u64> {
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_proportional_size_is_read() {
        assert_eq!(proportional("Rss:   10 kB\nPss:      2048 kB\nPss_Dirty: 1 kB\n"), Some(2048));
        assert_eq!(proportional("nothing"), None);
    }
}
