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
    Gap,
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

    /// Whether windows are of use now.
    #[must_use]
    pub fn wants_windows(&self) -> bool {
        !matches!(self.state, State::Live { .. })
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
                    self.gap(out);
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
        if self.is_shown_later(window) {
            self.state = State::Polled;
        }
        let (held, floor, likely) = match &mut self.state {
            State::Live { .. } | State::Joining { over: true, .. } => return,
            State::Polled => (Vec::new(), self.total, None),
            State::Joining { held, floor, likely, .. } => (std::mem::take(held), *floor, *likely),
        };
        let (past, run) = self.history.split_at(self.run);
        let whole = self.run > 0 || self.total == self.history.len() as u64;
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
            self.gap(out);
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
        let whole = self.run > 0 || self.total == self.history.len() as u64;
        place(&self.history[self.run..], whole, window).certain
    }

    /// No window joins the live bytes in time: they come after a gap of unknown size.
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
                self.gap(out);
                self.emit(Merged::Live, held.into(), out);
            }
        }
        if over {
            self.state = State::Polled;
        }
    }

    fn gap(&mut self, out: &mut Vec<Merged>) {
        if self.total > 0 && self.run < self.history.len() {
            out.push(Merged::Gap);
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
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(out: &[Merged]) -> String {
        out.iter()
            .map(|piece| match piece {
                Merged::Live(bytes) | Merged::Backlog(bytes) => {
                    String::from_utf8_lossy(bytes).into_owned()
                }
                Merged::Gap => "<gap>".to_owned(),
            })
            .collect()
    }

    fn live(merger: &mut Merger, text: &str, out: &mut Vec<Merged>) {
        merger.live(Bytes::copy_from_slice(text.as_bytes()), out);
    }

    #[test]
    fn windows_alone_are_joined_by_overlap() {
        let (mut merger, mut out) = (Merger::default(), Vec::new());
        merger.window(b"line 1\nline 2\n", &mut out);
        merger.window(b"line 1\nline 2\nline 3\n", &mut out);
        merger.window(b"line 1\nline 2\nline 3\n", &mut out);
        assert_eq!(text(&out), "line 1\nline 2\nline 3\n");
    }

    #[test]
    fn windows_without_overlap_have_a_gap_between() {
        let (mut merger, mut out) = (Merger::default(), Vec::new());
        merger.window(b"line 1\n", &mut out);
        merger.window(b"LINE 9\n", &mut out);
        assert_eq!(text(&out), "line 1\n<gap>LINE 9\n");
    }

    #[test]
    fn what_was_printed_before_the_session_comes_first() {
        let (mut merger, mut out) = (Merger::default(), Vec::new());
        merger.session_started(&mut out);
        live(&mut merger, "line 3 is rather long\n", &mut out);
        assert!(merger.is_holding());
        merger.window(b"line 1\nline 2\nline 3 is rather long\nline 4\n", &mut out);
        live(&mut merger, "line 4\n", &mut out);
        assert_eq!(text(&out), "line 1\nline 2\nline 3 is rather long\nline 4\n");
    }

    #[test]
    fn a_window_that_is_ahead_of_the_session_does_not_double_bytes() {
        let (mut merger, mut out) = (Merger::default(), Vec::new());
        merger.session_started(&mut out);
        merger.window(b"line 1\nline 2\nline 3 is long enough\n", &mut out);
        live(&mut merger, "line 2\nline 3 is long enough\nline 4\n", &mut out);
        merger.window(b"line 1\nline 2\nline 3 is long enough\nline 4\n", &mut out);
        assert_eq!(text(&out), "line 1\nline 2\nline 3 is long enough\nline 4\n");
    }

    #[test]
    fn a_window_of_before_the_session_showed_anything_does_not_settle_where_it_began() {
        let (mut merger, mut out) = (Merger::default(), Vec::new());
        let before = b"one\nHello World again\ntwo\n";
        merger.session_started(&mut out);
        merger.window(before, &mut out);
        live(&mut merger, "Hello World again\n", &mut out);
        merger.stale_window(before, &mut out);
        for _ in 0..2 {
            merger.window(b"one\nHello World again\ntwo\nHello World again\n", &mut out);
        }
        live(&mut merger, "three\n", &mut out);
        assert_eq!(text(&out), "one\nHello World again\ntwo\nHello World again\nthree\n");
    }

    #[test]
    fn what_a_drop_lost_is_filled() {
        let (mut merger, mut out) = (Merger::default(), Vec::new());
        merger.window(b"", &mut out);
        merger.session_started(&mut out);
        live(&mut merger, "line 1 before the drop\n", &mut out);
        merger.window(b"", &mut out);
        merger.give_up(&mut out);
        merger.session_ended();
        merger.session_started(&mut out);
        live(&mut merger, "line 3 after the drop\n", &mut out);
        merger.window(b"line 1 before the drop\nline 2 lost\nline 3 after the drop\n", &mut out);
        assert_eq!(text(&out), "line 1 before the drop\nline 2 lost\nline 3 after the drop\n");
    }

    #[test]
    fn what_a_short_session_showed_comes_with_the_next_window() {
        let (mut merger, mut out) = (Merger::default(), Vec::new());
        merger.window(b"line 1 before the session\n", &mut out);
        merger.session_started(&mut out);
        live(&mut merger, "line 3\n", &mut out);
        merger.session_ended();
        assert!(merger.is_holding() && merger.wants_windows());
        merger.window(b"line 1 before the session\nline 2\nline 3\nline 4\n", &mut out);
        assert!(!merger.is_holding());
        assert_eq!(text(&out), "line 1 before the session\nline 2\nline 3\nline 4\n");
    }

    #[test]
    fn without_a_window_in_time_there_is_a_gap() {
        let (mut merger, mut out) = (Merger::default(), Vec::new());
        merger.window(b"line 1\n", &mut out);
        merger.session_started(&mut out);
        live(&mut merger, "line 3\n", &mut out);
        merger.give_up(&mut out);
        live(&mut merger, "line 4\n", &mut out);
        assert_eq!(text(&out), "line 1\n<gap>line 3\nline 4\n");
    }

    #[test]
    fn a_held_flood_is_let_go() {
        let (mut merger, mut out) = (Merger::default(), Vec::new());
        merger.session_started(&mut out);
        merger.live(Bytes::from(vec![b'x'; MAX_HELD + 1]), &mut out);
        assert!(!merger.is_holding());
        assert_eq!(out.len(), 1);
    }

    #[derive(Clone, Debug)]
    enum Step {
        Print(usize),
        Connect,
        Drop,
        Window { lag: usize, size: usize },
        GiveUp,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (0usize..3000).prop_map(Step::Print),
            2 => Just(Step::Connect),
            1 => Just(Step::Drop),
            4 => (0usize..400, 200usize..6000).prop_map(|(lag, size)| Step::Window { lag, size }),
            1 => Just(Step::GiveUp),
        ]
    }

    /// A stream in which hardly any four bytes come twice.
    fn stream(length: usize) -> Vec<u8> {
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let letter = |_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            b'!' + (state % 94) as u8
        };
        (0..length).map(letter).collect()
    }

    /// Checks the pieces against the stream; gives how far they came.
    fn check(stream: &[u8], out: &[Merged]) -> Result<(), String> {
        let mut at = 0;
        let mut gap = true;
        let mut run = Vec::new();
        let place = |run: &[u8], at: usize, gap: bool| -> Result<usize, String> {
            if stream[at..].starts_with(run) {
                return Ok(at + run.len());
            }
            let found = memchr::memmem::find(&stream[at..], run).map(|found| at + found);
            match found {
                Some(found) if gap => Ok(found + run.len()),
                Some(found) => Err(format!("{} bytes lost unmarked at {at}", found - at)),
                None => Err(format!("not in order at {at}: {}", String::from_utf8_lossy(run))),
            }
        };
        for piece in out {
            match piece {
                Merged::Live(bytes) | Merged::Backlog(bytes) => run.extend_from_slice(bytes),
                Merged::Gap => {
                    if !run.is_empty() {
                        at = place(&run, at, gap)?;
                        run.clear();
                    }
                    gap = true;
                    continue;
                }
            }
            if run.len() >= 16 {
                at = place(&run, at, gap)?;
                run.clear();
                gap = false;
            }
        }
        if run.is_empty() { Ok(()) } else { place(&run, at, gap).map(|_| ()) }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]
        #[test]
        fn nothing_is_doubled_reordered_or_lost_in_silence(
            steps in proptest::collection::vec(step(), 1..40),
        ) {
            let stream = stream(40 * 3000);
            let (mut merger, mut out) = (Merger::default(), Vec::new());
            let (mut printed, mut session, mut newest) = (0, false, 0);
            for step in &steps {
                if merger.is_holding() && !matches!(step, Step::Print(_) | Step::Window { .. }) {
                    newest = printed;
                }
                match step {
                    Step::Print(count) => {
                        let bytes = Bytes::copy_from_slice(&stream[printed..printed + count]);
                        printed += count;
                        if session {
                            merger.live(bytes, &mut out);
                        }
                    }
                    Step::Connect => {
                        if session { merger.session_ended(); }
                        merger.session_started(&mut out);
                        session = true;
                    }
                    Step::Drop => {
                        if session { merger.session_ended(); }
                        session = false;
                    }
                    Step::Window { lag, size } => {
                        newest = newest.max(printed.saturating_sub(*lag));
                        merger.window(&stream[newest.saturating_sub(*size)..newest], &mut out);
                    }
                    Step::GiveUp => merger.give_up(&mut out),
                }
            }
            if let Err(problem) = check(&stream, &out) {
                return Err(TestCaseError::fail(format!("{problem}\n{}", text(&out))));
            }
        }
    }
}
