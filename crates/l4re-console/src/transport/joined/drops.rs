//! Joined consoles over lines that drop at any byte, of machines that print as fast as real
//! ones: what is handed over must be what was printed.
//!
//! As on the twin, what is kept has a byte before a session shows it, and a session stands for
//! its host before the client knows that it does.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use tokio::sync::Notify;

use super::super::ChunkKind;
use super::super::channel::takes_no_input;
use super::*;

/// Milliseconds.
const fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// A machine, its console and how both behave.
#[derive(Clone, Debug)]
struct Behaviour {
    /// Pieces of text, each after a pause.
    prints: Vec<(String, u64)>,
    /// Bytes after which each session is dropped; later ones hold.
    drops: Vec<usize>,
    /// How long a printed byte takes to the host of the sessions.
    lag: u64,
    /// From the call for a session to its place in the stream, and from there to the client.
    handshake: (u64, u64),
    /// From the call for a window to its content, and from there to the client.
    fetch: (u64, u64),
}

#[derive(Debug, Default)]
struct State {
    printed: Vec<u8>,
    /// When each piece was printed, by where it ends.
    times: Vec<(usize, Instant)>,
}

#[derive(Clone)]
struct World {
    behaviour: Arc<Behaviour>,
    state: Arc<Mutex<State>>,
    drops: Arc<Mutex<VecDeque<usize>>>,
    more: Arc<Notify>,
}

impl World {
    fn start(behaviour: Behaviour) -> Self {
        let drops = Arc::new(Mutex::new(behaviour.drops.iter().copied().collect()));
        let world = Self {
            behaviour: Arc::new(behaviour),
            state: Arc::default(),
            drops,
            more: Arc::default(),
        };
        let printing = world.clone();
        tokio::spawn(async move {
            for (text, pause) in &printing.behaviour.prints {
                tokio::time::sleep(ms(*pause)).await;
                let mut state = printing.state.lock().unwrap();
                state.printed.extend_from_slice(text.as_bytes());
                let end = state.printed.len();
                state.times.push((end, Instant::now()));
                printing.more.notify_waiters();
            }
        });
        world
    }

    fn printed(&self) -> Vec<u8> {
        self.state.lock().unwrap().printed.clone()
    }

    /// How much the host of the sessions has seen.
    fn seen(&self) -> usize {
        let state = self.state.lock().unwrap();
        let before = Instant::now() - ms(self.behaviour.lag);
        state.times.iter().rev().find(|(_, at)| *at <= before).map_or(0, |(end, _)| *end)
    }
}

impl Snapshots for World {
    fn fetch(&self, _: bool) -> BoxFuture<'static, Result<Vec<u8>, PollError>> {
        let world = self.clone();
        async move {
            let (there, back) = world.behaviour.fetch;
            tokio::time::sleep(ms(there)).await;
            let printed = world.printed();
            tokio::time::sleep(ms(back)).await;
            Ok(printed[printed.len().saturating_sub(64 * 1024)..].to_vec())
        }
        .boxed()
    }
}

impl Connector for World {
    fn connect(&self) -> Connecting {
        let world = self.clone();
        async move {
            let (there, back) = world.behaviour.handshake;
            tokio::time::sleep(ms(there)).await;
            let at = world.seen();
            let left = world.drops.lock().unwrap().pop_front();
            tokio::time::sleep(ms(back)).await;
            Ok(Box::new(Line { world, at, left }) as Box<dyn Transport>)
        }
        .boxed()
    }
}

/// A session: what is printed from its beginning, up to the drop.
struct Line {
    world: World,
    at: usize,
    left: Option<usize>,
}

impl Transport for Line {
    fn read(&mut self) -> BoxFuture<'_, Result<Received, TransportError>> {
        async {
            loop {
                if self.left == Some(0) {
                    let (address, detail) = ("m".to_owned(), "test".to_owned());
                    return Err(TransportError::Dropped { address, detail });
                }
                let seen = self.world.seen();
                if seen > self.at {
                    let count = (seen - self.at).min(self.left.unwrap_or(usize::MAX));
                    let printed = self.world.printed();
                    let bytes = Bytes::copy_from_slice(&printed[self.at..self.at + count]);
                    self.at += count;
                    self.left = self.left.map(|left| left - count);
                    let (at, kind) = (Instant::now(), ChunkKind::Live);
                    return Ok(Received::Chunk(Chunk { bytes, at, kind }));
                }
                match self.world.printed().len() == self.at {
                    true => self.world.more.notified().await,
                    false => tokio::time::sleep(ms(1)).await,
                }
            }
        }
        .boxed()
    }

    takes_no_input!();
}

/// Text as consoles have it: lines of their own, and some that come again and again.
fn text(number: u64, kind: u8) -> String {
    match kind {
        0 => "\r\n".to_owned(),
        1 => "Hello World!\r\n".to_owned(),
        2 => ".".repeat(32),
        3 => format!("  [{number:9x},{:9x}] {{ ffffffffffff0000 }} Root   image\r\n", number + 9),
        _ => format!("line {number} of the machine\r\n"),
    }
}

fn behaviour() -> impl Strategy<Value = Behaviour> {
    let fast = prop_oneof![8 => 0u64..3, 2 => 3u64..40, 1 => 40u64..1500];
    let prints = proptest::collection::vec((0u8..9, 1usize..6, fast), 1..120);
    let drops = proptest::collection::vec(1usize..900, 0..5);
    let times = (0u64..4, (5u64..30, 0u64..10), (0u64..40, 0u64..60));
    (prints, drops, times).prop_map(|(prints, drops, (lag, handshake, fetch))| {
        let mut number = 0;
        let prints = prints.into_iter().map(|(kind, lines, pause)| {
            let line = |_| {
                number += 1;
                text(number, kind)
            };
            ((0..lines).map(line).collect(), pause)
        });
        // Something of its own comes last, so that the end is one place.
        let prints = prints.chain([("the end of the machine\r\n".to_owned(), 400)]).collect();
        Behaviour { prints, drops, lag, handshake, fetch }
    })
}

/// What a console hands over until the end has come, with gaps marked.
async fn handed_over(world: &World) -> String {
    let options = JoinOptions { poll: ms(100), retry: ms(100), ..JoinOptions::default() };
    let mut console =
        Joined::new(Some(Box::new(world.clone())), Some(Box::new(world.clone())), options);
    let mut text = String::new();
    while !text.ends_with("the end of the machine\r\n") {
        match tokio::time::timeout(Duration::from_secs(120), console.read()).await {
            Ok(Ok(Received::Chunk(chunk))) => text.push_str(&String::from_utf8_lossy(&chunk.bytes)),
            Ok(Ok(Received::Gap(_))) => text.push_str("<gap>"),
            Ok(Ok(Received::Notice(_))) => {}
            Ok(Ok(Received::End) | Err(_)) => break,
            Err(_) => {
                text.push_str("<nothing more>");
                break;
            }
        }
    }
    text
}

/// What was printed by the time that the console was heard out, and what it handed over.
fn heard(behaviour: Behaviour) -> (String, String) {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let world = World::start(behaviour);
        let got = handed_over(&world).await;
        (String::from_utf8(world.printed()).unwrap(), got)
    })
}

/// Whether all that was handed over was printed, in this order, from the first byte to the last,
/// and all that is missing lies where a gap is marked.
fn is_honest(printed: &str, got: &str) -> bool {
    let mut pieces: VecDeque<&str> = got.split("<gap>").collect();
    let first = pieces.pop_front().unwrap_or_default();
    let Some(last) = pieces.pop_back() else { return printed == got };
    let inner = printed.strip_prefix(first).and_then(|rest| rest.strip_suffix(last));
    let Some(mut rest) = inner else { return false };
    pieces.iter().all(|piece| match rest.split_once(piece) {
        Some((_, after)) => {
            rest = after;
            true
        }
        None => false,
    })
}

proptest! {
    // Always the same cases: about one in ten thousand cannot be told without a gap.
    #![proptest_config(ProptestConfig {
        cases: 100,
        rng_seed: RngSeed::Fixed(0),
        ..ProptestConfig::default()
    })]
    #[test]
    fn what_is_handed_over_is_what_was_printed(behaviour in behaviour()) {
        let (printed, got) = heard(behaviour);
        prop_assert_eq!(got, printed);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]
    #[test]
    fn what_is_missing_is_marked(behaviour in behaviour()) {
        let (printed, got) = heard(behaviour);
        prop_assert!(is_honest(&printed, &got), "{got}");
    }
}

#[test]
fn a_gap_that_is_marked_is_honest_and_no_other() {
    for (got, honest) in [
        ("abcdef", true),
        ("ab<gap>ef", true),
        ("a<gap>c<gap>f", true),
        ("<gap>def", true),
        ("abef", false),
        ("ab<gap>bef", false),
        ("ab<gap>f<gap>ef", false),
        ("ab<gap>xf", false),
        ("ab<gap><nothing more>", false),
    ] {
        assert_eq!(is_honest("abcdef", got), honest, "{got}");
    }
}
