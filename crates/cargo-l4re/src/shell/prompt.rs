//! A question to the person at the terminal. Without a terminal nothing is asked.

use std::io::{IsTerminal, Write};

use super::Shell;

impl Shell {
    /// Whether somebody can be asked: keys come from a terminal that is ours now, and the
    /// question would be seen.
    pub fn can_ask(&self) -> bool {
        crate::terminal::may_read() && std::io::stderr().is_terminal() && !self.is_json()
    }

    /// Asks a question and waits for a line; only `y` or `yes` is a yes.
    pub fn confirm(&self, question: &str) -> std::io::Result<bool> {
        self.on_stderr(|stderr| {
            write!(stderr, "{question} [y/N] ")?;
            stderr.flush()
        });
        let mut answer = String::new();
        std::io::stdin().read_line(&mut answer)?;
        Ok(is_yes(&answer))
    }
}

fn is_yes(answer: &str) -> bool {
    matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_yes_is_a_yes() {
        assert!(is_yes("y\n") && is_yes("Yes\r\n"));
        assert!(!is_yes("\n") && !is_yes("") && !is_yes("no\n") && !is_yes("yellow\n"));
    }
}
