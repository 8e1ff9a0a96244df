//! The console output that EC2 keeps: windows of at most 64 KiB, polled.
//!
//! The form without `latest` holds the start, the form with it the end; the first poll asks
//! for both. Where there is no `latest` the other form serves alone.

use std::collections::VecDeque;
use std::time::Duration;

use futures::FutureExt as _;
use tokio::time::{Instant, sleep_until};

use super::merge::{Merged, Merger};
use super::{BoxFuture, Chunk, ChunkKind, Gap, Notice, Received, Transport, TransportError};

/// Why a poll failed.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum PollError {
    /// This kind of instance has no `latest` form.
    #[error("the current output is not available for this instance")]
    LatestUnsupported,
    /// Worth another try: throttling, network, eventual consistency.
    #[error("{0}")]
    Transient(String),
    /// No try will help: no rights, no such instance.
    #[error("{0}")]
    Permanent(String),
}

/// Something that has the last bytes of a console.
///
/// The binary implements it with GetConsoleOutput.
pub trait Snapshots: Send + Sync {
    /// The last bytes, decoded. `latest` asks for the current ones; without it comes the
    /// window that was kept around the last change of state, which holds the start.
    fn fetch(&self, latest: bool) -> BoxFuture<'static, Result<Vec<u8>, PollError>>;
}

/// The longest pause after failed polls.
const MAX_PAUSE: Duration = Duration::from_secs(60);

type Fetch = BoxFuture<'static, Result<Vec<u8>, PollError>>;

/// Fetches windows, one at a time, with pauses.
pub(super) struct Poller {
    snapshots: Box<dyn Snapshots>,
    interval: Duration,
    /// The fetch under way; it outlives a cancelled wait.
    fetch: Option<Fetch>,
    /// When the oldest of the next windows was asked for.
    asked: Instant,
    next_at: Instant,
    failures: u32,
    latest_unsupported: bool,
    /// The window that holds the start, until the first current one is there.
    first: Option<Vec<u8>>,
    begun: bool,
}

impl Poller {
    pub(super) fn new(snapshots: Box<dyn Snapshots>, interval: Duration) -> Self {
        Self {
            snapshots,
            interval,
            fetch: None,
            asked: Instant::now(),
            next_at: Instant::now(),
            failures: 0,
            latest_unsupported: false,
            first: None,
            begun: false,
        }
    }

    /// Lets the next poll begin after `pause` at the latest, if none is under way.
    pub(super) fn hurry(&mut self, pause: Duration) {
        if self.failures == 0 {
            self.next_at = self.next_at.min(Instant::now() + pause);
        }
    }

    /// When the last windows were asked for: what was printed before is in them, not what came
    /// after.
    pub(super) fn asked(&self) -> Instant {
        self.asked
    }

    /// The next windows, oldest first. Safe to cancel.
    pub(super) async fn next(&mut self) -> Result<Vec<Vec<u8>>, PollError> {
        loop {
            if self.fetch.is_none() {
                sleep_until(self.next_at).await;
                if self.first.is_none() {
                    self.asked = Instant::now();
                }
                let latest = self.begun && !self.latest_unsupported;
                self.fetch = Some(self.snapshots.fetch(latest));
            }
            let Some(fetch) = &mut self.fetch else { continue };
            let result = fetch.await;
            self.fetch = None;
            match self.arrived(result) {
                Ok(Some(windows)) => return Ok(windows),
                Ok(None) => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn arrived(
        &mut self,
        result: Result<Vec<u8>, PollError>,
    ) -> Result<Option<Vec<Vec<u8>>>, PollError> {
        match result {
            Ok(first) if !self.begun => {
                self.begun = true;
                self.first = Some(first);
                self.next_at = Instant::now();
                Ok(None)
            }
            Ok(window) => {
                self.failures = 0;
                self.next_at = Instant::now() + self.interval;
                Ok(Some(both(self.first.take(), window)))
            }
            Err(PollError::LatestUnsupported) if !self.latest_unsupported => {
                self.latest_unsupported = true;
                self.next_at = Instant::now();
                Ok(None)
            }
            Err(PollError::Permanent(words)) => Err(PollError::Permanent(words)),
            Err(error) => {
                tracing::debug!("polling the console output: {error}");
                self.failures += 1;
                let pause = self.interval * 2u32.saturating_pow(self.failures.min(10));
                self.next_at = Instant::now() + pause.min(MAX_PAUSE);
                Ok(None)
            }
        }
    }
}

/// The window that holds the start and the current one; only the latter if it has it all.
fn both(first: Option<Vec<u8>>, window: Vec<u8>) -> Vec<Vec<u8>> {
    match first {
        Some(first) if memchr::memmem::find(&window, &first).is_none() => vec![first, window],
        _ => vec![window],
    }
}

/// Hands over what the joiner gave.
#[derive(Debug, Default)]
pub(super) struct Handover {
    /// When the last bytes went.
    last: Option<Instant>,
}

impl Handover {
    /// What went last was kept from an earlier time: nobody knows when it was printed.
    pub(super) fn is_old(&mut self) {
        self.last = None;
    }

    /// The pieces as a transport hands them over, now.
    pub(super) fn received(&mut self, pieces: Vec<Merged>) -> impl Iterator<Item = Received> {
        let at = Instant::now();
        let mut last = self.last;
        if !pieces.is_empty() {
            self.last = Some(at);
        }
        pieces.into_iter().map(move |piece| {
            let (bytes, kind) = match piece {
                Merged::Live(bytes) => (bytes, ChunkKind::Live),
                Merged::Backlog(bytes) => (bytes, ChunkKind::Backlog),
                Merged::Gap(missing) => {
                    let within = last.map(|last| at.saturating_duration_since(last));
                    return Received::Gap(Gap { missing, within });
                }
                Merged::Sized(bytes) => return Received::Notice(Notice::GapSized { bytes }),
            };
            last = Some(at);
            Received::Chunk(Chunk { bytes, at, kind })
        })
    }
}

/// A console that is only polled.
pub struct Polled {
    poller: Poller,
    merger: Merger,
    handover: Handover,
    ready: VecDeque<Received>,
    closed: bool,
}

impl Polled {
    /// Polls `snapshots` each `interval`.
    #[must_use]
    pub fn new(snapshots: Box<dyn Snapshots>, interval: Duration) -> Self {
        Self {
            poller: Poller::new(snapshots, interval),
            merger: Merger::default(),
            handover: Handover::default(),
            ready: VecDeque::new(),
            closed: false,
        }
    }

    async fn next(&mut self) -> Result<Received, TransportError> {
        loop {
            if let Some(received) = self.ready.pop_front() {
                return Ok(received);
            }
            if self.closed {
                return Ok(Received::End);
            }
            let windows = self.poller.next().await.map_err(TransportError::Poll)?;
            for (at, window) in windows.iter().enumerate() {
                if at > 0 {
                    self.handover.is_old();
                }
                let mut pieces = Vec::new();
                self.merger.window(window, &mut pieces);
                self.ready.extend(self.handover.received(pieces));
            }
        }
    }
}

impl Transport for Polled {
    fn read(&mut self) -> BoxFuture<'_, Result<Received, TransportError>> {
        self.next().boxed()
    }

    fn write<'a>(&'a mut self, _: &'a [u8]) -> BoxFuture<'a, Result<(), TransportError>> {
        async { Err(TransportError::ReadOnly { what: "polled console output" }) }.boxed()
    }

    fn send_break(&mut self) -> BoxFuture<'_, Result<(), TransportError>> {
        async { Err(TransportError::NoBreak { what: "polled console output" }) }.boxed()
    }

    fn close(&mut self) -> BoxFuture<'_, Result<(), TransportError>> {
        self.closed = true;
        self.ready.clear();
        async { Ok(()) }.boxed()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    type Answer = Result<Vec<u8>, PollError>;

    /// Gives prepared answers and notes what was asked; the last answer is repeated.
    #[derive(Clone, Default)]
    struct Prepared(Arc<Mutex<(VecDeque<Answer>, Vec<bool>)>>);

    impl Prepared {
        fn new(answers: impl IntoIterator<Item = Answer>) -> Self {
            Self(Arc::new(Mutex::new((answers.into_iter().collect(), Vec::new()))))
        }
    }

    impl Snapshots for Prepared {
        fn fetch(&self, latest: bool) -> Fetch {
            let mut inner = self.0.lock().unwrap();
            inner.1.push(latest);
            let answer = match inner.0.len() {
                1 => inner.0[0].clone(),
                _ => inner.0.pop_front().unwrap(),
            };
            async { answer }.boxed()
        }
    }

    fn ok(text: &str) -> Answer {
        Ok(text.as_bytes().to_vec())
    }

    async fn text(polled: &mut Polled, pieces: usize) -> String {
        let mut out = String::new();
        for _ in 0..pieces {
            match polled.read().await.unwrap() {
                Received::Chunk(chunk) => out.push_str(std::str::from_utf8(&chunk.bytes).unwrap()),
                Received::Gap(_) => out.push_str("<gap>"),
                other => panic!("{other:?}"),
            }
        }
        out
    }

    fn polled(answers: impl IntoIterator<Item = Answer>) -> (Polled, Prepared) {
        let prepared = Prepared::new(answers);
        (Polled::new(Box::new(prepared.clone()), Duration::from_secs(2)), prepared)
    }

    #[tokio::test(start_paused = true)]
    async fn both_forms_are_joined() {
        let (mut console, asked) = polled([
            ok("firmware\nline 1 of the boot\n"),
            ok("line 1 of the boot\nline 2\n"),
            ok("line 1 of the boot\nline 2\nline 3\n"),
        ]);
        assert_eq!(text(&mut console, 3).await, "firmware\nline 1 of the boot\nline 2\nline 3\n");
        assert_eq!(asked.0.lock().unwrap().1[..3], [false, true, true]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_start_that_the_current_window_holds_is_not_doubled() {
        let (mut console, _) = polled([ok("two\n"), ok("one\ntwo\nthree\n")]);
        assert_eq!(text(&mut console, 1).await, "one\ntwo\nthree\n");
    }

    #[tokio::test(start_paused = true)]
    async fn a_gap_after_what_was_kept_long_ago_has_no_time() {
        let (mut console, _) =
            polled([ok("the start of it\n"), ok("an hour later\n"), ok("more\n")]);
        let mut gaps = Vec::new();
        for _ in 0..5 {
            if let Received::Gap(gap) = console.read().await.unwrap() {
                gaps.push(gap.within);
            }
        }
        assert_eq!(gaps, [None, Some(Duration::from_secs(2))]);
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_current_form_the_other_one_serves() {
        let (mut console, asked) =
            polled([ok("one\n"), Err(PollError::LatestUnsupported), ok("one\n"), ok("one\ntwo\n")]);
        assert_eq!(text(&mut console, 2).await, "one\ntwo\n");
        assert_eq!(asked.0.lock().unwrap().1[..4], [false, true, false, false]);
    }

    #[tokio::test(start_paused = true)]
    async fn passing_errors_are_waited_out_and_lasting_ones_are_not() {
        let (mut console, _) = polled([
            Err(PollError::Transient("throttled".into())),
            ok(""),
            Err(PollError::Transient("throttled".into())),
            ok("one\n"),
            Err(PollError::Permanent("no rights".into())),
        ]);
        assert_eq!(text(&mut console, 1).await, "one\n");
        let error = console.read().await.unwrap_err();
        assert_eq!(error.to_string(), "reading the console output: no rights");
    }

    #[tokio::test(start_paused = true)]
    async fn a_cancelled_read_does_not_lose_its_fetch() {
        struct Slow(Arc<Mutex<u32>>);
        impl Snapshots for Slow {
            fn fetch(&self, _: bool) -> Fetch {
                *self.0.lock().unwrap() += 1;
                async {
                    tokio::time::sleep(Duration::from_secs(5)).await;
                    Ok(b"slow\n".to_vec())
                }
                .boxed()
            }
        }
        let fetches = Arc::new(Mutex::new(0));
        let mut console = Polled::new(Box::new(Slow(fetches.clone())), Duration::from_secs(2));
        for _ in 0..20 {
            if tokio::time::timeout(Duration::from_secs(1), console.read()).await.is_ok() {
                assert_eq!(*fetches.lock().unwrap(), 2);
                return;
            }
        }
        panic!("never came");
    }
}
