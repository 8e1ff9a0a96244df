//! A live session renewed after drops, with polled windows filling what it could not see.
//!
//! First the kept output is fetched, then a session is opened; whenever one begins, windows
//! are polled until they join its bytes to what came before. Without a session the console is
//! polled, and sessions are tried again with growing pauses. Invariant: a host key that is not
//! trusted ends the console at once, whatever else could go on.

use std::collections::VecDeque;
use std::time::Duration;

use futures::FutureExt as _;
use tokio::time::{Instant, sleep_until};

use super::merge::{Merged, Merger};
use super::polled::{PollError, Poller, received};
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
    /// and how long a session waits for the kept output at the start.
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
    options: JoinOptions,
    /// Failed tries since the last session.
    failures: u32,
    /// When live bytes are no longer held back.
    bridge_until: Option<Instant>,
    /// The reason that was told for having no session.
    told: Option<String>,
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
            options,
            failures: 0,
            bridge_until: None,
            told: None,
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
                Event::Connected(Ok(session)) => self.connected(session),
                Event::Connected(Err(error)) => self.not_connected(error)?,
                Event::Live(Ok(Received::Chunk(chunk))) => self.live(chunk),
                Event::Live(Ok(Received::End)) => self.session_over("the session was closed"),
                Event::Live(Ok(other)) => return Ok(other),
                Event::Live(Err(error)) => self.session_over(&error.to_string()),
                Event::BridgeOver => {
                    self.bridge_until = None;
                    self.merge(Merger::give_up);
                }
            }
        }
    }

    /// Waits for whatever comes first. Safe to cancel: what is under way is kept.
    async fn event(&mut self) -> Event {
        let wants_windows = self.merger.wants_windows();
        let poller = self.poller.as_mut().filter(|_| wants_windows);
        let windows = async {
            match poller {
                Some(poller) => poller.next().await,
                None => std::future::pending().await,
            }
        };
        let bridge = async {
            match self.bridge_until {
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

    fn merge(&mut self, step: impl FnOnce(&mut Merger, &mut Vec<Merged>)) {
        let mut pieces = Vec::new();
        step(&mut self.merger, &mut pieces);
        self.ready.extend(received(pieces));
        if !self.merger.is_holding() {
            self.bridge_until = None;
        }
    }

    fn windows(&mut self, windows: &[Vec<u8>]) {
        for window in windows {
            self.merge(|merger, out| merger.window(window, out));
        }
        // The kept output is there: the first session need not wait any longer.
        if let Session::Waiting(at) = &mut self.session
            && self.failures == 0
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
            self.session = Session::Connecting(connector.connect());
        }
    }

    fn connected(&mut self, session: Box<dyn Transport>) {
        self.session = Session::Open(session, Instant::now());
        self.told = None;
        self.merger.session_started();
        if let Some(poller) = &mut self.poller {
            poller.hurry(Duration::ZERO);
        }
        self.ready.push_back(Received::Notice(Notice::Connected));
    }

    fn not_connected(&mut self, error: TransportError) -> Result<(), TransportError> {
        let reason = error.to_string();
        let lasting = !error.is_transient();
        if matches!(error, TransportError::HostKey { .. }) || (lasting && self.poller.is_none()) {
            return Err(error);
        }
        self.session =
            if lasting && !self.worth_another_key(&error) { Session::Never } else { self.pause() };
        if self.poller.is_some() && self.told.as_ref() != Some(&reason) {
            self.ready.push_back(Received::Notice(Notice::PolledOnly { reason: reason.clone() }));
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
        if self.merger.is_holding() && self.bridge_until.is_none() {
            self.bridge_until = Some(Instant::now() + self.options.bridge);
            if let Some(poller) = &mut self.poller {
                poller.hurry(Duration::ZERO);
            }
        }
    }

    fn session_over(&mut self, reason: &str) {
        self.merge(Merger::session_ended);
        if matches!(self.session, Session::Open(_, since) if since.elapsed() >= STEADY) {
            self.failures = 0;
        }
        self.session = self.pause();
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
            _ => async { Err(TransportError::ReadOnly { what: "polled console output" }) }.boxed(),
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
mod tests {
    use std::sync::{Arc, Mutex};

    use bytes::Bytes;

    use super::super::ChunkKind;
    use super::*;

    /// A machine that prints numbered lines, one each 100 ms, and keeps all of them.
    #[derive(Clone)]
    struct Machine(Arc<Mutex<Vec<u8>>>);

    impl Machine {
        fn start(lines: u32) -> Self {
            let machine = Self(Arc::default());
            let printing = machine.clone();
            tokio::spawn(async move {
                for number in 1..=lines {
                    let line = format!("line {number} of the machine\n");
                    printing.0.lock().unwrap().extend_from_slice(line.as_bytes());
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            });
            machine
        }

        fn printed(&self) -> Vec<u8> {
            self.0.lock().unwrap().clone()
        }
    }

    impl Snapshots for Machine {
        fn fetch(&self, _: bool) -> BoxFuture<'static, Result<Vec<u8>, PollError>> {
            let machine = self.clone();
            async move {
                tokio::time::sleep(Duration::from_millis(150)).await;
                Ok(machine.printed())
            }
            .boxed()
        }
    }

    /// A session that shows what is printed while it stands, for some time.
    struct Live {
        machine: Machine,
        at: usize,
        until: Instant,
    }

    impl Transport for Live {
        fn read(&mut self) -> BoxFuture<'_, Result<Received, TransportError>> {
            async {
                loop {
                    let printed = self.machine.printed();
                    if printed.len() > self.at {
                        let bytes = Bytes::copy_from_slice(&printed[self.at..]);
                        self.at = printed.len();
                        let (at, kind) = (Instant::now(), ChunkKind::Live);
                        return Ok(Received::Chunk(Chunk { bytes, at, kind }));
                    }
                    if Instant::now() >= self.until {
                        return Err(broken());
                    }
                    tokio::time::sleep(Duration::from_millis(30)).await;
                }
            }
            .boxed()
        }

        fn write<'a>(&'a mut self, _: &'a [u8]) -> BoxFuture<'a, Result<(), TransportError>> {
            async { Ok(()) }.boxed()
        }

        fn send_break(&mut self) -> BoxFuture<'_, Result<(), TransportError>> {
            async { Ok(()) }.boxed()
        }

        fn close(&mut self) -> BoxFuture<'_, Result<(), TransportError>> {
            async { Ok(()) }.boxed()
        }
    }

    fn broken() -> TransportError {
        TransportError::Dropped { address: "m".into(), detail: "test".into() }
    }

    /// Sessions of 1 s, with tries that fail by turns.
    struct Flaky {
        machine: Machine,
        tries: Arc<Mutex<u32>>,
        error: fn() -> TransportError,
        fails: fn(u32) -> bool,
    }

    impl Connector for Flaky {
        fn connect(&self) -> Connecting {
            let number = {
                let mut tries = self.tries.lock().unwrap();
                *tries += 1;
                *tries
            };
            let (machine, error, fails) = (self.machine.clone(), self.error, (self.fails)(number));
            async move {
                tokio::time::sleep(Duration::from_millis(40)).await;
                if fails {
                    return Err(error());
                }
                let at = machine.printed().len();
                let until = Instant::now() + Duration::from_secs(1);
                Ok(Box::new(Live { machine, at, until }) as Box<dyn Transport>)
            }
            .boxed()
        }
    }

    fn flaky(machine: &Machine, error: fn() -> TransportError, fails: fn(u32) -> bool) -> Flaky {
        Flaky { machine: machine.clone(), tries: Arc::default(), error, fails }
    }

    /// Reads until `length` bytes came.
    async fn read(console: &mut Joined, length: usize) -> (Vec<u8>, Vec<Received>) {
        let (mut bytes, mut others) = (Vec::new(), Vec::new());
        while bytes.len() < length {
            let read = tokio::time::timeout(Duration::from_secs(600), console.read());
            match read.await.unwrap().unwrap() {
                Received::Chunk(chunk) => bytes.extend_from_slice(&chunk.bytes),
                other => others.push(other),
            }
        }
        (bytes, others)
    }

    async fn all_lines(fails: fn(u32) -> bool) -> Vec<Received> {
        let machine = Machine::start(200);
        // The console is attached to a machine that has printed already.
        tokio::time::sleep(Duration::from_secs(2)).await;
        let connector = flaky(&machine, broken, fails);
        let mut console = Joined::new(
            Some(Box::new(connector)),
            Some(Box::new(machine.clone())),
            JoinOptions::default(),
        );
        let length = (1..=200).map(|n| format!("line {n} of the machine\n").len()).sum();
        let (bytes, others) = read(&mut console, length).await;
        assert_eq!(String::from_utf8_lossy(&bytes), String::from_utf8_lossy(&machine.printed()));
        others
    }

    #[tokio::test(start_paused = true)]
    async fn drops_and_what_came_before_are_filled() {
        let others = all_lines(|_| false).await;
        assert!(!others.iter().any(|other| matches!(other, Received::Gap(_))), "{others:?}");
        assert!(others.iter().filter(|o| **o == Received::Notice(Notice::Connected)).count() >= 3);
    }

    #[tokio::test(start_paused = true)]
    async fn tries_that_fail_are_repeated_and_told_once() {
        let others = all_lines(|number| number <= 3).await;
        let told = others.iter().filter(|other| {
            matches!(other, Received::Notice(Notice::PolledOnly { reason }) if reason.contains("test"))
        });
        assert_eq!(told.count(), 1, "{others:?}");
        assert!(others.contains(&Received::Notice(Notice::Connected)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_console_without_sessions_is_polled() {
        let machine = Machine::start(50);
        let unavailable =
            || TransportError::Unavailable { address: "m".into(), detail: "off".into() };
        let connector = flaky(&machine, unavailable, |_| true);
        let tries = Arc::clone(&connector.tries);
        let mut console = Joined::new(
            Some(Box::new(connector)),
            Some(Box::new(machine.clone())),
            JoinOptions::default(),
        );
        let length = (1..=50).map(|n| format!("line {n} of the machine\n").len()).sum();
        let (bytes, _) = read(&mut console, length).await;
        assert_eq!(bytes, machine.printed());
        assert_eq!(*tries.lock().unwrap(), 1);
        assert!(console.write(b"x").await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn without_kept_output_a_drop_is_a_gap() {
        let machine = Machine::start(200);
        let connector = flaky(&machine, broken, |_| false);
        let mut console = Joined::new(Some(Box::new(connector)), None, JoinOptions::default());
        let (_, others) = read(&mut console, 1000).await;
        assert!(others.iter().any(|other| matches!(other, Received::Gap(_))), "{others:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_host_that_is_not_trusted_ends_the_console() {
        use super::super::{Fingerprint, HostKeyError};
        let machine = Machine::start(10);
        let untrusted = || TransportError::HostKey {
            address: "m".into(),
            source: HostKeyError::NotPinned { seen: Fingerprint::new("x"), expected: Vec::new() },
        };
        let connector = flaky(&machine, untrusted, |_| true);
        let mut console = Joined::new(
            Some(Box::new(connector)),
            Some(Box::new(machine.clone())),
            JoinOptions::default(),
        );
        let error = loop {
            match console.read().await {
                Ok(_) => {}
                Err(error) => break error,
            }
        };
        assert!(matches!(error, TransportError::HostKey { .. }), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_closed_console_is_at_its_end() {
        let machine = Machine::start(10);
        let mut console =
            Joined::new(None, Some(Box::new(machine.clone())), JoinOptions::default());
        read(&mut console, 10).await;
        console.close().await.unwrap();
        assert_eq!(console.read().await.unwrap(), Received::End);
    }
}
