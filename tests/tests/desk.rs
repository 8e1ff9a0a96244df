//! Instances on the twin: boots to a verdict, and the life of a deployed one.

use std::time::Duration;

use l4re_tests::{Desk, given};

/// Limit for a boot under emulation on a busy machine.
const BOOT: Duration = Duration::from_secs(240);
/// Limit for what needs no boot.
const SOON: Duration = Duration::from_secs(120);

fn amd64() -> String {
    given("L4RE_TEST_TREE_AMD64").to_string()
}

fn run(desk: &Desk, words: &[&str]) -> l4re_tests::Output {
    let mut all = vec!["run"];
    all.extend(words);
    all.extend(["--timeout", "3m"]);
    desk.start(&all).wait(BOOT)
}

#[test]
fn x86_64_by_uefi_and_ipxe() {
    let desk = Desk::new();
    let words = ["hello", "--tree", &amd64(), "--expect", "Hello World!"];
    let output = run(&desk, &words).code(0);
    let output = output.prints("stand-in").prints("Hello World!").prints("iPXE").says("UEFI, iPXE");
    for phase in ["firmware", "iPXE", "download", "bootstrap", "kernel", "moe", "application"] {
        assert!(output.stderr.contains(phase), "no {phase} in\n{}", output.stderr);
    }
    output.says("Stopped");
    assert!(desk.machines().is_empty());
    desk.l4re(&["ps", "--local"]).code(0).says("no instances");
}

#[test]
fn x86_64_metal_by_bios_and_multiboot() {
    let desk = Desk::new();
    let words = ["hello", "--metal", "--tree", &amd64(), "--expect", "Hello World!"];
    let output = run(&desk, &words).code(0).prints("Hello World!");
    output.says("BIOS, iPXE, multiboot").says("UEFI");
}

#[test]
fn arm64_by_uefi() {
    let desk = Desk::new();
    let tree = given("L4RE_TEST_TREE_ARM64").to_string();
    let words = ["hello", "--tree", &tree, "--expect", "Hello World!", "--command-line", "-v"];
    let output = run(&desk, &words).code(0).prints("Hello World!").prints("user-data script");
    output.says("`--command-line` may have no effect");
}

#[test]
fn the_life_of_an_instance() {
    let desk = Desk::new();
    let tree = amd64();
    let words = ["deploy", "hello", "--local", "--detach", "--tree", &tree, "--ttl", "1h"];
    desk.start(&words).wait(BOOT).code(0).says("cargo l4re console --local hello");
    let output = desk.l4re(&["ps", "--local", "--message-format", "json"]).code(0);
    let instance = output.message("instance");
    assert_eq!(instance["name"], "hello");
    assert_eq!(instance["owner"], "tester");
    assert!(instance["expires"].is_string());
    let id = instance["id"].as_str().unwrap().to_owned();

    // The same again is the instance that there is; for all else the name is taken.
    desk.l4re(&words).code(0).says("Found").says(&id);
    let other = desk.l4re(&[&words[..], &["--metal"]].concat());
    other.code(6).says("already running").says("cargo l4re rm");

    let words = ["console", "--local", "hello", "--expect", "Hello World!", "--timeout", "3m"];
    desk.start(&words).wait(BOOT).code(0).prints("Hello World!");

    // The aws command line sees what we see.
    let query = "Reservations[].Instances[].[InstanceId,State.Name]";
    let words = ["ec2", "describe-instances", "--query", query, "--output", "text"];
    desk.aws(&words).code(0).prints(&id).prints("running");

    desk.l4re(&["stop", "--local", "hello"]).code(0).says("Stopped");
    desk.l4re(&["ps", "--local"]).code(0).prints("stopped");
    assert!(desk.machines().is_empty());
    desk.l4re(&["start", "--local", "hello"]).code(0).says("Started");
    let words = ["ec2", "terminate-instances", "--instance-ids", &id, "--output", "text"];
    desk.aws(&words).code(0);
    // Terminating takes its moment, here as on EC2.
    desk.until("no instances", &["ps", "--local"]);
    desk.l4re(&["rm", "--local", "hello"]).code(6).says("no instance named `hello`");
}

#[test]
fn verdicts_have_their_exit_codes() {
    let desk = Desk::new();
    let tree = amd64();
    let boot = |entry: &str, more: &[&str]| {
        let mut words = vec!["run", entry, "--metal", "--tree", &tree];
        words.extend(more);
        desk.start(&words).wait(BOOT)
    };
    boot("panic", &["--expect", "never", "--timeout", "3m"]).code(9).says("panic");
    boot("reboot-loop", &["--expect", "never", "--timeout", "3m"]).code(9).says("reboot loop");
    boot("hello", &["--fail-on", "Hello", "--timeout", "3m"]).code(7).says("was seen");
    let output = boot("silent", &["--expect", "never", "--timeout", "20s"]).code(8);
    output.says("time-out").says("`never` was not seen");
    assert!(desk.machines().is_empty());
}

#[test]
fn ctrl_c_leaves_no_machine() {
    let desk = Desk::new();
    let tree = amd64();
    let words = ["run", "hello", "--metal", "--tree", &tree, "--log", "console.log"];
    let running = desk.start(&words);
    desk.wait_for_log("console.log", "iPXE", BOOT);
    assert_eq!(desk.machines().len(), 1);
    running.interrupt();
    running.wait(SOON).code(130);
    assert!(desk.machines().is_empty());
    desk.l4re(&["ps", "--local"]).code(0).says("no instances");
}

#[test]
fn an_efi_image_is_refused_on_x86_metal_before_anything_is_launched() {
    let desk = Desk::new();
    let path = desk.l4re(&["efiimage", "hello", "--tree", &amd64()]).code(0).stdout;
    let output = desk.l4re(&["run", "--metal", path.trim()]).code(6);
    output.says("no UEFI").says("elfimage");
    desk.l4re(&["ps", "--local", "--all"]).code(0).says("no instances");
}

#[test]
fn an_image_of_another_architecture_is_refused() {
    let desk = Desk::new();
    let path = desk.l4re(&["efiimage", "hello", "--tree", &amd64()]).code(0).stdout;
    let words = ["run", "--type", "m7g.metal", path.trim()];
    desk.l4re(&words).code(6).says("x86_64").says("arm64");
}

#[test]
fn an_image_with_a_wrong_sum_is_not_run() {
    let desk = Desk::new();
    let bad = desk.image_with_a_wrong_sum(&amd64());
    for command in ["run", "deploy"] {
        desk.l4re(&[command, bad.as_str()]).code(5).says("fails 1 check");
    }
}

#[test]
fn user_data_over_the_limit_is_refused() {
    let desk = Desk::new();
    let long = "x".repeat(20_000);
    let words = ["run", "hello", "--tree", &amd64(), "--command-line", &long];
    desk.l4re(&words).code(6).says("16384");
}

#[test]
fn what_the_desk_lacks_is_named_with_its_package() {
    let path = "/nonexistent/file";
    let lacks = |variables: &[&str], what: &str| {
        let desk = variables.iter().fold(Desk::new(), |desk, name| desk.with(name, path));
        desk.l4re(&["run", "hello", "--tree", &amd64()]).code(6).says(path).says(what);
        desk.l4re(&["ps", "--local"]).code(0).says("no instances");
    };
    lacks(&["CARGO_L4RE_TWIN_QEMU_AMD64"], "apt-get install qemu-system-x86");
    lacks(&["CARGO_L4RE_TWIN_IPXE_AMD64"], "x86_64");
    let pair = ["CARGO_L4RE_TWIN_FIRMWARE_AMD64_CODE", "CARGO_L4RE_TWIN_FIRMWARE_AMD64_VARS"];
    lacks(&pair, "apt-get install ovmf");
}

#[test]
fn a_declared_entry_runs_to_its_own_expectation() {
    let desk = Desk::new();
    let tree = amd64();
    let hello = format!("{tree}/bin/amd64_gen/l4f/hello");
    let settings = format!(
        "[tree.amd64]\nbuild = \"{tree}\"\n[[entry]]\nname = \"mine\"\n\
         roottask = \"moe --init=rom/app\"\nexpect = [\"MOE: Starting: rom/app\", \"Hello World!\"]\n\
         modules = [\"l4re\", {{ file = \"{hello}\", name = \"app\" }}]\ntimeout = \"3m\"\n"
    );
    desk.write("l4re.toml", settings);
    desk.l4re(&["entries"]).code(0).prints("mine\n");
    desk.start(&["run", "mine", "--metal"]).wait(BOOT).code(0).prints("rom/app");
    let words = ["runner", "--metal", "--expect", "Hello World!", "--timeout", "3m", &hello, "-v"];
    desk.start(&words).wait(BOOT).code(0).prints("rom/hello -- -v");
}

#[test]
fn a_crate_is_built_by_cargo_for_its_entry() {
    let desk = Desk::new();
    desk.write(
        "Cargo.toml",
        "[package]\nname = \"app\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\
         [package.metadata.l4re.tree.amd64]\nbuild = \"TREE\"\n[workspace]\n"
            .replace("TREE", &amd64()),
    );
    // A stand-in for a program of L4Re's: at least it needs no library of Linux.
    desk.write(".cargo/config.toml", "build.rustflags = [\"-Ctarget-feature=+crt-static\"]\n");
    desk.write("src/main.rs", "fn main() {}\n");
    let output = desk.l4re(&["efiimage", "-p", "app"]).code(0);
    let words = ["inspect", output.stdout.trim()];
    desk.l4re(&words).code(0).prints("moe --init=rom/app").prints("app");
    desk.write("src/main.rs", "fn main() { broken }\n");
    desk.l4re(&["efiimage", "-p", "app"]).code(101).says("src/main.rs:1:13");
}

#[test]
fn a_reboot_under_uefi_boots_again() {
    let desk = Desk::new();
    let tree = amd64();
    let output = desk.start(&["run", "reboot-loop", "--tree", &tree, "--timeout", "3m"]).wait(BOOT);
    output.code(9).says("reboot loop");
    let words = ["deploy", "hello", "--local", "--tree", &tree, "--expect", "Hello World!"];
    desk.start(&[&words[..], &["--timeout", "3m"]].concat()).wait(BOOT).code(0);
    desk.l4re(&["reboot", "--local", "hello"]).code(0);
    let words = ["console", "--local", "hello", "--expect", "stand-in", "--expect", "stand-in"];
    desk.start(&[&words[..], &["--timeout", "3m"]].concat()).wait(BOOT).code(0);
    desk.l4re(&["rm", "--local", "hello"]).code(0);
}

#[test]
fn a_deploy_whose_reader_leaves_keeps_no_machine() {
    let desk = Desk::new();
    let tree = amd64();
    let binary = given("L4RE_TEST_BINARY");
    let words = ["hello", "--metal", "--tree", &tree, "--expect", "never", "--timeout", "2m"];
    for command in ["run", "deploy --local --rm"] {
        let line = format!(
            "{binary} l4re {command} {} | head -n 2; exit ${{PIPESTATUS[0]}}",
            words.join(" ")
        );
        desk.start_program("/bin/bash".into(), &["-c", &line]).wait(BOOT).code(7);
        desk.l4re(&["ps", "--local"]).code(0).says("no instances");
    }
}

#[test]
fn a_machine_that_is_removed_ends_its_run() {
    let desk = Desk::new();
    let tree = amd64();
    let words = ["run", "silent", "--metal", "--tree", &tree, "--log", "console.log"];
    let running = desk.start(&words);
    desk.wait_for_log("console.log", "Starting kernel", BOOT);
    desk.l4re(&["rm", "--local", "silent"]).code(0);
    running.wait(SOON).code(0).says("the instance is");
}
