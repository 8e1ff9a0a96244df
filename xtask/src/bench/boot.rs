//! `run` to the application's first line, against QEMU started by hand with the same
//! firmware, iPXE and image. The clock starts with the process and stops when the line is
//! on its output; what follows (the stop) does not count.
//!
//! The twin runs already, as it does for all but the first run of a day.

use std::io::Read;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use camino::Utf8Path;

use super::sample::{Goal, Sample, alternate};
use super::{Bench, by_hand};
use crate::call::Call;

const GOAL: Goal =
    Goal { name: "run", tree: None, ours: "cargo l4re run", theirs: "QEMU by hand", target: 1.10 };
const ROUNDS: u32 = 5;
/// The application's first line.
pub(super) const LINE: &str = "Hello World!";
/// The same as a regular expression that a status line which quotes it does not match.
const PATTERN: &str = "Hello Wor[l]d!";

/// Measures both.
pub(super) fn measure(bench: &Bench<'_>) -> Result<Sample> {
    let state = bench.project.target.join("bench/state");
    with_twin(bench, &state, || both(bench, &state))
}

/// Does something while a twin runs with this state directory, which is made anew.
pub(super) fn with_twin<T>(
    bench: &Bench<'_>,
    state: &Utf8Path,
    act: impl FnOnce() -> Result<T>,
) -> Result<T> {
    let twin = |verb: &str| with_state(&[bench.binary.as_str(), "l4re", "twin", verb], state);
    if state.exists() {
        // A bench that was killed may have left a twin, and a machine of the same name.
        twin("stop").time().context("stopping the twin of an earlier bench")?;
        fs_err::remove_dir_all(state)?;
    }
    fs_err::create_dir_all(state)?;
    twin("start").time().context("starting the twin")?;
    let done = act();
    let stopped = twin("stop").time();
    let done = done?;
    stopped.context("stopping the twin")?;
    Ok(done)
}

/// One `run hello` of this name, to the application's first line.
pub(super) fn hello(bench: &Bench<'_>, state: &Utf8Path, name: &str) -> Result<Duration> {
    let (binary, tree) = (bench.binary.as_str(), bench.tree.as_str());
    let words = ["l4re", "run", "hello", "--name", name, "--tree", tree];
    let rest = ["--expect", PATTERN, "--timeout", "10m"];
    let argv: Vec<&str> = std::iter::once(binary).chain(words).chain(rest).collect();
    until_line(&with_state(&argv, state), Then::LetEnd)
}

fn both(bench: &Bench<'_>, state: &Utf8Path) -> Result<Sample> {
    let binary = bench.binary.as_str();
    let tree = bench.tree.as_str();
    let run = ["l4re", "run", "hello", "--tree", tree, "--expect", PATTERN, "--timeout", "5m"];
    let argv: Vec<&str> = std::iter::once(binary).chain(run).collect();
    let ours = with_state(&argv, state);
    Call::new(["make", "-C", tree, "efiimage", "E=hello"]).time().context("making the image")?;
    let image = bench.tree.join("images/bootstrap_hello.efi");
    let theirs = by_hand::prepare(&bench.project.target.join("bench/by-hand"), &image)?;
    alternate(
        Goal { tree: Some(bench.which), ..GOAL },
        bench.rounds.unwrap_or(ROUNDS),
        || until_line(&ours, Then::LetEnd),
        || until_line(theirs.call(), Then::Kill),
    )
}

/// The call with a twin of its own, emulated as the other side is.
pub(super) fn with_state(argv: &[&str], state: &Utf8Path) -> Call {
    Call::new(argv.iter().copied())
        .env("XDG_STATE_HOME", state.as_str())
        .env("CARGO_L4RE_TWIN_ACCEL", by_hand::ACCELERATOR)
}

/// What becomes of the process once the line was seen.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    /// It ends by itself: that is its job.
    LetEnd,
    /// It would run for ever.
    Kill,
}

/// Runs `call` and gives the time until the line was on its output.
pub(super) fn until_line(call: &Call, then: Then) -> Result<Duration> {
    let expression = call.expression().stdin_null().stderr_to_stdout().unchecked();
    let start = Instant::now();
    let output = expression.reader()?;
    let mut seen = Vec::new();
    let mut chunk = [0; 4096];
    let took = loop {
        let length = (&output).read(&mut chunk)?;
        if length == 0 {
            let text = String::from_utf8_lossy(&seen).into_owned();
            bail!("`{}` ended before `{LINE}`:\n{text}", call.line());
        }
        seen.extend_from_slice(&chunk[..length]);
        if holds(&seen, length + LINE.len()) {
            break start.elapsed();
        }
    };
    if then == Then::Kill {
        output.kill()?;
    } else {
        std::io::copy(&mut &output, &mut std::io::sink())?;
    }
    Ok(took)
}

/// Whether the line is in the last `length` bytes of `seen`.
fn holds(seen: &[u8], length: usize) -> bool {
    let from = seen.len().saturating_sub(length);
    seen[from..].windows(LINE.len()).any(|window| window == LINE.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_stops_at_the_line_and_a_process_that_goes_on_is_killed() {
        let call = Call::new(["sh", "-c", "printf 'Hello Wor'; echo 'ld!'; exec sleep 600"]);
        assert!(until_line(&call, Then::Kill).unwrap() < Duration::from_secs(60));
    }

    #[test]
    fn a_process_that_ends_without_the_line_is_an_error_with_its_output() {
        let error = until_line(&Call::new(["echo", "no firmware"]), Then::LetEnd).unwrap_err();
        assert!(error.to_string().contains("no firmware"));
    }

    #[test]
    fn the_line_is_found_across_two_reads() {
        assert!(holds(b"Hello World!", 3 + LINE.len()));
        assert!(!holds(b"Hello World", 12));
    }
}
