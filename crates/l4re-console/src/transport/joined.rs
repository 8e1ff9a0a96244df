//! A live session renewed after drops, with polled windows filling what it could not see.
//!
//! First the kept output is fetched, then a session is opened; whenever one begins, windows
//! are polled until they join its bytes to what came before. Without a session the console is
//! polled, and sessions are tried again with growing pauses. What is typed while one is under
//! way waits for it, as `ssh` has it; where none comes it is lost, and that is said. Invariant: a
//! host key that is not trusted ends the console at once, whatever else could go on.

use std::collections::VecDeque;
use std::time::Duration;

use futures::FutureExt as _;
use tokio::time::{Instant, sleep_until};

use super::merge::{Merged, Merger};
use super::polled::{Handover, PollError, Poller};
use super::{BoxFuture, Chunk, Notice, Received, Snapshots, Transport, TransportError};

/// Opens live sessions: makes a key, pushes it, connects.
pub trait Connector: Send + Sync {
    /// Opens a new session.
    fn connect(&self) -> BoxFuture<'static, Result<Box<dyn Transport>, TransportError>>;
}

/// How sessions are renewed and windows polled.
#[derive(Clone, Debug)]
pub struct JoinOptions {
    /// Between polls while there is no live session.
    pub poll: Duration,
    /// Between tries for a live session, doubled up to `retry_max`.
    pub retry: Duration,
    /// The longest pause between tries.
    pub retry_max: Duration,
    /// How long live bytes are held back for the window that joins them to what came before,
    /// and how long a session waits for the kept output at the start. The first live bytes are
    /// held back four times as long: without a window the whole beginning is missing.
    pub bridge: Duration,
}

impl Default for JoinOptions {
    fn default() -> Self {
        Self {
            poll: Duration::from_secs(2),
            retry: Duration::from_secs(1),
            retry_max: Duration::from_secs(30),
            bridge: Duration::from_secs(5),
        }
    }
}

/// Why nothing can be typed without a session.
const NOT_LIVE: TransportError = TransportError::ReadOnly { what: "polled console output" };

/// Typed bytes that wait for a session at most.
const MAX_TYPED: usize = 64 * 1024;

/// A session that lasted this long was one: after it the next try comes soon.
const STEADY: Duration = Duration::from_secs(10);

type Connecting = BoxFuture<'static, Result<Box<dyn Transport>, TransportError>>;

enum Session {
    /// No session before then.
    Waiting(Instant),
    Connecting(Connecting),
    Open(Box<dyn Transport>, Instant),
    /// No session ever: none wanted, or none to be had.
    Never,
}

/// What happened first.
enum Event {
    Windows(Result<Vec<Vec<u8>>, PollError>),
    RetryDue,
    Connected(Result<Box<dyn Transport>, TransportError>),
    Live(Result<Received, TransportError>),
    BridgeOver,
}

/// A console that loses no more than it must.
pub struct Joined {
    connector: Option<Box<dyn Connector>>,
    session: Session,
    poller: Option<Poller>,
    merger: Merger,
    handover: Handover,
    options: JoinOptions,
    /// Failed tries since the last session.
    failures: u32,
    /// Since when live bytes are held back.
    held_since: Option<Instant>,
    had_session: bool,
    /// The next session waits for a window that joins what the last one showed.
    waits_for_window: bool,
    /// The reason that was told for having no session.
    told: Option<String>,
    /// What was typed for the session that is under way.
    typed: Vec<u8>,
    ready: VecDeque<Received>,
    closed: bool,
}

impl Joined {
    /// Joins what `connector` and `snapshots` bring. Either may be missing.
    #[must_use]
    pub fn new(
        connector: Option<Box<dyn Connector>>,
        snapshots: Option<Box<dyn Snapshots>>,
        options: JoinOptions,
    ) -> Self {
        let first_try = match snapshots {
            Some(_) => Instant::now() + options.bridge,
            None => Instant::now(),
        };
        Self {
            session: if connector.is_some() { Session::Waiting(first_try) } else { Session::Never },
            connector,
            poller: snapshots.map(|snapshots| Poller::new(snapshots, options.poll)),
            merger: Merger::default(),
            handover: Handover::default(),
            options,
            failures: 0,
            held_since: None,
            had_session: false,
            waits_for_window: false,
            told: None,
            typed: Vec::new(),
            ready: VecDeque::new(),
            closed: false,
        }
    }

    async fn next(&mut self) -> Result<Received, TransportError> {
        loop {
            if let Some(received) = self.ready.pop_front() {
                return Ok(received);
            }
            if self.closed || (self.poller.is_none() && matches!(self.session, Session::Never)) {
                return Ok(Received::End);
            }
            match self.event().await {
                Event::Windows(Ok(windows)) => self.windows(&windows),
                Event::Windows(Err(error)) => self.no_windows(error)?,
                Event::RetryDue => self.retry(),
                Event::Connected(Ok(session)) => self.connected(session).await,
                Event::Connected(Err(error)) => self.not_connected(error)?,
                Event::Live(Ok(Received::Chunk(chunk))) => self.live(chunk),
                Event::Live(Ok(Received::End)) => self.session_over("the session was closed"),
                Event::Live(Ok(other)) => return Ok(other),
                Event::Live(Err(error)) => self.session_over(&error.to_string()),
                Event::BridgeOver => {
                    self.held_since = None;
                    self.merge(Merger::give_up);
                }
            }
        }
    }

    /// Waits for whatever comes first. Safe to cancel: what is under way is kept.
    async fn event(&mut self) -> Event {
        let wants_windows = self.merger.wants_windows();
        let bridge_until = self.bridge_until();
        let poller = self.poller.as_mut().filter(|_| wants_windows);
        let windows = async {
            match poller {
                Some(poller) => poller.next().await,
                None => std::future::pending().await,
            }
        };
        let bridge = async {
            match bridge_until {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        let session = async {
            match &mut self.session {
                Session::Waiting(at) => {
                    sleep_until(*at).await;
                    Event::RetryDue
                }
                Session::Connecting(connecting) => Event::Connected(connecting.await),
                Session::Open(session, _) => Event::Live(session.read().await),
                Session::Never => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            event = session => event,
            windows = windows => Event::Windows(windows),
            () = bridge => Event::BridgeOver,
        }
    }

    /// When live bytes are no longer held back.
    fn bridge_until(&self) -> Option<Instant> {
        let times = if self.merger.is_at_start() { 4 } else { 1 };
        self.held_since.map(|since| since + self.options.bridge * times)
    }

    fn merge(&mut self, step: impl FnOnce(&mut Merger, &mut Vec<Merged>)) {
        let mut pieces = Vec::new();
        step(&mut self.merger, &mut pieces);
        self.ready.extend(self.handover.received(pieces));
        if !self.merger.is_holding() {
            self.held_since = None;
        }
    }

    fn windows(&mut self, windows: &[Vec<u8>]) {
        let is_stale = match (&mut self.poller, self.held_since) {
            (Some(poller), Some(since)) if poller.asked() < since => {
                poller.hurry(Duration::ZERO);
                true
            }
            _ => false,
        };
        for (at, window) in windows.iter().enumerate() {
            if at > 0 {
                self.handover.is_old();
            }
            self.merge(|merger, out| match is_stale {
                true => merger.stale_window(window, out),
                false => merger.window(window, out),
            });
        }
        // The kept output is there: a session that waits for it need not wait any longer.
        let waits = self.waits_for_window && !self.merger.is_holding();
        self.waits_for_window &= !waits;
        if let Session::Waiting(at) = &mut self.session
            && (self.failures == 0 || waits)
        {
            *at = Instant::now();
        }
    }

    fn no_windows(&mut self, error: PollError) -> Result<(), TransportError> {
        self.poller = None;
        match &mut self.session {
            Session::Never => return Err(TransportError::Poll(error)),
            Session::Waiting(at) if self.failures == 0 => *at = Instant::now(),
            _ => {}
        }
        tracing::debug!("no console output to poll: {error}");
        self.merge(Merger::give_up);
        Ok(())
    }

    fn retry(&mut self) {
        if let Some(connector) = &self.connector {
            self.merger.session_asked();
            self.session = Session::Connecting(connector.connect());
        }
    }

    async fn connected(&mut self, session: Box<dyn Transport>) {
        self.session = Session::Open(session, Instant::now());
        self.had_session = true;
        self.told = None;
        self.merge(Merger::session_started);
        if let Some(poller) = &mut self.poller {
            poller.hurry(Duration::ZERO);
        }
        self.ready.push_back(Received::Notice(Notice::Connected));
        let typed = std::mem::take(&mut self.typed);
        if !typed.is_empty()
            && let Err(error) = self.write(&typed).await
        {
            self.input_lost(&error);
        }
    }

    fn input_lost(&mut self, error: &TransportError) {
        let reason = error.to_string();
        self.ready.push_back(Received::Notice(Notice::InputLost { reason }));
    }

    fn not_connected(&mut self, error: TransportError) -> Result<(), TransportError> {
        let reason = match &error {
            // The session before takes its time to be torn down.
            TransportError::SessionLimit { .. } if self.had_session => "another session is \
                attached, or the last one is not torn down yet"
                .to_owned(),
            TransportError::SessionLimit { .. } => "another session is attached".to_owned(),
            error => error.to_string(),
        };
        tracing::debug!("no live console: {error}");
        let lasting = !error.is_transient();
        if matches!(error, TransportError::HostKey { .. }) || (lasting && self.poller.is_none()) {
            return Err(error);
        }
        self.session =
            if lasting && !self.worth_another_key(&error) { Session::Never } else { self.pause() };
        if self.poller.is_some() && self.told.as_ref() != Some(&reason) {
            self.ready.push_back(Received::Notice(Notice::PolledOnly { reason: reason.clone() }));
            if !std::mem::take(&mut self.typed).is_empty() {
                self.input_lost(&NOT_LIVE);
            }
            self.told = Some(reason);
        }
        Ok(())
    }

    /// A pushed key lives for a minute; a slow push may have lost it.
    fn worth_another_key(&self, error: &TransportError) -> bool {
        matches!(error, TransportError::KeyRefused { .. }) && self.failures < 3
    }

    fn pause(&mut self) -> Session {
        let pause = self.options.retry * 2u32.saturating_pow(self.failures.min(10));
        self.failures += 1;
        Session::Waiting(Instant::now() + pause.min(self.options.retry_max))
    }

    fn live(&mut self, chunk: Chunk) {
        if self.poller.is_none() && self.merger.wants_windows() {
            // No window will ever join these bytes to what came before.
            self.merge(|merger, out| {
                merger.live(chunk.bytes, out);
                merger.give_up(out);
            });
            return;
        }
        self.merge(|merger, out| merger.live(chunk.bytes, out));
        if self.merger.is_holding() && self.held_since.is_none() {
            self.held_since = Some(Instant::now());
            if let Some(poller) = &mut self.poller {
                poller.hurry(Duration::ZERO);
            }
        }
    }

    fn session_over(&mut self, reason: &str) {
        self.merger.session_ended();
        let bridge_until = self.bridge_until();
        if matches!(self.session, Session::Open(_, since) if since.elapsed() >= STEADY) {
            self.failures = 0;
        }
        self.session = self.pause();
        match &mut self.poller {
            // Its last bytes wait for a window, and the next session for them.
            Some(poller) if self.merger.is_holding() => {
                poller.hurry(Duration::ZERO);
                if let (Session::Waiting(at), Some(until)) = (&mut self.session, bridge_until) {
                    *at = until.max(*at);
                    self.waits_for_window = true;
                }
            }
            Some(_) => {}
            None => self.merge(Merger::give_up),
        }
        let reason = reason.to_owned();
        self.ready.push_back(Received::Notice(Notice::Reconnecting { reason }));
    }
}

impl Transport for Joined {
    fn read(&mut self) -> BoxFuture<'_, Result<Received, TransportError>> {
        self.next().boxed()
    }

    fn write<'a>(&'a mut self, bytes: &'a [u8]) -> BoxFuture<'a, Result<(), TransportError>> {
        match &mut self.session {
            Session::Open(session, _) => session.write(bytes),
            Session::Waiting(_) | Session::Connecting(_)
                if self.told.is_none() && self.typed.len() + bytes.len() <= MAX_TYPED =>
            {
                self.typed.extend_from_slice(bytes);
                async { Ok(()) }.boxed()
            }
            _ => async { Err(NOT_LIVE) }.boxed(),
        }
    }

    fn send_break(&mut self) -> BoxFuture<'_, Result<(), TransportError>> {
        match &mut self.session {
            Session::Open(session, _) => session.send_break(),
            _ => async { Err(TransportError::NoBreak { what: "polled console output" }) }.boxed(),
        }
    }

    fn close(&mut self) -> BoxFuture<'_, Result<(), TransportError>> {
        async {
            self.closed = true;
            self.ready.clear();
            self.poller = None;
            match std::mem::replace(&mut self.session, Session::Never) {
                Session::Open(mut session, _) => session.close().await,
                _ => Ok(()),
            }
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod drops;
