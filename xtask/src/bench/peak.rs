//! The peak memory of a call and of all that it starts, as the kernel counts it.
//!
//! Python asks for it, since `getrusage` is not to be had without unsafe code here. The count
//! begins at the fork, so that no answer is below what Python itself needs (some 7 MiB): a
//! peak is never told smaller than it was.

use anyhow::{Context, Result};
use camino::Utf8Path;

use super::sample::Goal;
use crate::call::Call;

/// Runs its arguments, all their output away from stdout, and prints the peak in KiB.
const SCRIPT: &str = "\
import os, resource, sys
answer = os.dup(1)
os.dup2(2, 1)
code = os.spawnvp(os.P_WAIT, sys.argv[1], sys.argv[1:])
os.write(answer, b'%d' % resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(code if code >= 0 else 128 - code)
";

/// What our side took at most in each round; never empty.
#[derive(Clone, Debug)]
pub(super) struct Peak {
    /// What was measured; its target is in MiB.
    pub(super) goal: Goal,
    rounds: Vec<f64>,
}

/// Takes `rounds` peaks in MiB.
pub(super) fn take(goal: Goal, rounds: u32, mut ours: impl FnMut() -> Result<f64>) -> Result<Peak> {
    let rounds = (0..rounds.max(1)).map(|_| ours()).collect::<Result<_>>()?;
    Ok(Peak { goal, rounds })
}

/// The peak memory of `argv` in MiB, by the Python at `python`.
pub(super) fn of(python: &Utf8Path, argv: &[String]) -> Result<f64> {
    let call = Call::new(argv_of(python, argv));
    let answer = call.read().context("measuring the peak of memory")?;
    mebibytes(&answer).with_context(|| format!("`{}` answers {answer:?}", call.line()))
}

fn argv_of(python: &Utf8Path, argv: &[String]) -> Vec<String> {
    // Without the user's environment and site packages: they would only add to the least.
    let head = [python.as_str(), "-I", "-S", "-c", SCRIPT].map(str::to_owned);
    head.into_iter().chain(argv.iter().cloned()).collect()
}

fn mebibytes(answer: &str) -> Option<f64> {
    answer.trim().parse::<u32>().ok().map(|kibibytes| f64::from(kibibytes) / 1024.0)
}

impl Peak {
    /// The largest of all rounds, in MiB: a limit holds always, not half of the time.
    pub(super) fn largest(&self) -> f64 {
        self.rounds.iter().copied().fold(0.0, f64::max)
    }

    /// How many times it was measured.
    pub(super) fn rounds(&self) -> usize {
        self.rounds.len()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A peak for the tests of the table.
    pub(crate) fn peak(rounds: &[f64], target: f64) -> Peak {
        let goal = Goal { name: "memory", tree: None, ours: "a", theirs: "", target };
        Peak { goal, rounds: rounds.to_vec() }
    }

    fn of_script(script: &str) -> Result<f64> {
        let argv = ["/usr/bin/python3", "-c", script].map(str::to_owned);
        of(Utf8Path::new("/usr/bin/python3"), &argv)
    }

    #[test]
    fn the_peak_is_that_of_the_call_and_of_what_it_starts() {
        let grow = "print('noise'); x = b'x' * (100 << 20)";
        let peak = of_script(grow).unwrap();
        assert!((100.0..150.0).contains(&peak), "{peak}");
        let inner =
            format!("import subprocess; subprocess.run(['/usr/bin/python3', '-c', {grow:?}])");
        assert!(of_script(&inner).unwrap() >= 100.0);
        assert!(of_script("").unwrap() < 32.0);
    }

    #[test]
    fn a_call_that_fails_is_an_error_with_its_output() {
        let error = of_script("import sys; print('oh no'); sys.exit(3)").unwrap_err();
        assert!(format!("{error:#}").contains("oh no"), "{error:#}");
        assert!(of_script("import os; os.kill(os.getpid(), 9)").is_err());
        assert!(of(Utf8Path::new("/usr/bin/python3"), &["/no/such/program".to_owned()]).is_err());
    }

    #[test]
    fn the_largest_counts() {
        let mut next = [10.0, 33.0, 12.0].into_iter();
        let taken = take(peak(&[], 32.0).goal, 3, || Ok(next.next().unwrap())).unwrap();
        assert_eq!((taken.rounds(), taken.largest()), (3, 33.0));
    }

    #[test]
    fn the_answer_is_a_number_of_kibibytes() {
        assert_eq!(mebibytes("1536\n"), Some(1.5));
        assert_eq!(mebibytes("noise 1536"), None);
    }
}
