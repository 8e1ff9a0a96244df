//! `watch` from the last write to the application's first line, against the loop by hand:
//! make, then QEMU with the same firmware, iPXE and accelerator. The change is that of a small
//! module, so that neither side compiles anything.
//!
//! The machine that waits has come to its wait before a clock starts, as it has for anybody who
//! reads what the last run printed before the next change.

use std::io::{BufRead, BufReader};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use camino::{Utf8Path, Utf8PathBuf};

use super::figure::{Figure, Unit, median_ms};
use super::outcome::Outcome;
use super::sample::Goal;
use super::{Bench, boot, by_hand};
use crate::call::Call;
use crate::shell;

/// In seconds.
const LINE: Goal = Goal {
    name: "watch",
    tree: None,
    ours: "cargo l4re watch",
    theirs: "make, QEMU by hand",
    target: 2.0,
};
/// In milliseconds, the build included.
const RESET: Goal = Goal {
    name: "watch-reset",
    ours: "write to the machine's new start",
    theirs: "",
    target: 300.0,
    ..LINE
};
const ROUNDS: u32 = 5;
const ENTRY: &str = "hello";
/// What a machine prints that waits for its image.
const PARKED: &str = "l4re: parked polls";
/// Limit for what a machine prints.
const LIMIT: Duration = Duration::from_secs(300);
const LOOK: Duration = Duration::from_millis(50);

/// Measures both.
pub(super) fn measure(bench: &Bench<'_>) -> Result<Vec<Outcome>> {
    let folder = bench.project.target.join("bench/watch");
    if folder.exists() {
        fs_err::remove_dir_all(&folder)?;
    }
    fs_err::create_dir_all(folder.join("images"))?;
    fs_err::write(folder.join("modules.list"), list(&folder))?;
    let loops = Loops { bench, state: folder.join("state"), folder };
    loops.change(0)?;
    let (lines, resets) = boot::with_twin(bench, &loops.state, || loops.ours())?;
    let theirs = (0..loops.rounds()).map(|round| loops.by_hand(round));
    let theirs = median_ms(theirs.collect::<Result<Vec<_>>>()?) / 1000.0;
    let rounds = loops.rounds() as usize;
    let figure = |goal, unit, ours, theirs| {
        let goal = Goal { tree: Some(bench.which), ..goal };
        Outcome::Figure(Figure { goal, unit, ours, theirs, rounds })
    };
    let line = figure(LINE, Unit::Seconds, median_ms(lines) / 1000.0, Some(theirs));
    Ok(vec![line, figure(RESET, Unit::Milliseconds, median_ms(resets), None)])
}

/// Both loops, around the same files.
struct Loops<'a> {
    bench: &'a Bench<'a>,
    state: Utf8PathBuf,
    folder: Utf8PathBuf,
}

impl Loops<'_> {
    fn rounds(&self) -> u32 {
        self.bench.rounds.unwrap_or(ROUNDS)
    }

    fn change(&self, number: u32) -> Result<()> {
        Ok(fs_err::write(self.folder.join("small"), format!("change {number}"))?)
    }

    /// The times to the line, and to the machine's new start.
    fn ours(&self) -> Result<(Vec<Duration>, Vec<Duration>)> {
        let argv = watch_argv(self.bench, &self.folder);
        let argv: Vec<&str> = argv.iter().map(String::as_str).collect();
        let call = boot::with_state(&argv, &self.state);
        let output = call.expression().stdin_null().stderr_null().unchecked().reader()?;
        let mut watch = Watch { lines: BufReader::new(&output).lines() };
        shell::status("Watching", ENTRY);
        let mut measured = || {
            let (mut lines, mut resets) = (Vec::new(), Vec::new());
            watch.until("booted")?;
            watch.until_line()?;
            for round in 1..=self.rounds() {
                self.wait_until_parked()?;
                let start = Instant::now();
                self.change(round)?;
                watch.until("booted")?;
                resets.push(start.elapsed());
                watch.until_line()?;
                lines.push(start.elapsed());
            }
            Ok((lines, resets))
        };
        let result = measured();
        // Its machines end with the twin, which is stopped next.
        output.kill()?;
        result
    }

    /// Make, then QEMU to the line.
    fn by_hand(&self, round: u32) -> Result<Duration> {
        self.change(1000 + round)?;
        let start = Instant::now();
        Call::new(make_argv(&self.bench.tree, &self.folder)).time()?;
        let image = self.folder.join(format!("images/bootstrap_{ENTRY}.efi"));
        let qemu = by_hand::prepare(&self.folder.join("by-hand"), &image)?;
        boot::until_line(qemu.call(), boot::Then::Kill)?;
        Ok(start.elapsed())
    }

    /// Waits for a machine that waits.
    fn wait_until_parked(&self) -> Result<()> {
        let deadline = Instant::now() + LIMIT;
        let instances = self.state.join("cargo-l4re/twin/instances");
        while Instant::now() < deadline {
            for entry in instances.read_dir_utf8()? {
                let console = fs_err::read(entry?.path().join("console.log")).unwrap_or_default();
                let console = String::from_utf8_lossy(&console);
                if console.contains(PARKED) && !console.contains(boot::LINE) {
                    return Ok(());
                }
            }
            std::thread::sleep(LOOK);
        }
        bail!("no machine waits for an image after {} s", LIMIT.as_secs())
    }
}

/// What `watch` says.
struct Watch<L> {
    lines: L,
}

impl<L: Iterator<Item = std::io::Result<String>>> Watch<L> {
    /// Reads up to a message.
    fn until(&mut self, reason: &str) -> Result<serde_json::Value> {
        loop {
            let line = self.lines.next().context("`cargo l4re watch` ended")??;
            let message: serde_json::Value = serde_json::from_str(&line)?;
            if message["reason"] == reason {
                return Ok(message);
            }
        }
    }

    /// Reads up to the application's first line.
    fn until_line(&mut self) -> Result<()> {
        let mut text = String::new();
        while !text.contains(boot::LINE) {
            text.push_str(self.until("console")?["text"].as_str().unwrap_or_default());
        }
        Ok(())
    }
}

/// `hello` with a small module more.
fn list(folder: &Utf8Path) -> String {
    format!(
        "modaddr 0x01100000\n\ndefault-kernel fiasco -serial_esc\ndefault-bootstrap bootstrap\n\n\
         entry {ENTRY}\nroottask moe --init=rom/hello\nmodule l4re\nmodule hello\n\
         module {folder}/small\n"
    )
}

fn variables(folder: &Utf8Path) -> [String; 2] {
    [format!("MODULES_LIST={folder}/modules.list"), format!("BOOTSTRAP_OUTPUT_DIR={folder}/images")]
}

fn watch_argv(bench: &Bench<'_>, folder: &Utf8Path) -> Vec<String> {
    let head = [bench.binary.as_str(), "l4re", "watch", ENTRY, "--tree", bench.tree.as_str()];
    let rest = ["--message-format", "json"].map(str::to_owned);
    head.into_iter().map(str::to_owned).chain(rest).chain(variables(folder)).collect()
}

fn make_argv(tree: &Utf8Path, folder: &Utf8Path) -> Vec<String> {
    let entry = format!("E={ENTRY}");
    let head = ["make", "-C", tree.as_str(), "efiimage", &entry];
    head.into_iter().map(str::to_owned).chain(variables(folder)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_is_that_of_the_new_start() {
        let message = |reason: &str, text: &str| {
            Ok(serde_json::json!({ "reason": reason, "text": text }).to_string())
        };
        let said = [
            message("console", "Hello World!\n"),
            message("booted", ""),
            message("console", "Hello Wor"),
            message("phase", ""),
            message("console", "ld!\n"),
            message("console", "after"),
        ];
        let mut watch = Watch { lines: said.into_iter() };
        watch.until("booted").unwrap();
        watch.until_line().unwrap();
        assert_eq!(watch.until("console").unwrap()["text"], "after");
        assert!(watch.until("booted").unwrap_err().to_string().contains("ended"));
    }

    #[test]
    fn both_loops_make_the_same_entry_of_the_same_list() {
        let folder = Utf8Path::new("/f");
        let make = make_argv(Utf8Path::new("/t"), folder).join(" ");
        assert_eq!(
            make,
            "make -C /t efiimage E=hello MODULES_LIST=/f/modules.list \
             BOOTSTRAP_OUTPUT_DIR=/f/images"
        );
        assert!(list(folder).ends_with("module hello\nmodule /f/small\n"));
    }
}
