//! The escapes of an attached terminal, as ssh has them.
//!
//! Only after a newline (or at the start) a tilde is special: `~.` leaves, `~?` asks for
//! help, `~B` sends a break, `~C` and `~Z` send what Ctrl-C and Ctrl-Z are, since the keys
//! themselves are ours; `~~` sends one tilde, any other key both. Everything else passes
//! unchanged, ESC included, which enters L4Re's kernel debugger.

/// What becomes of the machine when the user leaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Leaving {
    /// It runs on.
    #[default]
    RunsOn,
    /// It is ended.
    Ends,
}

/// What to show for `~?`. Lines end in CR LF, for a terminal in raw mode.
#[must_use]
pub fn help(leaving: Leaving) -> String {
    let end = match leaving {
        Leaving::RunsOn => "the machine runs on",
        Leaving::Ends => "the machine is ended",
    };
    format!(
        "\r\n\
         ~.  leave the console; {end}\r\n\
         ~B  send a break\r\n\
         ~C  send Ctrl-C, ~Z  send Ctrl-Z: the keys themselves do not go to the machine\r\n\
         ~?  this text\r\n\
         ~~  send a tilde\r\n\
         They count after a newline. ESC goes to the machine: kernel debugger.\r\n"
    )
}

/// What typed bytes come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Typed {
    /// Bytes for the machine.
    Send(Vec<u8>),
    /// Leave.
    Leave,
    /// Show the help.
    Help,
    /// Send a break.
    Break,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    LineStart,
    Tilde,
    Within,
}

/// The state machine over typed bytes.
#[derive(Clone, Debug)]
pub struct EscapeMachine {
    state: State,
}

impl Default for EscapeMachine {
    fn default() -> Self {
        Self { state: State::LineStart }
    }
}

impl EscapeMachine {
    /// Takes typed bytes; what follows a `~.` in them is dropped.
    pub fn push(&mut self, typed: &[u8]) -> Vec<Typed> {
        let mut out = Vec::new();
        let mut send = Vec::new();
        for &byte in typed {
            let command = self.step(byte, &mut send);
            if let Some(command) = command {
                if !send.is_empty() {
                    out.push(Typed::Send(std::mem::take(&mut send)));
                }
                let leave = command == Typed::Leave;
                out.push(command);
                if leave {
                    return out;
                }
            }
        }
        if !send.is_empty() {
            out.push(Typed::Send(send));
        }
        out
    }

    fn step(&mut self, byte: u8, send: &mut Vec<u8>) -> Option<Typed> {
        let after = |byte| match byte {
            b'\r' | b'\n' => State::LineStart,
            _ => State::Within,
        };
        match (self.state, byte) {
            (State::LineStart, b'~') => {
                self.state = State::Tilde;
                return None;
            }
            (State::Tilde, b'.' | b'?' | b'B') => {
                self.state = State::LineStart;
                return Some(match byte {
                    b'.' => Typed::Leave,
                    b'?' => Typed::Help,
                    _ => Typed::Break,
                });
            }
            (State::Tilde, b'C' | b'Z') => {
                send.push(byte & 0x1f);
                self.state = State::LineStart;
            }
            (State::Tilde, b'~') => {
                send.push(b'~');
                self.state = State::Within;
            }
            (State::Tilde, _) => {
                send.extend([b'~', byte]);
                self.state = after(byte);
            }
            (State::LineStart | State::Within, _) => {
                send.push(byte);
                self.state = after(byte);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(typed: &[u8]) -> Vec<Typed> {
        EscapeMachine::default().push(typed)
    }

    fn send(bytes: &[u8]) -> Typed {
        Typed::Send(bytes.to_vec())
    }

    #[test]
    fn commands_work_after_a_newline_and_at_the_start() {
        assert_eq!(all(b"~."), [Typed::Leave]);
        assert_eq!(all(b"ls\r~?x"), [send(b"ls\r"), Typed::Help, send(b"x")]);
        assert_eq!(all(b"\n~B~."), [send(b"\n"), Typed::Break, Typed::Leave]);
    }

    #[test]
    fn a_tilde_within_a_line_is_sent() {
        assert_eq!(all(b"cd ~.\r"), [send(b"cd ~.\r")]);
        assert_eq!(all(b"~~."), [send(b"~.")]);
        assert_eq!(all(b"~x"), [send(b"~x")]);
        assert_eq!(all(b"~\r~."), [send(b"~\r"), Typed::Leave]);
    }

    #[test]
    fn keys_that_are_ours_can_be_sent() {
        assert_eq!(all(b"~C~Z~."), [send(b"\x03\x1a"), Typed::Leave]);
    }

    #[test]
    fn escape_reaches_the_machine() {
        assert_eq!(all(b"\x1b"), [send(b"\x1b")]);
    }

    #[test]
    fn what_follows_a_leave_is_dropped() {
        assert_eq!(all(b"a\r~.rm -rf /\r"), [send(b"a\r"), Typed::Leave]);
    }

    fn joined(parts: Vec<Typed>) -> Vec<Typed> {
        let mut out: Vec<Typed> = Vec::new();
        for part in parts {
            match (out.last_mut(), part) {
                (Some(Typed::Send(old)), Typed::Send(new)) => old.extend(new),
                (_, part) => out.push(part),
            }
        }
        out
    }

    proptest! {
        #[test]
        fn cuts_do_not_matter(
            typed in proptest::collection::vec(prop::sample::select(b"~?BC\rax\x1b".to_vec()), 0..40),
            cut in 0usize..40,
        ) {
            let cut = cut.min(typed.len());
            let mut machine = EscapeMachine::default();
            let mut parts = machine.push(&typed[..cut]);
            parts.extend(machine.push(&typed[cut..]));
            prop_assert_eq!(joined(parts), joined(all(&typed)));
        }
    }
}
