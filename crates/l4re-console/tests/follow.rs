//! Following consoles to verdicts: recorded ones, and ones that a test plays with the clock
//! under its control.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod play;

use std::time::Duration;

use camino::Utf8Path;
use l4re_console::follow::{ControlHandle, FollowOptions, Report, control, follow};
use l4re_console::log::RawLog;
use l4re_console::phase::{FaultKind, ImageInfo, Phase};
use l4re_console::tap::TapVerdict;
use l4re_console::transport::Replay;
use l4re_console::verdict::Verdict;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

use self::play::{Seen, options, played, run};

async fn replay(path: &Utf8Path, options: FollowOptions) -> (Report, Seen) {
    run(&mut Replay::open(path).unwrap(), options).await
}

fn fixture(name: &str) -> String {
    format!("{}/tests/fixtures/{name}.log", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn recorded_consoles_have_their_verdicts() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    insta::glob!("fixtures/*.log", |path| {
        let path = Utf8Path::from_path(path).unwrap();
        let options = options(&["^Hello World!$", "^Hello World!$"], &[]);
        let (report, _) = runtime.block_on(replay(path, options));
        assert_eq!(report.bytes, fs_err::metadata(path).unwrap().len());
        let mut json = serde_json::to_value(&report).unwrap();
        json.as_object_mut().unwrap().retain(|key, _| ["verdict", "boots"].contains(&key.as_str()));
        insta::assert_snapshot!(serde_json::to_string_pretty(&json).unwrap());
    });
}

#[tokio::test]
async fn the_log_holds_every_byte_and_the_output_none_that_harms() {
    let dir = camino_tempfile::tempdir().unwrap();
    let (source, path) = (dir.path().join("source"), dir.path().join("log"));
    let raw = b"\x1b]0;title\x07a\xff\x1b[31mred\x1b[0m\0\x1b[6n\nlast";
    fs_err::write(&source, raw).unwrap();
    let mut log = RawLog::create(&path).unwrap();
    let mut seen = Seen::default();
    let (_handle, orders) = control();
    let mut transport = Replay::open(&source).unwrap();
    let report =
        follow(&mut transport, FollowOptions::default(), Some(&mut log), &mut seen, orders).await;
    assert_eq!(fs_err::read(&path).unwrap(), raw);
    assert_eq!(seen.output, b"a\\xff\x1b[31mred\x1b[0m\nlast");
    assert!(matches!(report.verdict, Verdict::Closed { missing: None, .. }));
}

#[tokio::test]
async fn a_full_disk_ends_the_log_and_not_the_run() {
    let mut log = RawLog::create(Utf8Path::new("/dev/full")).unwrap();
    let mut seen = Seen::default();
    let (_handle, orders) = control();
    let path = fixture("real-amd64-multiboot");
    let mut transport = Replay::open(Utf8Path::new(&path)).unwrap();
    let options = options(&["Hello World!"], &[]);
    let report = follow(&mut transport, options, Some(&mut log), &mut seen, orders).await;
    assert_eq!(report.verdict, Verdict::Expected);
    assert!(report.log_error.unwrap().contains("/dev/full"));
    assert!(seen.has("LogFailed"));
}

#[tokio::test]
async fn a_closed_output_interrupts() {
    let path = fixture("real-amd64-multiboot");
    let mut seen = Seen { closed_after: Some(0), ..Seen::default() };
    let (_handle, orders) = control();
    let mut transport = Replay::open(Utf8Path::new(&path)).unwrap();
    let report = follow(&mut transport, FollowOptions::default(), None, &mut seen, orders).await;
    assert_eq!(report.verdict, Verdict::Interrupted);
}

#[tokio::test]
async fn the_application_ends_a_run_that_asks_for_no_more() {
    let path = fixture("real-amd64-uefi-disk");
    let mut options = FollowOptions::default();
    options.until_application = true;
    let (report, seen) = replay(Utf8Path::new(&path), options).await;
    assert_eq!(report.verdict, Verdict::ApplicationReached);
    assert_eq!(report.first_application_line.unwrap().text, "Hello World!");
    assert_eq!(report.image.sequence.as_deref(), Some("1"));
    assert!(seen.has("PhaseReached { phase: Kernel"));
}

#[tokio::test]
async fn doubled_lines_are_shown_once_on_request() {
    let path = fixture("real-amd64-uefi-disk");
    let mut options = FollowOptions::default();
    options.undouble = true;
    let (_, seen) = replay(Utf8Path::new(&path), options).await;
    let text = String::from_utf8(seen.output).unwrap();
    assert!(text.contains("\nL4 Bootstrapper\r\n  Compiled with: GCC (12.2.0)\r\n"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_prompt_without_newline_is_met_and_a_debugger_is_a_crash() {
    let (mut console, mut machine) = played();
    machine.write_all(b"login: ").await.unwrap();
    let (report, _) = run(&mut console, options(&["login: $"], &[])).await;
    assert_eq!(report.verdict, Verdict::Expected);

    let (mut console, mut machine) = played();
    machine.write_all(b"before\r\n\x1b[32;1mjdb: ").await.unwrap();
    let (report, _) = run(&mut console, options(&["never"], &[])).await;
    let Verdict::Crashed { cause: FaultKind::Debugger, lines, .. } = report.verdict else {
        panic!("{:?}", report.verdict);
    };
    assert_eq!(lines, ["before", "jdb:"]);
}

#[tokio::test(start_paused = true)]
async fn who_expects_a_panic_gets_it_and_lines_after_a_fault_are_kept() {
    let (mut console, mut machine) = played();
    machine.write_all(b"Panic: no memory\n").await.unwrap();
    let playing = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(500)).await;
        machine.write_all(b"Return reboots\n").await.unwrap();
        machine
    });
    let (report, _) = run(&mut console, options(&["reboots"], &[])).await;
    assert_eq!(report.verdict, Verdict::Expected);
    drop(playing.await);

    let (mut console, mut machine) = played();
    machine.write_all(b"Panic: no memory\n").await.unwrap();
    let playing = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(500)).await;
        machine.write_all(b"and this is why\n").await.unwrap();
        machine
    });
    let (report, _) = run(&mut console, options(&["never"], &[])).await;
    let Verdict::Crashed { cause: FaultKind::KernelPanic, lines, .. } = report.verdict else {
        panic!("{:?}", report.verdict);
    };
    assert_eq!(lines, ["Panic: no memory", "and this is why"]);
    drop(playing.await);
}

/// Follows in a task, so that the test can type.
fn attached(
    options: FollowOptions,
) -> (tokio::task::JoinHandle<(Report, Vec<String>)>, ControlHandle, DuplexStream) {
    let (mut console, machine) = played();
    let (handle, orders) = control();
    let following = tokio::spawn(async move {
        let mut seen = Seen::default();
        let report = follow(&mut console, options, None, &mut seen, orders).await;
        (report, seen.events)
    });
    (following, handle, machine)
}

#[tokio::test(start_paused = true)]
async fn typed_bytes_reach_the_machine_and_escapes_do_not() {
    let mut options = FollowOptions::default();
    options.escapes = true;
    let (following, handle, mut machine) = attached(options);
    handle.typed(b"ls\r~?\x1b".to_vec());
    let mut typed = [0; 4];
    machine.read_exact(&mut typed).await.unwrap();
    assert_eq!(&typed, b"ls\r\x1b");
    // The debugger was asked for with ESC: its prompt is no fault.
    machine.write_all(b"jdb: ").await.unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    handle.typed(b"\r~B~.more".to_vec());
    let (report, events) = following.await.unwrap();
    assert_eq!(report.verdict, Verdict::Left);
    assert!(events.iter().any(|event| event == "HelpWanted"), "{events:?}");
    assert!(events.iter().any(|event| event.contains("a socket has no break")), "{events:?}");
    assert!(!events.iter().any(|event| event.starts_with("Fault")), "{events:?}");
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_takes_nothing_holds_nobody_and_is_told_once() {
    let mut options = FollowOptions::default();
    options.escapes = true;
    let (following, handle, machine) = attached(options);
    for _ in 0..4000 {
        handle.typed(vec![b'x'; 1024]);
    }
    handle.typed(b"\r~.".to_vec());
    let began = tokio::time::Instant::now();
    let (report, events) = following.await.unwrap();
    assert_eq!(report.verdict, Verdict::Left);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    let told = events.iter().filter(|event| event.contains("takes nothing")).count();
    assert_eq!(told, 1, "{events:?}");
    drop(machine);
}

#[tokio::test(start_paused = true)]
async fn a_run_can_be_cancelled_and_a_reboot_on_purpose_is_no_loop() {
    let (following, handle, mut machine) = attached(FollowOptions::default());
    machine.write_all(b"L4 Bootstrapper\nMOE: Hello world\n").await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    handle.reboot_requested();
    machine.write_all(b"last words\nL4 Bootstrapper\n").await.unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    handle.cancel();
    let (report, _) = following.await.unwrap();
    assert_eq!((report.verdict, report.boots), (Verdict::Interrupted, 2));
    assert_eq!(report.phases.current(), Some(Phase::Bootstrap));

    let (following, _handle, mut machine) = attached(FollowOptions::default());
    machine.write_all(b"L4 Bootstrapper\nMOE: Hello world\nL4 Bootstrapper\n").await.unwrap();
    let (report, _) = following.await.unwrap();
    assert!(matches!(report.verdict, Verdict::Looping { boots: 2, .. }), "{:?}", report.verdict);
}

#[tokio::test(start_paused = true)]
async fn another_image_than_the_one_that_was_built_ends_a_run() {
    let meant = |expect: &[&str]| {
        let mut options = options(expect, &[]);
        options.image = Some(ImageInfo { sequence: Some("17".into()), ..ImageInfo::default() });
        options
    };
    let banner = b"L4 Bootstrapper\n  L4Image sequence info: #";
    for (number, kernel, wrong) in [
        ("16", "Welcome to Fiasco.OC!", true),
        // Cut off by a gap.
        ("1", "Welcome to Fiasco.OC!", false),
        ("17", "Welcome to Fiasco.OC!", false),
        // The next line may belong to the bootstrapper, too.
        ("16", "Scanning", false),
    ] {
        let (following, handle, mut machine) = attached(meant(&["never"]));
        machine.write_all(banner).await.unwrap();
        machine.write_all(format!("{number}\n{kernel}\n").as_bytes()).await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        handle.cancel();
        let (report, _) = following.await.unwrap();
        let ended = matches!(&report.verdict, Verdict::WrongImage { what: "number", runs, .. } if runs == "16");
        assert_eq!(ended, wrong, "{number}, {kernel}: {:?}", report.verdict);
    }
    // What was expected before the kernel ran does not make it good.
    let (mut console, mut machine) = played();
    machine.write_all(banner).await.unwrap();
    machine.write_all(b"16\nScanning\n").await.unwrap();
    let (report, _) = run(&mut console, meant(&["Scanning"])).await;
    assert!(matches!(report.verdict, Verdict::WrongImage { .. }), "{:?}", report.verdict);
}

#[tokio::test]
async fn tests_end_a_run_with_what_they_came_to() {
    let (mut console, mut machine) = played();
    machine
        .write_all(b"x | TAP TEST START\r\nx | not ok 1 a\r\nx | 1..1\r\nx | TAP TEST FINISH\r\n")
        .await
        .unwrap();
    let mut options = FollowOptions::default();
    options.tap = true;
    let (report, _) = run(&mut console, options).await;
    let Verdict::Tested { tests: TapVerdict::Failed { problems } } = report.verdict else {
        panic!("{:?}", report.verdict);
    };
    assert_eq!(problems, ["not ok: a"]);
    assert_eq!(report.tap.unwrap().cases.len(), 1);
}

#[tokio::test]
async fn a_console_that_ends_says_what_was_still_missing() {
    let (mut console, machine) = played();
    drop(machine);
    let (report, _) = run(&mut console, options(&["one", "two"], &[])).await;
    let Verdict::Closed { missing, .. } = report.verdict else { panic!("{:?}", report.verdict) };
    assert_eq!(missing.as_deref(), Some("one"));
}

/// A console on which tests run, and what it came to.
async fn tested(expect: &[&str], parts: &[&str]) -> Report {
    let (mut console, mut machine) = played();
    let mut options = options(expect, &[]);
    options.tap = true;
    options.timeout = Some(Duration::from_secs(60));
    let parts: Vec<_> = parts.iter().map(|&part| part.to_owned()).collect();
    let playing = tokio::spawn(async move {
        for part in parts {
            machine.write_all(part.as_bytes()).await.unwrap();
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
        machine
    });
    let (report, _) = run(&mut console, options).await;
    drop(playing);
    report
}

const PASSED: Verdict = Verdict::Tested { tests: TapVerdict::Passed };

#[tokio::test(start_paused = true)]
async fn tests_and_expectations_are_both_wanted() {
    let tests = "TAP TEST START\nok 1 a\n1..1\nTAP TEST FINISH\n";
    assert_eq!(tested(&["bye"], &[tests, "bye\n"]).await.verdict, PASSED);
    assert_eq!(tested(&["hi"], &["hi\n", tests]).await.verdict, PASSED);
    let timed_out = |report: Report, what: &str| {
        assert!(matches!(report.verdict, Verdict::TimedOut { .. }), "{:?}", report.verdict);
        assert_eq!(report.missing.as_deref(), Some(what));
    };
    timed_out(tested(&["bye"], &[tests]).await, "bye");
    timed_out(tested(&["hi"], &["hi\n"]).await, "TAP TEST START");
    timed_out(tested(&[], &["TAP TEST START\nok 1 a\n"]).await, "TAP TEST FINISH");
    // Nothing that comes later mends what failed.
    let failed = tested(&["bye"], &[&tests.replace("ok 1", "not ok 1"), "bye\n"]).await;
    assert!(!failed.verdict.is_good() && matches!(failed.verdict, Verdict::Tested { .. }));
}

#[tokio::test(start_paused = true)]
async fn an_exception_that_a_test_provokes_is_no_crash() {
    let exception = "L4Re: rom/x: Unhandled exception: PC=0x1 PFA=0x0\n";
    let start = "TAP TEST START\nok 1 a\n";
    let end = "ok 2 b\n1..2\nTAP TEST FINISH\n";
    assert_eq!(tested(&[], &[start, exception, "other\n", end]).await.verdict, PASSED);
    assert_eq!(tested(&[], &[&[start, end, exception].concat()]).await.verdict, PASSED);
    let crashed = tested(&[], &[start, exception]).await.verdict;
    assert!(matches!(crashed, Verdict::Crashed { .. }), "{crashed:?}");
    // A kernel that gives up runs no further test.
    let panicked = tested(&[], &[start, "Panic: no memory\n", end]).await.verdict;
    assert!(matches!(panicked, Verdict::Crashed { .. }), "{panicked:?}");
}

#[tokio::test(start_paused = true)]
async fn what_tests_say_counts_by_its_place() {
    // However the bytes are cut, the run ends with the tests.
    let tests = "TAP TEST START\nok 1 a\n1..1\nTAP TEST FINISH\n";
    let verdict = async |raw: &str, fail_on: &[&str]| {
        let mut options = options(&[], fail_on);
        options.tap = true;
        let (mut console, mut machine) = played();
        machine.write_all(raw.as_bytes()).await.unwrap();
        drop(machine);
        run(&mut console, options).await.0.verdict
    };
    assert_eq!(verdict(&format!("{tests}bad\n"), &["bad"]).await, PASSED);
    assert!(matches!(verdict(&format!("bad\n{tests}"), &["bad"]).await, Verdict::Failed { .. }));
    // Nor is a last line less for having no newline.
    assert_eq!(verdict(tests.trim_end(), &[]).await, PASSED);
    // An exception after the last test that said anything was none of its making.
    let exception = "L4Re: rom/x: Unhandled exception: PC=0x1 PFA=0x0\n";
    let crashed = tested(&[], &[&format!("TAP TEST START\nok 1 a\n{exception}")]).await.verdict;
    assert!(matches!(crashed, Verdict::Crashed { .. }), "{crashed:?}");
}

#[tokio::test]
async fn doubled_lines_are_expected_as_they_are_shown() {
    let path = fixture("real-amd64-uefi-disk");
    let expect = ["^EFI: L4::Bootstrap$", "^L4 Bootstrapper$", "L4Image sequence info: #", "Hello"];
    let report = replay(Utf8Path::new(&path), options(&expect, &[])).await.0;
    assert_eq!(report.verdict, Verdict::Expected);
}
