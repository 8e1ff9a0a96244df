//! Limits for a run and for silence, and what is told of a boot that stands still, with the clock
//! under the test's control.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod play;

use std::time::Duration;

use l4re_console::follow::FollowOptions;
use l4re_console::phase::{Phase, Start, hint_for};
use l4re_console::transport::{
    BoxFuture, Chunk, ChunkKind, Gap, Missing, Received, Transport, TransportError,
};
use l4re_console::verdict::Verdict;
use tokio::io::AsyncWriteExt as _;

use self::play::{options, played, run};

#[tokio::test(start_paused = true)]
async fn a_whole_run_and_silence_have_limits() {
    let (mut console, mut machine) = played();
    let mut limited = options(&["never"], &[]);
    limited.timeout = Some(Duration::from_secs(100));
    limited.idle_timeout = Some(Duration::from_secs(30));
    let playing = tokio::spawn(async move {
        for _ in 0..100 {
            machine.write_all(b"MOE: Hello world\r\n").await.unwrap();
            tokio::time::sleep(Duration::from_secs(9)).await;
        }
    });
    let (report, _) = run(&mut console, limited).await;
    let waited = Duration::from_secs(100);
    let (phase, missing) = (Some(Phase::Moe), Some("never".to_owned()));
    let hint = Some(hint_for(phase).to_owned());
    assert_eq!(report.verdict, Verdict::TimedOut { phase, waited, missing, hint });
    playing.abort();

    let (mut console, _machine) = played();
    let mut limited = FollowOptions::default();
    limited.idle_timeout = Some(Duration::from_secs(30));
    let (report, _) = run(&mut console, limited).await;
    let waited = Duration::from_secs(30);
    let hint = Some(hint_for(None).to_owned());
    assert_eq!(report.verdict, Verdict::Idle { phase: None, waited, missing: None, hint });
}

#[tokio::test(start_paused = true)]
async fn firmware_may_be_silent_for_longer_than_a_system() {
    for (printed, waited) in [("", 1200), ("MOE: Hello world\r\n", 30)] {
        let (mut console, mut machine) = played();
        let mut limited = FollowOptions::default();
        limited.idle_timeout = Some(Duration::from_secs(30));
        limited.first_output = Duration::from_secs(1200);
        machine.write_all(printed.as_bytes()).await.unwrap();
        let (report, _) = run(&mut console, limited).await;
        let limit = Duration::from_secs(waited);
        assert!(
            matches!(report.verdict, Verdict::Idle { waited, .. } if waited == limit),
            "{:?}",
            report.verdict
        );
    }
}

/// A machine whose console is polled: text, `~` for more than a window that was not seen, and
/// then silence.
struct Polled(&'static str);

impl Transport for Polled {
    fn read(&mut self) -> BoxFuture<'_, Result<Received, TransportError>> {
        let Some(first) = self.0.chars().next() else { return Box::pin(std::future::pending()) };
        let (now, later) = self.0.split_at(self.0.find('~').unwrap_or(self.0.len()).max(1));
        self.0 = later;
        let received = match first {
            '~' => {
                let missing = Missing::Overrun { printed: 65536 };
                Received::Gap(Gap { missing, within: None })
            }
            _ => Received::Chunk(Chunk {
                bytes: now.into(),
                at: tokio::time::Instant::now(),
                kind: ChunkKind::Backlog,
            }),
        };
        Box::pin(async { Ok(received) })
    }

    fn write<'a>(&'a mut self, _: &'a [u8]) -> BoxFuture<'a, Result<(), TransportError>> {
        Box::pin(async { Ok(()) })
    }

    fn send_break(&mut self) -> BoxFuture<'_, Result<(), TransportError>> {
        Box::pin(async { Ok(()) })
    }

    fn close(&mut self) -> BoxFuture<'_, Result<(), TransportError>> {
        Box::pin(async { Ok(()) })
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_machine_does_that_was_met_running_is_not_guessed() {
    for (text, start, known) in [
        ("thing: 17\r\n", Start::Attached, None),
        ("L4 Bootstrapper\r\n~thing: 17\r\n", Start::Attached, None),
        ("L4 Bootstrapper\r\n~MOE: Hello world\r\n", Start::Attached, Some(Phase::Moe)),
        ("L4 Bootstrapper\r\n", Start::Attached, Some(Phase::Bootstrap)),
        ("thing: 17\r\n", Start::Boot, Some(Phase::Firmware)),
    ] {
        let mut limited = FollowOptions::default();
        limited.start = start;
        limited.timeout = Some(Duration::from_secs(100));
        let (report, seen) = run(&mut Polled(text), limited).await;
        let Verdict::TimedOut { phase, hint, .. } = &report.verdict else { panic!("{report:?}") };
        assert_eq!((*phase, hint.is_some()), (known, known.is_some()), "{text}");
        assert_eq!(seen.has("Hint"), known.is_some(), "{text}: {:?}", seen.events);
    }
}

#[tokio::test(start_paused = true)]
async fn time_in_which_nothing_could_be_read_does_not_count() {
    let (mut console, mut machine) = played();
    let mut limited = options(&["awake"], &[]);
    limited.timeout = Some(Duration::from_secs(40));
    limited.idle_timeout = Some(Duration::from_secs(20));
    let playing = tokio::spawn(async move {
        machine.write_all(b"iPXE initialising devices...ok\r\n").await.unwrap();
        tokio::time::sleep(Duration::from_secs(10)).await;
        // As after SIGSTOP: all timers are due at once, and nobody was there.
        tokio::time::advance(Duration::from_secs(100)).await;
        tokio::time::sleep(Duration::from_secs(8)).await;
        machine.write_all(b"awake\r\n").await.unwrap();
        machine
    });
    let (report, seen) = run(&mut console, limited).await;
    assert_eq!(report.verdict, Verdict::Expected);
    assert!(report.elapsed >= Duration::from_secs(118) && !seen.has("Hint"), "{:?}", seen.events);
    drop(playing.await);
}

#[tokio::test(start_paused = true)]
async fn a_boot_that_stands_still_gets_a_hint() {
    let (mut console, mut machine) = played();
    machine
        .write_all(b"iPXE initialising devices...ok\r\nConfiguring (net0 52:54)...")
        .await
        .unwrap();
    let mut limited = FollowOptions::default();
    limited.timeout = Some(Duration::from_secs(100));
    let (_, seen) = run(&mut console, limited).await;
    let hints: Vec<_> = seen.events.iter().filter(|event| event.starts_with("Hint")).collect();
    assert_eq!(hints.len(), 2, "{:?}", seen.events);
    assert!(hints[0].contains("Network") && hints[0].contains("no DHCP answer"), "{}", hints[0]);
}
