//! 1 GiB of hostile console bytes through `cargo l4re console --from FILE`, the whole command:
//! raw log, recogniser, two expectations, the filter for terminals and stdout (`/dev/null`);
//! beside `grep -E` with the same two patterns, and beside MiB a second and MiB of memory.
//!
//! Hostile are noise (most of it invalid UTF-8), a line without an end, dense control
//! sequences, NULs, and lines that nearly say what is looked for. What is expected stands at
//! the very end, so that both sides read it all.

use std::io::Write;

use anyhow::{Context, Result, ensure};
use camino::{Utf8Path, Utf8PathBuf};

use super::Bench;
use super::large::noise;
use super::outcome::{Outcome, Rate};
use super::peak;
use super::sample::{Goal, alternate};
use crate::call::Call;

const GREP: Goal = Goal {
    name: "console-grep",
    tree: None,
    ours: "cargo l4re console --from",
    theirs: "grep -E",
    target: 2.0,
};
/// In MiB a second, at least.
const SPEED: Goal = Goal { name: "console-speed", theirs: "", target: 200.0, ..GREP };
/// In MiB.
const MEMORY: Goal = Goal { name: "console-memory", target: 64.0, ..SPEED };

const ROUNDS: u32 = 3;
const PATTERNS: [&str; 2] = ["Hello World [0-9]+", "login: $"];
/// What they match.
const END: &str = "\nHello World 42\r\nlogin: \n";
const PIECE: usize = 16 * 1024 * 1024;
const PIECES: usize = 64;

/// Measures all of it.
pub(super) fn measure(bench: &Bench<'_>) -> Result<Vec<Outcome>> {
    let folder = Folder::new(bench.project.target.join("bench/console"))?;
    write_hostile(&folder.input())?;
    let ours = Call::new(our_argv(&bench.binary, &folder));
    let grep = Call::new(grep_argv(&folder));
    let rounds = bench.rounds.unwrap_or(ROUNDS);
    let alone = || {
        // Each run has a new log; to empty the last one would be the file system's time.
        if folder.log().exists() {
            fs_err::remove_file(folder.log())?;
        }
        ours.time_alone()
    };
    let sample = alternate(GREP, rounds, alone, || grep.time_alone())?;
    ensure!(folder.is_logged()?, "the log is not what was read");
    let mebibytes = (PIECE * PIECES) as f64 / f64::from(1 << 20);
    let rate = Rate {
        goal: SPEED,
        rounds: sample.rounds(),
        per_second: mebibytes / sample.ours().as_secs_f64(),
    };
    let python = bench.project.venv().join("bin/python");
    let peak = peak::take(MEMORY, 1, || peak::of(&python, &our_argv(&bench.binary, &folder)))?;
    Ok(vec![Outcome::Ratio(sample), Outcome::Rate(rate), Outcome::Peak(peak)])
}

/// The folder of this measure; gone with this value.
struct Folder(Utf8PathBuf);

impl Folder {
    fn new(path: Utf8PathBuf) -> Result<Self> {
        if path.exists() {
            fs_err::remove_dir_all(&path)?;
        }
        fs_err::create_dir_all(&path)?;
        Ok(Self(path))
    }

    fn input(&self) -> Utf8PathBuf {
        self.0.join("hostile")
    }

    fn log(&self) -> Utf8PathBuf {
        self.0.join("console.log")
    }

    fn is_logged(&self) -> Result<bool> {
        Ok(Call::new(["cmp", self.input().as_str(), self.log().as_str()]).succeeds())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left is removed by the next bench.
        let _ = fs_err::remove_dir_all(&self.0);
    }
}

fn our_argv(binary: &Utf8Path, folder: &Folder) -> Vec<String> {
    let (input, log) = (folder.input(), folder.log());
    let head =
        [binary.as_str(), "l4re", "console", "--from", input.as_str(), "--log", log.as_str()];
    let expect = PATTERNS.iter().flat_map(|pattern| ["--expect", pattern]);
    head.into_iter()
        .chain(expect)
        .chain(["--timeout", "1h", "--quiet"])
        .map(str::to_owned)
        .collect()
}

fn grep_argv(folder: &Folder) -> Vec<String> {
    let input = folder.input();
    let mut argv = vec!["grep", "-E", "--text", "--count"];
    PATTERNS.iter().for_each(|pattern| argv.extend(["-e", pattern]));
    argv.push(input.as_str());
    argv.into_iter().map(str::to_owned).collect()
}

/// Writes the same bytes each time.
fn write_hostile(path: &Utf8Path) -> Result<()> {
    let mut file = fs_err::File::create(path)?;
    let mut state = 0x9e37_79b9_7f4a_7c15;
    let mut piece = Vec::with_capacity(PIECE);
    for number in 0..PIECES {
        piece.clear();
        while piece.len() < PIECE {
            hostile(number, &mut state, &mut piece);
        }
        piece.truncate(PIECE);
        if number + 1 == PIECES {
            piece.truncate(PIECE - END.len());
            piece.extend_from_slice(END.as_bytes());
        }
        file.write_all(&piece)?;
    }
    file.sync_all().context("writing the hostile bytes")?;
    Ok(())
}

/// Some bytes of the kind whose turn it is.
fn hostile(number: usize, state: &mut u64, out: &mut Vec<u8>) {
    match number % 5 {
        0 => (0..512).for_each(|_| out.extend_from_slice(&noise(state).to_le_bytes())),
        1 => out.extend_from_slice(&[b'x'; 4096]),
        2 => {
            out.extend_from_slice(b"\x1b[31mab\x1b]0;t\x07\x1b[6n\x1b[mcd\x9b\xff\x1b]52;c;x\x1b\\")
        }
        3 => out.extend_from_slice(&[0; 4096]),
        _ => {
            let line = format!("app     | Hello World, login:x {}\r\n", noise(state));
            out.extend_from_slice(line.as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_look_for_the_same() {
        let room = camino_tempfile::tempdir().unwrap();
        let folder = Folder::new(room.path().join("console")).unwrap();
        let at = &folder.0;
        assert_eq!(
            our_argv(Utf8Path::new("/b"), &folder).join(" "),
            format!(
                "/b l4re console --from {at}/hostile --log {at}/console.log --expect Hello World \
                 [0-9]+ --expect login: $ --timeout 1h --quiet"
            )
        );
        assert_eq!(
            grep_argv(&folder).join(" "),
            format!("grep -E --text --count -e Hello World [0-9]+ -e login: $ {at}/hostile")
        );
    }

    #[test]
    fn each_kind_is_there_and_the_patterns_only_at_the_end() {
        let mut state = 1;
        for number in 0..5 {
            let mut bytes = Vec::new();
            hostile(number, &mut state, &mut bytes);
            let text = String::from_utf8_lossy(&bytes);
            assert!(!text.contains("Hello World 4") && !text.ends_with("login: \n"), "{number}");
        }
    }
}
