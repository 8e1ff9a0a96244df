//! The attached console: at a terminal, beside another one, over a line that drops, and of
//! hosts that are not who they should be. One machine serves for all of it.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use camino::Utf8Path;
use l4re_tests::{Desk, given};
use serde_json::{Value, json};

/// Limit for a boot under emulation on a busy machine.
const BOOT: Duration = Duration::from_secs(240);
/// Limit for what needs no boot.
const SOON: Duration = Duration::from_secs(120);

#[test]
fn the_console_of_a_machine() {
    let desk = Desk::new();
    let tree = given("L4RE_TEST_TREE_AMD64").to_string();
    let session = |call: u32, effect: Value| json!({ "on": "console:session", "at_call": call, "effect": effect });
    let rules = json!([
        // The second session ends before the image is there, however fast the machine boots.
        { "on": "guest:GET", "times": 1, "effect": { "delay": { "milliseconds": 5000 } } },
        session(1, json!({ "drop-console": { "bytes": 600 } })),
        session(2, json!({ "end-console": { "seconds": 1 } })),
        session(3, json!({ "drop-console": { "bytes": 600 } })),
    ]);
    let log = a_line_that_drops_loses_nothing(&desk, &tree, &rules);
    let id = log.split_once("instances/").unwrap().1.split('/').next().unwrap().to_owned();
    at_a_terminal(&desk);
    sessions_that_cannot_be_had(&desk, &id);
    a_gap_is_told_with_its_size(&desk);
    several_at_once(&desk, &tree);
    desk.l4re(&["rm", "--local", "hello", "second"]).code(0);
}

/// A session ends, and what joins the next one to it does not come in time: first nobody knows
/// how much is missing, later a window shows both sides.
fn a_gap_is_told_with_its_size(desk: &Desk) {
    let ends = json!({ "end-console": { "seconds": 10 } });
    faults(desk, &json!([{ "on": "console:session", "at_call": 1, "effect": ends }]));
    let mut terminal = desk.terminal();
    terminal.prompts(SOON);
    terminal.keys("\"$L4RE\" l4re console --local hello -v\n");
    terminal.shows("live console", SOON);
    // By then it is joined to what came before.
    for _ in 0..4 {
        terminal.shows("Hello World!", SOON);
    }
    // None comes until there is a gap: one that is only late may still be in time where the
    // machine is later.
    let fails = json!({ "error": { "code": "InternalError", "status": 500 } });
    faults(desk, &json!([{ "on": "GetConsoleOutput", "effect": fails }]));
    terminal.shows("is missing here, of unknown size", SOON);
    faults(desk, &json!([]));
    terminal.shows("missing at the gap above: ", SOON);
    terminal.keys("\r~.");
    terminal.prompts(SOON);
}

/// Each line carries its machine's name, and what is for one console is refused.
fn several_at_once(desk: &Desk, tree: &str) {
    let words = ["deploy", "hello", "--metal", "--local", "--tree", tree, "--detach"];
    desk.start(&[&words[..], &["--name", "second"]].concat()).wait(BOOT).code(0);
    let both = ["console", "--local", "hello", "second"];
    desk.l4re(&[&both[..], &["--record", "cast"]].concat()).code(2).says("for one console");
    desk.l4re(&["console", "--local", "hello", "nobody"]).code(6).says("`nobody`");
    let piped = "\"$0\" l4re console --local hello second | head -n 1";
    let binary = given("L4RE_TEST_BINARY");
    let words = ["-c", piped, binary.as_str()];
    let output = desk.start_program("/bin/sh".into(), &words).wait(SOON).code(0);
    assert!(!output.stderr.contains("Broken pipe"), "{output:?}");
    let words = [&both[..], &["--expect", "Hello World!", "--timeout", "3m"]].concat();
    let output = desk.start(&words).wait(BOOT).code(0);
    assert!(!output.stdout.contains('\x1b'), "{output:?}");
    for line in output.stdout.lines() {
        assert!(line.starts_with("hello  | ") || line.starts_with("second | "), "{line:?}");
    }
    for machine in ["hello  | Hello World!", "second | Hello World!"] {
        assert!(output.stdout.contains(machine), "{output:?}");
    }
}

/// The log of a console whose session drops again and again, and comes to its limit, is what
/// the machine printed.
fn a_line_that_drops_loses_nothing(desk: &Desk, tree: &str, rules: &Value) -> String {
    desk.l4re(&["twin", "start"]).code(0);
    faults(desk, rules);
    let words = ["deploy", "hello", "--metal", "--local", "--tree", tree, "--log", "console.log"];
    let more = ["--expect", "Hello World!", "--timeout", "3m", "-v", "--gdb"];
    let output = desk.start(&[&words[..], &more].concat()).wait(BOOT).code(0);
    a_debugger_finds_the_machine(&output.stderr);
    let output = output.says("again").says("what ran is what was built, by");
    let output = output.says("again: the session was closed");
    assert_eq!(output.stderr.matches(" again: ").count(), 3, "{}", output.stderr);
    assert!(!output.stderr.contains("missing here"), "{}", output.stderr);
    faults(desk, &json!([]));
    let machine = fs_err::read_dir(desk.twin_file("instances")).unwrap().next().unwrap().unwrap();
    let printed = machine.path().join("console.log");
    let (printed, read) = (fs_err::read(&printed).unwrap(), desk.dir().join("console.log"));
    let read = fs_err::read(read).unwrap();
    assert!(read.len() > 2 * 600 && printed.starts_with(&read), "doubled, lost or out of order");
    machine.path().to_string_lossy().into_owned()
}

/// QEMU's stub greets whoever connects to the socket of the line to paste.
fn a_debugger_finds_the_machine(said: &str) {
    let line = said.split_once("gdb -ex 'target remote ").unwrap().1;
    let mut stub = UnixStream::connect(line.split('\'').next().unwrap()).unwrap();
    stub.set_read_timeout(Some(SOON)).unwrap();
    stub.write_all(b"$qSupported#37").unwrap();
    let mut answer = [0; 64];
    let count = stub.read(&mut answer).unwrap();
    assert!(count > 0 && b"+$".contains(&answer[0]), "{:?}", &answer[..count]);
    // Detached, the machine runs on.
    stub.write_all(b"$D#44").unwrap();
}

/// Keys, help, job control and a second console.
fn at_a_terminal(desk: &Desk) {
    let mut terminal = desk.terminal();
    terminal.prompts(SOON);
    terminal.keys("stty -g > before\n");
    terminal.prompts(SOON);
    terminal.keys("\"$L4RE\" l4re console --local hello --timestamps --record cast -v\n");
    terminal.shows("lists keys", SOON);
    // Before that a second one could be first.
    terminal.shows("live console", SOON);
    terminal.shows("] Hello World!", SOON);
    terminal.keys("\r~?");
    terminal.shows("the machine runs on", SOON);

    let second = ["console", "--local", "hello", "--expect", "never", "--timeout", "12s"];
    let output = desk.start(&second).wait(SOON).code(8).prints("Hello World!");
    let output = output.says("polled, not live: another session is attached");
    assert_eq!(output.stderr.matches("attached").count(), 1, "{}", output.stderr);

    terminal.keys("\x1a");
    terminal.shows("Stopped", SOON);
    terminal.prompts(SOON);
    terminal.keys("stty -g > during; fg\n");
    terminal.shows("] Hello World!", SOON);
    // Without a newline of its own: keys go through one by one again.
    terminal.keys("\r~?");
    terminal.shows("the machine runs on", SOON);
    terminal.keys("\r~.");
    terminal.shows("its console: cargo l4re console --local hello", SOON);
    terminal.prompts(SOON);
    terminal.keys("stty -g > after; exit\n");
    terminal.shows("exit", SOON);
    let modes = |name: &str| desk.wait_for_log(name, ":", SOON);
    assert_eq!(modes("before"), modes("during"));
    assert_eq!(modes("before"), modes("after"));
    let cast = fs_err::read_to_string(desk.dir().join("cast")).unwrap();
    let mut lines = cast.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    assert_eq!(lines.next().unwrap()["version"], 2);
    assert!(lines.any(|line| line[1] == "o" && line[2].as_str().unwrap().contains("Hello World!")));
}

/// A key that is refused, a host that is another one.
fn sessions_that_cannot_be_had(desk: &Desk, id: &str) {
    let words = ["console", "--local", id, "--expect", "never", "--timeout", "12s"];
    let refused = json!({ "error": { "code": "AuthException", "status": 403 } });
    faults(desk, &json!([{ "on": "connect:*", "effect": refused }]));
    desk.start(&words).wait(SOON).code(8).says("polled, not live").prints("Hello World!");
    faults(desk, &json!([]));

    let path = desk.twin_file("twin.json");
    let honest = fs_err::read_to_string(&path).unwrap();
    let mut status: Value = serde_json::from_str(&honest).unwrap();
    status["serial_console_fingerprint"] = format!("SHA256:{}", "A".repeat(43)).into();
    fs_err::write(&path, status.to_string()).unwrap();
    let never = ["console", "--local", id, "--expect", "never", "--timeout", "1m"];
    desk.start(&never).wait(SOON).code(6).says("is none of the published ones");
    fs_err::write(&path, honest).unwrap();
}

fn faults(desk: &Desk, rules: &Value) {
    fs_err::write(desk.twin_file("faults.json"), json!({ "rules": rules }).to_string()).unwrap();
}

#[test]
fn a_recorded_console_is_judged_as_a_live_one() {
    let desk = Desk::new();
    let boot = "SeaBIOS (version 1)\r\nL4 Bootstrapper\r\nMOE: Hello world\r\n";
    let log = desk.write("boot.log", format!("{boot}\x1b]0;title\x07\x1b[31mred\x1b[0m\r\n"));
    let from = |path: &Utf8Path, more: &[&str]| {
        desk.l4re(&[&["console", "--from", path.as_str()], more].concat())
    };
    let output = from(&log, &["--expect", "red$", "--log", "copy.log"]).code(0);
    assert!(output.stdout.ends_with("Hello world\r\nred\r\n"), "{:?}", output.stdout);
    let copy = fs_err::read(desk.dir().join("copy.log")).unwrap();
    assert_eq!(copy, fs_err::read(&log).unwrap());
    from(&log, &["--color", "always"]).code(0).prints("\x1b[31mred\x1b[0m").says("bootstrap");
    from(&log, &["--expect", "blue"]).code(7).says("`blue` was not seen");
    let evil = format!("{boot}bad \u{9b}6n\x05\x1b[c\u{9d}0;title\x07 line\r\n");
    let output = from(&desk.write("evil.log", evil), &["--fail-on", "bad"]).code(7).says("bad");
    let harms = |letter: char| letter.is_control() && !matches!(letter, '\r' | '\n' | '\t');
    assert!(!output.stdout.contains(harms) && !output.stderr.contains(harms), "{output:?}");
    let crash =
        desk.write("crash.log", format!("{boot}L4Re: rom/x: Unhandled exception: PC=0x1\r\n"));
    from(&crash, &[]).code(9).says("unhandled exception").says("MOE: Hello world");
    from(&desk.dir().join("none"), &[]).code(1).says("none");
    // Of a pipe that nobody writes to yet, too, limits hold from the start.
    let pipe = desk.dir().join("pipe");
    duct::cmd!("mkfifo", &pipe).run().unwrap();
    from(&pipe, &["--timeout", "1s"]).code(8).says("without any output");
    let writer = duct::cmd!("cp", &log, &pipe).start().unwrap();
    from(&pipe, &["--expect", "red$"]).code(0).prints("Hello world");
    writer.wait().unwrap();
    from(&log, &["--log", "/dev/full"]).code(0).says("log /dev/full is incomplete after 0 bytes");
    from(&log, &["--log", "/no/such/folder/x"]).code(1).says("/no/such/folder/x");
    // Before anything is launched, and the debugger is the twin's.
    let tree = given("L4RE_TEST_TREE_AMD64");
    let words = ["run", "hello", "--tree", tree.as_str(), "--log", "/no/such/folder/x"];
    desk.l4re(&words).code(1).says("/no/such/folder/x");
    from(&log, &["--gdb"]).code(2).says("on the twin");
}

#[test]
fn what_is_read_is_never_written_over() {
    let desk = Desk::new();
    let text = "L4 Bootstrapper\r\nMOE: Hello world\r\n";
    let log = desk.write("boot.log", text);
    fs_err::os::unix::fs::symlink(&log, desk.dir().join("link")).unwrap();
    let from = |more: &[&str]| desk.l4re(&[&["console", "--from", "boot.log"], more].concat());
    from(&["--log", "boot.log"]).code(2).says("`--from` and `--log` are the same file");
    from(&["--record", "./link"]).code(2).says("`--from` and `--record` are the same file");
    from(&["--log", "new", "--record", "new"]).code(2).says("`--log` and `--record`");
    assert_eq!(fs_err::read_to_string(&log).unwrap(), text);
    from(&["--log", "/dev/null", "--record", "/dev/null"]).code(0);
    desk.write("boot.log.gz", b"\x1f\x8b\x08\0");
    desk.l4re(&["console", "--from", "boot.log.gz"]).code(2).says("zcat boot.log.gz | cargo l4re");
    desk.l4re(&["console", "--from", "."]).code(2).says("is a folder");
    desk.l4re(&["console", "--from", "[::1]:1"]).code(1).says("[::1]:1: connection refused");
    // What follows a console's unfinished line begins one of its own where both go to one place.
    desk.write("prompt.log", format!("{text}login: "));
    let call = "\"$0\" l4re console --from prompt.log 2>&1";
    let binary = given("L4RE_TEST_BINARY");
    let words = ["-c", call, binary.as_str()];
    let output = desk.start_program("/bin/sh".into(), &words).wait(SOON).code(0);
    assert!(output.stdout.contains("login: \n      Phases "), "{output:?}");
}
