//! Tests of joined consoles.

use std::sync::{Arc, Mutex};

use bytes::Bytes;

use super::super::ChunkKind;
use super::super::channel::takes_no_input;
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

    takes_no_input!();
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
    let unavailable = || TransportError::Unavailable { address: "m".into(), detail: "off".into() };
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
    let mut console = Joined::new(None, Some(Box::new(machine.clone())), JoinOptions::default());
    read(&mut console, 10).await;
    console.close().await.unwrap();
    assert_eq!(console.read().await.unwrap(), Received::End);
}

/// Notes what is typed into it.
struct Typed(Arc<Mutex<Vec<u8>>>);

impl Transport for Typed {
    fn read(&mut self) -> BoxFuture<'_, Result<Received, TransportError>> {
        std::future::pending().boxed()
    }

    fn write<'a>(&'a mut self, bytes: &'a [u8]) -> BoxFuture<'a, Result<(), TransportError>> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        async { Ok(()) }.boxed()
    }

    fn send_break(&mut self) -> BoxFuture<'_, Result<(), TransportError>> {
        async { Ok(()) }.boxed()
    }

    fn close(&mut self) -> BoxFuture<'_, Result<(), TransportError>> {
        async { Ok(()) }.boxed()
    }
}

/// One session, after this time, or none.
struct Slow(Option<Arc<Mutex<Vec<u8>>>>);

impl Connector for Slow {
    fn connect(&self) -> Connecting {
        let typed = self.0.clone();
        async move {
            tokio::time::sleep(Duration::from_secs(3)).await;
            typed.map(|typed| Box::new(Typed(typed)) as Box<dyn Transport>).ok_or_else(broken)
        }
        .boxed()
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_typed_waits_for_the_session_that_is_under_way() {
    let typed = Arc::new(Mutex::new(Vec::new()));
    for session in [Some(Arc::clone(&typed)), None] {
        let comes = session.is_some();
        let (machine, connector) = (Machine::start(1), Box::new(Slow(session)));
        let options = JoinOptions::default();
        let mut console = Joined::new(Some(connector), Some(Box::new(machine)), options);
        read(&mut console, 10).await;
        for key in [&b"ls"[..], b"\r"] {
            console.write(key).await.unwrap();
        }
        let mut notices = Vec::new();
        while notices.len() < 1 + usize::from(!comes) {
            if let Received::Notice(notice) = console.read().await.unwrap() {
                notices.push(notice);
            }
        }
        if comes {
            assert_eq!(notices, [Notice::Connected]);
            assert_eq!(*typed.lock().unwrap(), b"ls\r");
        } else {
            assert!(matches!(notices[0], Notice::PolledOnly { .. }), "{notices:?}");
            assert!(matches!(notices[1], Notice::InputLost { .. }), "{notices:?}");
        }
        assert_eq!(console.write(b"more").await.is_ok(), comes);
    }
}
