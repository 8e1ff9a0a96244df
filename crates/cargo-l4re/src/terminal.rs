//! The user's terminal while a console is attached: keys go through as they are typed.
//!
//! Echo, line editing, CR translation and flow control are off, signals stay on: Ctrl-C
//! remains ours (it ends or detaches), ESC and all else reach the guest. The terminal is
//! put back when the guard is dropped and before a forced exit.

use std::sync::Mutex;

use rustix::termios::{
    InputModes, LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
};

/// What to put back; in a static so that a forced exit can reach it.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

/// Puts the terminal back when dropped.
#[derive(Debug)]
pub struct Attached(());

impl Attached {
    /// Lets keys through. `None` when stdin is no terminal, or not ours now: a background job
    /// that touches its terminal would be stopped.
    pub fn new() -> Option<Self> {
        if !may_read() {
            return None;
        }
        let stdin = rustix::stdio::stdin();
        let before = tcgetattr(stdin).ok()?;
        let mut now = before.clone();
        now.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO | LocalModes::IEXTEN);
        now.input_modes.remove(InputModes::ICRNL | InputModes::IXON | InputModes::IXOFF);
        now.special_codes[SpecialCodeIndex::VMIN] = 1;
        now.special_codes[SpecialCodeIndex::VTIME] = 0;
        tcsetattr(stdin, OptionalActions::Now, &now).ok()?;
        if let Ok(mut slot) = BEFORE.lock() {
            slot.get_or_insert(before);
        }
        Some(Self(()))
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        restore();
    }
}

/// Whether keys may be read: stdin is a terminal, and this is its foreground job. Anything
/// else on stdin belongs to who called, a loop's list for instance.
pub fn may_read() -> bool {
    let foreground = rustix::termios::tcgetpgrp(rustix::stdio::stdin());
    foreground.is_ok_and(|group| group == rustix::process::getpgrp())
}

/// Puts the terminal back as it was, if a console is attached.
pub fn restore() {
    if let Ok(mut slot) = BEFORE.lock()
        && let Some(before) = slot.take()
    {
        // A terminal that is gone has nothing to be put back.
        let _ = tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, &before);
    }
}
