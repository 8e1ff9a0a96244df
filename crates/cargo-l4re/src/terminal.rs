//! The user's terminal while a console is attached: keys go through as they are typed.
//!
//! Echo, line editing, CR translation and flow control are off, signals stay on: Ctrl-C
//! remains ours (it ends or detaches), and so does Ctrl-Z; ESC and all else reach the guest.
//! The terminal is put back when the guard is dropped, before a forced exit and for as long
//! as the process is stopped.

use std::sync::Mutex;

use rustix::termios::{
    InputModes, LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
};

/// What to put back; in a static so that a forced exit can reach it. Kept while the console
/// is attached, the process stopped or not.
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
        let before = tcgetattr(rustix::stdio::stdin()).ok()?;
        let_keys_through(&before).ok()?;
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

fn let_keys_through(before: &Termios) -> rustix::io::Result<()> {
    let mut now = before.clone();
    now.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO | LocalModes::IEXTEN);
    now.input_modes.remove(InputModes::ICRNL | InputModes::IXON | InputModes::IXOFF);
    now.special_codes[SpecialCodeIndex::VMIN] = 1;
    now.special_codes[SpecialCodeIndex::VTIME] = 0;
    // Ctrl-\ would end us with the terminal as it is; it is the guest's.
    now.special_codes[SpecialCodeIndex::VQUIT] = DISABLED;
    tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, &now)
}

/// A key that means nothing to the terminal (`_POSIX_VDISABLE`).
const DISABLED: u8 = 0;

/// Stops this process as Ctrl-Z does, with the terminal as the shell knows it. Returns when it
/// goes on; [`resume`] is then due.
pub fn stop() {
    if let Ok(slot) = BEFORE.lock()
        && let Some(before) = &*slot
        && may_read()
    {
        // A terminal that is gone has nothing to be put back.
        let _ = tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, before);
    }
    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::STOP);
}

/// Lets keys through again, if a console is attached and the terminal is ours: the shell has
/// made it its own meanwhile.
pub fn resume() {
    if let Ok(slot) = BEFORE.lock()
        && let Some(before) = &*slot
        && may_read()
    {
        let _ = let_keys_through(before);
    }
}

/// Columns and rows of the terminal that the console goes to.
pub fn size() -> Option<(u16, u16)> {
    let size = rustix::termios::tcgetwinsize(rustix::stdio::stdout()).ok()?;
    (size.ws_col > 0 && size.ws_row > 0).then_some((size.ws_col, size.ws_row))
}

/// Whether stdin is a terminal.
pub fn is_terminal() -> bool {
    rustix::termios::isatty(rustix::stdio::stdin())
}

/// Whether keys may be read: stdin is a terminal, and this is its foreground job.
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
