//! `test` and `test-starter`: runs of several entries, what is reported of them, and that no
//! machine is left, whatever ends them.

use std::io::Write;
use std::time::{Duration, Instant};

use l4re_tests::{Desk, given};

/// Limit for a few boots under emulation on a busy machine.
const BOOTS: Duration = Duration::from_secs(420);

/// Prints what a JUnit reader that others wrote finds in a report.
const READ_JUNIT: &str = "
import sys
from junitparser.xunit2 import JUnitXml
xml = JUnitXml.fromfile(sys.argv[1])
print('all', xml.tests, xml.failures, xml.errors)
for suite in xml:
    for case in suite:
        for result in case.result or [None]:
            print(suite.name, case.name, type(result).__name__, getattr(result, 'type', None))
    print(suite.name, 'out', 'TAP TEST START' in (suite.system_out or ''))
";

/// A desk whose settings name the demo's tree and how its entries are judged.
fn desk(entries: &str) -> Desk {
    let desk = Desk::new();
    let tree = given("L4RE_TEST_TREE_AMD64");
    desk.write("l4re.toml", format!("[tree.amd64]\nbuild = \"{tree}\"\n{entries}"));
    desk
}

fn read_junit(desk: &Desk, name: &str) -> Vec<String> {
    let python = given("L4RE_TEST_VENV").join("bin/python");
    let words = ["-c", READ_JUNIT, name];
    let output = desk.start_program(&python, &words).wait(Duration::from_secs(180)).code(0);
    output.stdout.lines().map(str::to_owned).collect()
}

#[test]
fn what_the_settings_judge_is_tested() {
    let desk = desk(
        "[[entry]]\nname = \"tap\"\ntap = true\nexpect = [\"TAP TEST FINISHED\"]\n\
         [[entry]]\nname = \"el2-only\"\ntap = true\n\
         [[entry]]\nname = \"hello\"\nexpect = [\"MOE: Starting\", \"Hello World!\"]\n\
         fail-on = [\"panic\"]\n[[entry]]\nname = \"panic\"\ntimeout = \"3m\"\n",
    );
    let words = ["test", "--metal", "-j", "2", "--junit", "out/junit.xml", "--logs", "logs"];
    let output = desk.start(&[&words[..], &["--no-capture"]].concat()).wait(BOOTS).code(0);
    let output = output.says("el2-only is left out").says("2 runs on the twin, 2 at once");
    let output = output.prints("4 tests, 1 skipped, 1 to do").prints("as expected");
    let output = output.prints("2 passed, 0 failed, 0 skipped");
    // Each line of a console carries its entry's name.
    output.prints("tap   | TAP TEST START\n").prints("hello | Hello World!\n");
    assert!(desk.dir().join("logs/tap.log").is_file());
    assert!(desk.machines().is_empty());

    let lines = read_junit(&desk, "out/junit.xml");
    assert_eq!(lines[0], "all 5 0 0");
    assert!(lines.contains(&"tap Clock::Ticks Skipped None".to_owned()), "{lines:?}");
    assert!(lines.contains(&"hello hello NoneType None".to_owned()), "{lines:?}");
}

#[test]
fn failures_are_told_apart_and_the_worst_is_the_exit_code() {
    let desk = desk("[[entry]]\nname = \"tap-hang\"\ntap = true\nidle-timeout = \"45s\"\n");
    let words = ["test", "tap-fail", "tap-hang", "panic", "--metal", "-j", "3", "--junit", "j.xml"];
    let output = desk.start(&[&words[..], &["--message-format", "json"]].concat());
    let output = output.wait(BOOTS).code(9).says("3 of 3 runs failed");
    let messages = output.messages();
    let of = |run: &str| {
        let wanted =
            |message: &&serde_json::Value| message["reason"] == "test" && message["run"] == run;
        messages.iter().find(wanted).unwrap_or_else(|| panic!("no {run} in {messages:?}"))
    };
    for (run, status, code) in
        [("tap-fail", "failed", 7), ("tap-hang", "timed-out", 8), ("panic", "crashed", 9)]
    {
        assert_eq!((&of(run)["status"], &of(run)["exit_code"]), (&status.into(), &code.into()));
    }
    assert_eq!(of("tap-hang")["report"]["missing"], "TAP TEST FINISH");
    assert_eq!(of("tap-fail")["report"]["tap"]["cases"][1]["ok"], false);
    assert_eq!(output.message("tests")["tally"]["failed"], 3);

    let lines = read_junit(&desk, "j.xml");
    assert_eq!(lines[0], "all 7 1 2");
    for line in [
        "tap-fail Arithmetic::Divides Failure tap",
        "tap-fail out True",
        "tap-hang Arithmetic::Adds NoneType None",
        "tap-hang tap-hang Error time-out",
        "panic panic Error crash",
    ] {
        assert!(lines.contains(&line.to_owned()), "no {line} in {lines:?}");
    }
    assert!(desk.machines().is_empty());
}

#[test]
fn several_machines_start_one_image_from_its_disk() {
    let desk = desk("");
    let words = ["test", "hello", "--count", "2", "-j", "2", "--boot", "disk"];
    let output = desk.start(&[&words[..], &["--expect", "Hello World!"]].concat()).wait(BOOTS);
    output.code(0).prints("hello-1").prints("hello-2").prints("2 passed, 0 failed");
    assert!(desk.machines().is_empty());
}

#[test]
fn another_image_than_the_one_that_was_built_fails_at_once() {
    let desk = desk("");
    let build = ["ami", "build", "hello", "--local", "--message-format", "json"];
    let ami = desk.l4re(&build).code(0).message("ami")["id"].as_str().unwrap().to_owned();
    let built = desk.l4re(&["efiimage", "silent"]).code(0).stdout;
    let silent = desk.write("silent.efi", fs_err::read(built.trim()).unwrap());
    let inspected = desk.l4re(&["inspect", silent.as_str(), "--message-format", "json"]).code(0);
    let sum = inspected.message("inspection")["sha256"].as_str().unwrap().to_owned();
    // What holds `hello` says that it holds `silent`.
    let tag = format!("Key=l4re:image,Value={sum}");
    desk.aws(&["ec2", "create-tags", "--resources", &ami, "--tags", &tag]).code(0);
    let words = ["test", "silent.efi", "--boot", "disk", "--expect", "Hello World!"];
    let output = desk.start(&words).wait(BOOTS).code(7);
    output.prints("another image runs than was built: its ").prints("0 passed, 1 failed");
}

/// Waits until so many machines run.
fn machines(desk: &Desk, count: usize) {
    let deadline = Instant::now() + BOOTS;
    while desk.machines().len() != count {
        assert!(Instant::now() < deadline, "{:?}", desk.machines());
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn what_ends_the_command_ends_all_machines() {
    let desk = desk("");
    let words = ["test", "hello", "silent", "hello", "--metal", "-j", "2", "--expect", "never"];
    let running = desk.start(&words);
    machines(&desk, 2);
    running.interrupt();
    let output = running.wait(Duration::from_secs(180)).code(130);
    output.prints("0 passed, 0 failed, 0 skipped, 3 stopped");
    assert!(desk.machines().is_empty());
    desk.l4re(&["ps", "--local"]).code(0).says("no instances");

    let running = desk.start(&words);
    machines(&desk, 2);
    drop(running); // SIGKILL
    machines(&desk, 0);
    desk.until("no instances", &["ps", "--local"]);
}

#[test]
fn what_cannot_be_built_keeps_others_from_running_only_on_request() {
    let desk = desk("");
    let words = ["test", "missing-*", "tap-f*", "--metal", "--junit", "j.xml"];
    desk.start(&words).wait(BOOTS).code(4).says("module `does-not-exist`");
    assert!(desk.machines().is_empty() && !desk.dir().join("j.xml").exists());

    let output = desk.start(&[&words[..], &["--no-fail-fast"]].concat()).wait(BOOTS).code(7);
    let output = output.prints("ERROR    missing-module").prints("FAILED   tap-fail");
    output.says("2 of 2 runs failed");
    let lines = read_junit(&desk, "j.xml");
    assert!(lines.contains(&"missing-module missing-module Error error".to_owned()), "{lines:?}");

    let words = ["test", "tap-fail", "hello", "--metal", "--fail-fast", "--timeout", "3m"];
    let output = desk.start(&words).wait(BOOTS).code(7);
    output.prints("0 passed, 1 failed, 0 skipped, 1 stopped").says("1 of 2 runs failed");
    assert!(desk.machines().is_empty());
}

#[test]
fn what_cannot_be_tested_is_said_before_anything_runs() {
    let desk = desk("");
    desk.l4re(&["test"]).code(3).says("no entry is named").says("tap = true");
    desk.l4re(&["test", "nobody"]).code(4).says("no entry `nobody`");
    desk.l4re(&["test", "nobody*"]).code(4).says("no entry `nobody*`");
    desk.l4re(&["test", "tap", "--expect", "("]).code(2);
    let never = ["test", "tap", "--expect", r"one\ntwo"];
    desk.l4re(&never).code(2).says("give one expression a line");
    let words = ["test", "tap", "hello", "--log", "one.log"];
    desk.l4re(&words).code(2).says("`--logs DIR`");
    desk.l4re(&["ps", "--local", "--all"]).code(0).says("no instances");
}

/// The process that a process belongs to.
fn parent(process: u64) -> Option<u64> {
    let stat = fs_err::read_to_string(format!("/proc/{process}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok().filter(|parent| *parent > 1)
}

/// Calls the starter as L4Re's `tool/bin/run_test` does: in the build tree, the module list and
/// the search path in the environment, the console to come on stdout, ESC to go to stdin.
#[test]
fn l4res_runner_has_its_test_started() {
    let desk = Desk::new();
    let tree = given("L4RE_TEST_TREE_AMD64");
    let list = desk.write(
        "run/__test_modules.list",
        "entry maketest\nkernel fiasco -serial_esc\nbootstrap bootstrap\nsigma0 sigma0\n\
         roottask moe --init=rom/echo\nmodule l4re\nmodule[] echo\n",
    );
    let output = desk.write("console.txt", "");
    let input = desk.dir().join("input");
    duct::cmd!("mkfifo", &input).run().unwrap();
    let folder = desk.dir().join("run");
    let path = format!("{tree}/bin/amd64_gen/plain:{tree}/bin/amd64_gen/l4f:{tree}/fiasco");
    let starter = format!("{} l4re test-starter", given("L4RE_TEST_BINARY"));
    let desk = desk
        .with("EXTERNAL_TEST_STARTER", format!("{starter} --boot ipxe"))
        .with("MODULES_LIST", &list)
        .with("MODULE_SEARCH_PATH", path)
        .with("ENTRY", "maketest")
        .with("PT", "pc")
        .with("TEST_TARGET", "echo")
        .with("TEST_TMPDIR", folder);
    // Longer than the starter is silent, however fast the machine is.
    desk.l4re(&["twin", "fault", "add", "guest:GET", "--delay", "5000", "--times", "1"]).code(0);
    let line = format!("cd {tree} && exec $EXTERNAL_TEST_STARTER <{input} >{output}");
    let running = desk.start_program("/bin/sh".into(), &["-c", &line]);
    let mut input = fs_err::OpenOptions::new().write(true).open(&input).unwrap();

    desk.wait_for_log("console.txt", "echo: ready", BOOTS);
    input.write_all(b"spoken\n").unwrap();
    desk.wait_for_log("console.txt", "echo: spoken", BOOTS);
    input.write_all(b"\x1b").unwrap();
    let console = desk.wait_for_log("console.txt", "jdb: ", BOOTS);
    // Firmware is silent for longer than the framework waits for a line.
    assert!(console.contains("and no bootstrapper yet"), "{console}");
    assert!(desk.dir().join("run/bootstrap_maketest.efi").is_file());
    assert_eq!(desk.machines().len(), 1);
    // The framework ends all descendants of a test, and other tests need the twin.
    let status = fs_err::read_to_string(desk.twin_file("twin.json")).unwrap();
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    let ancestors: Vec<_> =
        std::iter::successors(status["pid"].as_u64(), |&process| parent(process)).collect();
    assert!(!ancestors.contains(&u64::from(running.pid())), "{ancestors:?}");
    // The framework's last word.
    drop(running);
    machines(&desk, 0);
    desk.until("no instances", &["ps", "--local"]);
}
