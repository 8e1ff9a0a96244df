//! What a terminal gets, and a pipe does not: live lines and bars, fit to its width.

use std::time::Duration;

use l4re_tests::{Desk, given};

/// Limit for an image, an upload, a twin on a busy machine.
const LIMIT: Duration = Duration::from_secs(180);

#[test]
fn bars_are_for_terminals_and_fit_them() {
    let desk = Desk::new().with("CARGO_L4RE_LOCAL", "true");
    let desk = desk.with("CARGO_L4RE_TREE_AMD64_BUILD", given("L4RE_TEST_TREE_AMD64"));
    desk.l4re(&["twin", "fault", "add", "s3:PUT", "--delay", "1500"]).code(0);
    let image = format!("efiimage hello --make BOOTSTRAP_OUTPUT_DIR={}", desk.dir());
    let mut terminal = desk.terminal();
    terminal.keys("stty cols 60\r");
    terminal.keys(&format!("\"$L4RE\" {image}\r"));
    terminal.shows("s hello", LIMIT);
    terminal.shows("Finished", LIMIT);
    terminal.keys("\"$L4RE\" upload bootstrap_hello.efi\r");
    terminal.shows("[          ] 0 B/", LIMIT);
    terminal.shows("X-Amz-Signature", LIMIT);

    // CI wants none of it, on a terminal of its own neither. (What is there is not sent again.)
    desk.l4re(&["elfimage", "hello", &format!("BOOTSTRAP_OUTPUT_DIR={}", desk.dir())]).code(0);
    terminal.keys("export CI=1; \"$L4RE\" upload bootstrap_hello.elf; echo don''e\r");
    terminal.shows("done\r", LIMIT);
    let all = terminal.all();
    let (_, last) = all.rsplit_once("export CI=1").unwrap();
    assert!(last.contains("X-Amz-Signature") && !last.contains("] 0 B/"), "{last}");

    let words: Vec<&str> = image.split(' ').collect();
    let piped = desk.l4re(&words).code(0);
    assert!(!piped.stderr.contains("s hello") && !piped.stderr.contains('\r'), "{piped:?}");
}

/// Runs its arguments on a terminal, closes that once the system runs, and gives the exit code.
const CLOSED: &str = "
import os, pty, sys
process, terminal = pty.fork()
if process == 0:
    os.execv(sys.argv[1], sys.argv[1:])
shown = b''
while b'Hello World!' not in shown:
    shown += os.read(terminal, 4096)
os.close(terminal)
print(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]))
";

#[test]
fn a_terminal_that_is_closed_ends_a_run() {
    let desk = Desk::new();
    let python = given("L4RE_TEST_VENV").join("bin/python");
    let (binary, tree) = (given("L4RE_TEST_BINARY"), given("L4RE_TEST_TREE_AMD64"));
    let run = ["run", "hello", "--boot", "disk", "--tree", tree.as_str()];
    let words = [&["-c", CLOSED, binary.as_str(), "l4re"][..], &run].concat();
    desk.start_program(&python, &words).wait(LIMIT).code(0).prints("130");
    desk.l4re(&["ps", "--local"]).code(0).says("no instances");
}

#[test]
fn what_a_console_did_to_a_terminal_is_taken_back() {
    let desk = Desk::new();
    desk.write("x.log", "L4 Bootstrapper\r\nMOE: Hello world\r\n\x1b[?25l\x1b[41;8mred\x1b[3J");
    let mut terminal = desk.terminal();
    terminal.prompts(LIMIT);
    terminal.keys("stty cols 40\n\"$L4RE\" l4re console --from x.log\n");
    terminal.shows("\x1b[?25l\x1b[41;8mred\x1b[0m\x1b[?25h", LIMIT);
    terminal.shows("Phases", LIMIT);
    terminal.prompts(LIMIT);
    let all = terminal.all();
    let (_, table) = all.rsplit_once("Phases").unwrap();
    assert!(table.contains("at") && !table.contains("took"), "{table}");
}
