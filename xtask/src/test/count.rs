//! The sum of what test programs say of themselves: libtest's `test result:` lines.

/// How many tests ran, over all programs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Count {
    /// Tests that passed.
    pub(super) passed: u64,
    /// Tests that failed.
    pub(super) failed: u64,
}

impl Count {
    /// Adds what `line` says, if it is a program's closing line.
    pub(super) fn take(&mut self, line: &str) {
        let Some(parts) = line.trim().strip_prefix("test result: ") else { return };
        let (_verdict, parts) = parts.split_once(". ").unwrap_or(("", parts));
        for part in parts.split("; ") {
            match part.split_once(' ') {
                Some((number, "passed")) => self.passed += number.parse().unwrap_or(0),
                Some((number, "failed")) => self.failed += number.parse().unwrap_or(0),
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closing_lines_are_summed_and_others_are_not() {
        let mut count = Count::default();
        for line in [
            "running 3 tests",
            "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out",
            "test result: FAILED. 2 passed; 5 failed; 0 ignored; 0 measured; 0 filtered out",
            "3 passed",
            "test result: nonsense",
        ] {
            count.take(line);
        }
        assert_eq!(count, Count { passed: 5, failed: 5 });
    }
}
