//! Debian's iPXE waits two seconds for somebody to press Ctrl-B; the cloud builds that EC2
//! runs do not ask. Any other key ends the wait, so the twin presses one.

/// What iPXE says before it waits. The option ROM's own question, which ends "to configure
/// iPXE", is another and short.
const QUESTION: &[u8] = b"Press Ctrl-B for the iPXE command line";

/// Looks for the question in a guest's output.
#[derive(Debug, Default)]
pub(super) struct Banner {
    /// The end of what came before: the question may come in pieces.
    before: Vec<u8>,
}

impl Banner {
    /// Whether the question has just been asked.
    pub(super) fn asks(&mut self, output: &[u8]) -> bool {
        self.before.extend_from_slice(output);
        let asked = self.before.windows(QUESTION.len()).any(|window| window == QUESTION);
        let kept = if asked { 0 } else { self.before.len().min(QUESTION.len() - 1) };
        self.before.drain(..self.before.len() - kept);
        asked
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_question_is_found_in_pieces_and_behind_false_starts() {
        let mut banner = Banner::default();
        assert!(!banner.asks(b"Press Ctrl-B for the iPress Ctrl-B for the iP"));
        assert!(banner.asks(b"XE command line..."));
        assert!(!banner.asks(b"Press Ctrl-B to configure iPXE"));
        assert!(banner.asks(b"\nPress Ctrl-B for the iPXE command line..."));
    }
}
