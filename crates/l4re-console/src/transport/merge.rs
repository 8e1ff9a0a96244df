//! Joins live bytes and polled windows into one stream.
//!
//! A live session shows bytes from the moment it stands; a window is the last part of all
//! that was printed up to some moment, perhaps a little late. After each start of a session
//! live bytes are held back until a window joins them to what was handed over before, or
//! until the caller gives up waiting. Windows must not be older than the ones before; when
//! the caller gives up, later ones must reach as far as the start of that session.
//!
//! Invariants: no byte is handed over twice or out of order; where bytes may be missing
//! there is a gap. Where the text repeats itself the larger overlap is taken, and a session is
//! taken to end where the window does, once two windows say so.

use bytes::Bytes;

use super::missing::{Missing, Unsized, WINDOW};
use super::overlap::{Beginning, CERTAIN, Place, beginning, begins_within, place};

/// Bytes of the stream that are kept to find overlaps: more than the largest window.
const HISTORY: usize = 128 * 1024;

/// Live bytes that are held back at most.
const MAX_HELD: usize = 1024 * 1024;

/// A piece of the joined stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Merged {
    /// Bytes seen live.
    Live(Bytes),
    /// Bytes from a window.
    Backlog(Bytes),
    /// Bytes are missing here.
    Gap(Missing),
    /// So many bytes are missing at the last gap.
    Sized(u64),
}

#[derive(Debug, Default)]
enum State {
    /// Windows only.
    #[default]
    Polled,
    /// A session stands whose place in the stream is not known yet.
    Joining {
        held: Vec<u8>,
        /// Bytes handed over when the session was asked for: it cannot show earlier ones.
        floor: u64,
        /// Where in the stream it began, most likely.
        likely: Option<u64>,
        /// The session has ended since.
        over: bool,
    },
    /// Live bytes continue the stream, after these which a window has shown already.
    Live { expected: Vec<u8> },
}

/// The joiner.
#[derive(Debug, Default)]
pub struct Merger {
    state: State,
    history: Vec<u8>,
    /// Where in `history` the bytes after the last gap begin.
    run: usize,
    total: u64,
    /// The floor of a session that was asked for.
    asked_at: Option<u64>,
    /// A window has come: what it does not show was not printed before it.
    any_window: bool,
    /// The last gap, while a window may still tell its size.
    gap: Option<Unsized>,
}

impl Merger {
    /// A live session is asked for now: it will begin later, and nobody knows when.
    pub fn session_asked(&mut self) {
        self.asked_at = Some(self.total);
    }

    /// A live session stands; bytes of the one before that are still held back come out.
    pub fn session_started(&mut self, out: &mut Vec<Merged>) {
        self.give_up(out);
        let floor = self.asked_at.take().unwrap_or(self.total);
        self.state = State::Joining { held: Vec::new(), floor, likely: None, over: false };
    }

    /// The live session is over. Bytes that are held back wait on for a window.
    pub fn session_ended(&mut self) {
        match &mut self.state {
            State::Joining { held, over, .. } if !held.is_empty() => *over = true,
            state => *state = State::Polled,
        }
    }

    /// Whether live bytes wait for a window.
    #[must_use]
    pub fn is_holding(&self) -> bool {
        matches!(&self.state, State::Joining { held, .. } if !held.is_empty())
    }

    /// Whether nothing was handed over yet.
    #[must_use]
    pub fn is_at_start(&self) -> bool {
        self.total == 0
    }

    /// Whether the history has all that was handed over since the last gap.
    fn is_whole(&self) -> bool {
        self.run > 0 || self.total == self.history.len() as u64
    }

    /// Whether windows are of use now.
    #[must_use]
    pub fn wants_windows(&self) -> bool {
        !matches!(self.state, State::Live { .. }) || self.gap.is_some()
    }

    /// Bytes that a live session showed.
    pub fn live(&mut self, bytes: Bytes, out: &mut Vec<Merged>) {
        match &mut self.state {
            State::Polled => self.emit(Merged::Live, bytes, out),
            State::Joining { held, .. } => {
                held.extend_from_slice(&bytes);
                if held.len() > MAX_HELD {
                    self.give_up(out);
                }
            }
            State::Live { expected } if expected.is_empty() => self.emit(Merged::Live, bytes, out),
            State::Live { expected } => {
                let common = expected.len().min(bytes.len());
                if expected[..common] == bytes[..common] {
                    expected.drain(..common);
                    self.emit(Merged::Live, bytes.slice(common..), out);
                } else {
                    // The place in the window was a wrong one.
                    expected.clear();
                    self.gap(Missing::Unjoined, out);
                    self.emit(Merged::Live, bytes, out);
                }
            }
        }
    }

    /// A window: the last part of what was printed.
    pub fn window(&mut self, window: &[u8], out: &mut Vec<Merged>) {
        self.join(window, true, out);
    }

    /// A window that was asked for before the session showed its first bytes: they may not be in
    /// it, and only look as what was printed before.
    pub fn stale_window(&mut self, window: &[u8], out: &mut Vec<Merged>) {
        self.join(window, false, out);
    }

    fn join(&mut self, window: &[u8], fresh: bool, out: &mut Vec<Merged>) {
        self.size(window, out);
        self.any_window = true;
        if self.is_shown_later(window) {
            self.state = State::Polled;
        }
        let (held, floor, likely) = match &mut self.state {
            State::Live { .. } | State::Joining { over: true, .. } => return,
            State::Polled => (Vec::new(), self.total, None),
            State::Joining { held, floor, likely, .. } => (std::mem::take(held), *floor, *likely),
        };
        let (past, run) = self.history.split_at(self.run);
        let whole = self.is_whole();
        // A short repeat may be chance: the bytes are skipped and the doubt is marked.
        let Place { end, certain } = place(run, whole, window);
        let joined = certain || self.total == 0;
        if !joined && begins_within(window, past) {
            // Older than the last gap, or it would hold what came after that.
            return self.hold(held, likely);
        }
        let next = end.min(window.len());
        let since_floor = usize::try_from(self.total - floor).unwrap_or(usize::MAX);
        let floor_here = if joined { end.saturating_sub(since_floor) } else { next };
        let total = self.total;
        let in_stream = |at: usize| (total + at as u64).saturating_sub(end as u64);
        let (start, likely) = match beginning(window, floor_here, next, &held) {
            Beginning::Certain(at) if fresh => (Some(at), None),
            Beginning::Certain(at) | Beginning::Likely(at) if likely == Some(in_stream(at)) => {
                (Some(at), None)
            }
            Beginning::Certain(at) => (None, Some(in_stream(at))),
            Beginning::Likely(at) if !joined => (Some(at), None),
            Beginning::Likely(at) => (None, Some(in_stream(at))),
            Beginning::Nowhere => (None, None),
        };
        if !certain && next < window.len() {
            let overtaken = start.is_none() && begins_within(window, &held);
            if overtaken && !fresh {
                return self.hold(held, likely); // It may as well be what came before.
            }
            if self.total == 0 && window.len() >= WINDOW {
                out.push(Merged::Gap(Missing::Before));
            }
            self.gap(Missing::Overrun { printed: window.len() as u64 }, out);
            if overtaken {
                // More was printed since the session began than the window holds.
                self.state = State::Live { expected: Vec::new() };
                self.emit(Merged::Live, held.into(), out);
                return;
            }
        }
        // The last bytes may be what the session shows first; too few agree to tell.
        let unclear = if held.is_empty() { 0 } else { CERTAIN - 1 };
        let until = match start {
            None => window.len().saturating_sub(unclear),
            Some(start) if start < end => window.len(),
            Some(start) => start,
        };
        let begins_at = start.map(in_stream);
        let new = Bytes::copy_from_slice(&window[next..until.max(next)]);
        self.emit(Merged::Backlog, new, out);
        match begins_at {
            Some(begins_at) => self.settle(begins_at, held, out),
            None => self.hold(held, likely),
        }
    }

    fn hold(&mut self, bytes: Vec<u8>, place: Option<u64>) {
        if let State::Joining { held, likely, .. } = &mut self.state {
            (*held, *likely) = (bytes, place);
        }
    }

    /// The session began at this place of the stream, which has been handed over up to there
    /// or further.
    fn settle(&mut self, begins_at: u64, held: Vec<u8>, out: &mut Vec<Merged>) {
        // What the session will show again, because a window showed it first.
        let again = usize::try_from(self.total.saturating_sub(begins_at)).unwrap_or(usize::MAX);
        let again = again.min(self.history.len());
        let expected = self.history[self.history.len() - again..].to_vec();
        self.state = State::Live { expected };
        self.live(held.into(), out);
    }

    /// Whether this window, or one that continues it, shows what a session that is over has
    /// left: it joins what was handed over before.
    fn is_shown_later(&self, window: &[u8]) -> bool {
        let State::Joining { held, over: true, .. } = &self.state else { return false };
        if self.total == 0 {
            return memchr::memmem::find(window, held).is_some();
        }
        place(&self.history[self.run..], self.is_whole(), window).certain
    }

    /// No window joins the live bytes in time: they come after a gap. One that comes later may
    /// tell its size.
    pub fn give_up(&mut self, out: &mut Vec<Merged>) {
        let State::Joining { held, likely, over, .. } = &mut self.state else { return };
        if held.is_empty() {
            return; // The first live bytes may still need a window.
        }
        let (held, over) = (std::mem::take(held), *over);
        match likely.filter(|&at| at <= self.total) {
            Some(begins_at) => self.settle(begins_at, held, out),
            None => {
                self.state = State::Live { expected: Vec::new() };
                self.gap(Missing::Unjoined, out);
                self.emit(Merged::Live, held.into(), out);
            }
        }
        if over {
            self.state = State::Polled;
        }
    }

    /// Tells the size of the last gap, if this window shows both its sides.
    fn size(&mut self, window: &[u8], out: &mut Vec<Merged>) {
        let Some(mut gap) = self.gap.take() else { return };
        match gap.size(window, &self.history[self.run..]) {
            Some(bytes) => out.push(Merged::Sized(bytes)),
            None if gap.may_be_told() => self.gap = Some(gap),
            None => {}
        }
    }

    fn gap(&mut self, missing: Missing, out: &mut Vec<Merged>) {
        let missing = if self.total == 0 { Missing::Unseen } else { missing };
        let at_start = self.total == 0 && !self.any_window;
        if at_start || self.run < self.history.len() {
            self.gap = Unsized::after(&self.history[self.run..], missing);
            out.push(Merged::Gap(missing));
        }
        self.run = self.history.len();
    }

    fn emit(&mut self, kind: fn(Bytes) -> Merged, bytes: Bytes, out: &mut Vec<Merged>) {
        if bytes.is_empty() {
            return;
        }
        self.total += bytes.len() as u64;
        self.history.extend_from_slice(&bytes[bytes.len().saturating_sub(HISTORY)..]);
        // Trimmed in large steps, so that a byte is moved once on average.
        if self.history.len() > 2 * HISTORY {
            let excess = self.history.len() - HISTORY;
            self.history.drain(..excess);
            self.run = self.run.saturating_sub(excess);
        }
        out.push(kind(bytes));
    }
}

#[cfg(test)]
mod tests;
