//! Machines that wait for an image, new images on machines that exist, and what ends by itself.

use std::time::{Duration, Instant};

use l4re_tests::{Desk, given};

/// Limit for a boot under emulation on a busy machine.
const BOOT: Duration = Duration::from_secs(240);

fn amd64() -> String {
    given("L4RE_TEST_TREE_AMD64").to_string()
}

#[test]
fn a_parked_machine_boots_what_comes_and_then_the_next_image() {
    let desk = Desk::new();
    let tree = amd64();
    let park = ["park", "--local", "--arch", "amd64", "--ttl", "1h", "--timeout", "4m"];
    let output = desk.start(&park).wait(BOOT).code(0);
    output.prints("l4re: parked polls=").says("cargo l4re deploy --local --on parked");
    let on = ["deploy", "--local", "--on", "parked", "--tree", &tree, "--timeout", "3m"];
    let words = [&on[..], &["hello", "--expect", "Hello World!"]].concat();
    desk.start(&words).wait(BOOT).code(0).says("which waited for it").prints("Hello World!");
    // What the first image said counts for nothing in the second one's boot.
    let words = [&on[..], &["panic", "--expect", "Hello World!"]].concat();
    let output = desk.start(&words).wait(BOOT).code(9).says("Rebooting").says("panic");
    assert!(!output.stdout.contains("Hello World!"), "{}", output.stdout);
    let test = ["test", "hello", "--on", "parked", "--tree", &tree, "--expect", "Hello World!"];
    let output = desk.start(&[&test[..], &["--timeout", "3m"]].concat()).wait(BOOT).code(0);
    output.prints("1 passed").says("1 run on the twin");
    desk.l4re(&["test", "hello", "--on", "nobody", "--tree", &tree]).code(6).says("nobody");
    let output = desk.l4re(&["ps", "--local", "--message-format", "json"]).code(0);
    let instance = output.message("instance");
    assert_eq!(instance["name"], "parked");
    assert!(instance["image"].is_string());
    desk.l4re(&["rm", "--local", "parked"]).code(0);
    // The script that it waited for goes with it; so do the images, when their time has come.
    let output = desk.l4re(&["gc", "--local", "--dry-run"]).code(0);
    assert!(!output.stdout.contains("instance"), "{}", output.stdout);
}

#[test]
fn a_machine_that_was_not_parked_gets_new_user_data() {
    let desk = Desk::new();
    let tree = amd64();
    let words = ["deploy", "hello", "--local", "--metal", "--detach", "--tree", &tree];
    desk.start(&words).wait(BOOT).code(0);
    let on = ["deploy", "--local", "--on", "hello", "--tree", &tree, "--timeout", "3m"];
    let efi = desk.l4re(&["efiimage", "hello", "--tree", &tree]).code(0).stdout;
    desk.l4re(&["deploy", "--local", "--on", "hello", efi.trim()]).code(6).says("ELF images only");
    let words = [&on[..], &["panic", "--expect", "never"]].concat();
    desk.start(&words).wait(BOOT).code(9).says("Restarted").says("panic");
    // The tags tell what runs now: the same launch finds it, another one it is in the way of.
    let again = ["deploy", "--local", "--metal", "--detach", "--name", "hello", "--tree", &tree];
    desk.l4re(&[&again[..], &["panic"]].concat()).code(0).says("Found i-");
    desk.l4re(&[&again[..], &["hello"]].concat()).code(6).says("already running");
    desk.l4re(&["rm", "--local", "hello"]).code(0);
}

#[test]
fn arm64_waits_in_the_script_itself() {
    let desk = Desk::new();
    let park = ["park", "--local", "--arch", "arm64", "--timeout", "4m"];
    desk.start(&park).wait(BOOT).code(0).prints("l4re: parked polls=");
    let tree = given("L4RE_TEST_TREE_ARM64").to_string();
    let words = ["deploy", "hello", "--local", "--on", "parked", "--tree", &tree];
    let words = [&words[..], &["--expect", "Hello World!", "--timeout", "4m", "--rm"]].concat();
    desk.start(&words).wait(BOOT).code(0).says("which waited for it");
}

#[test]
fn a_parked_machine_ends_itself_at_its_expiry() {
    let desk = Desk::new();
    // Debian's iPXE of 2019, which x86_64 has on the desk, cannot switch off; cloud builds can.
    let words = ["park", "short", "--local", "--arch", "arm64", "--ttl", "1s"];
    desk.l4re(&[&words[..], &["--detach"]].concat()).code(0);
    let deadline = Instant::now() + BOOT;
    loop {
        let output = desk.l4re(&["ps", "--local"]).code(0);
        if output.stderr.contains("no instances") {
            break;
        }
        assert!(Instant::now() < deadline, "it runs on: {output:?}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Refuses each call that changes anything, by its service's name or its method.
const NO_CHANGES: &str = r#"{ "rules": [
    { "on": "ec2:RunInstances", "effect": { "error": { "code": "Blocked" } } },
    { "on": "ec2:Create*", "effect": { "error": { "code": "Blocked" } } },
    { "on": "ec2:Modify*", "effect": { "error": { "code": "Blocked" } } },
    { "on": "ec2:Terminate*", "effect": { "error": { "code": "Blocked" } } },
    { "on": "ec2:Stop*", "effect": { "error": { "code": "Blocked" } } },
    { "on": "ec2:Delete*", "effect": { "error": { "code": "Blocked" } } },
    { "on": "ec2:Deregister*", "effect": { "error": { "code": "Blocked" } } },
    { "on": "s3:PUT", "effect": { "error": { "code": "AccessDenied", "status": 403 } } },
    { "on": "s3:POST", "effect": { "error": { "code": "AccessDenied", "status": 403 } } },
    { "on": "s3:DELETE", "effect": { "error": { "code": "AccessDenied", "status": 403 } } }
] }"#;

#[test]
fn a_dry_run_says_all_and_changes_nothing() {
    let desk = Desk::new();
    let tree = amd64();
    desk.write("home/state/cargo-l4re/twin/faults.json", NO_CHANGES);
    let words = ["deploy", "hello", "--local", "--tree", &tree];
    let output = desk.start(&[&words[..], &["--dry-run"]].concat()).wait(BOOT).code(0);
    let output = output.prints("s3:CreateBucket").prints("s3:PutObject").prints("ec2:RunInstances");
    let output = output.prints("ClientToken = ").prints("l4re:expires").prints("#!ipxe");
    assert!(!output.stdout.contains("X-Amz-"), "{}", output.stdout);
    let park = ["park", "--local", "--arch", "amd64", "--dry-run"];
    let output = desk.l4re(&park).code(0).prints("ec2:RunInstances").prints("l4re: parked");
    assert!(!output.stdout.contains("X-Amz-"), "{}", output.stdout);
    let upload = ["upload", "hello", "--local", "--tree", &tree, "--dry-run"];
    desk.l4re(&upload).code(0).prints("s3:PutObject");
    let json = [&upload[..], &["--message-format", "json"]].concat();
    assert!(desk.l4re(&json).code(0).message("calls")["calls"].is_array());
    let ami = ["ami", "build", "hello", "--local", "--tree", &tree, "--dry-run"];
    desk.l4re(&ami).code(0).prints("ebs:StartSnapshot").prints("ec2:RegisterImage");
    let own = ["ami", "rm", "l4re-ipxe-uefi-x86_64", "--local", "--dry-run"];
    desk.l4re(&own).code(0).prints("ec2:DeregisterImage");
    desk.l4re(&["ps", "--local", "--all"]).code(0).says("no instances");
    desk.l4re(&["gc", "--local", "--dry-run"]).code(0).says("nothing is past its expiry");
    // The same call without it does change something: the rules hold.
    desk.start(&words).wait(BOOT).code(6);
}

#[test]
fn what_has_expired_is_collected() {
    let desk = Desk::new();
    let tree = amd64();
    let words = ["deploy", "silent", "--local", "--metal", "--detach", "--ttl", "1s"];
    desk.start(&[&words[..], &["--tree", &tree]].concat()).wait(BOOT).code(0);
    desk.until("Would remove", &["gc", "--local", "--dry-run"]);
    let output = desk.l4re(&["gc", "--local", "--dry-run"]).code(0);
    output.prints("instance").prints("silent");
    desk.l4re(&["ps", "--local"]).code(0).prints("expired");
    let output = desk.l4re(&["gc", "--local", "--message-format", "json"]).code(0);
    assert_eq!(output.message("leftover")["removed"], true);
    desk.until("no instances", &["ps", "--local"]);
    assert!(desk.machines().is_empty());
}

#[test]
fn the_doctor_examines_desk_twin_and_trees() {
    let desk = Desk::new();
    desk.l4re(&["doctor", "--local"]).code(0).prints("x86_64 instances have QEMU");
    let lacking = Desk::new().with("CARGO_L4RE_TWIN_QEMU_AMD64", "/nonexistent/qemu");
    let output = lacking.l4re(&["doctor", "--local"]).code(6).says("1 problem found");
    output.prints("/nonexistent/qemu").prints("apt-get install qemu-system-x86");
    let policy = desk.l4re(&["doctor", "--policy"]).code(0).stdout;
    let policy: serde_json::Value = serde_json::from_str(&policy).unwrap();
    assert_eq!(policy["Version"], "2012-10-17");

    // The twin as AWS: by its endpoint and keys, as the aws command line sees it.
    let aws = desk.as_aws();
    let words = ["doctor", "--metal", "--arch", "arm64", "--tree"];
    let tree = given("L4RE_TEST_TREE_ARM64").to_string();
    let words = [&words[..], &[&tree, "--message-format", "json"]].concat();
    let output = aws.l4re(&words);
    let found = |check: &str, level: &str, text: &str| {
        let said = output.messages().into_iter().any(|finding| {
            finding["check"] == check
                && finding["level"] == level
                && finding["text"].as_str().is_some_and(|said| said.contains(text))
        });
        assert!(said, "no {level} {check} `{text}` in:\n{}", output.stdout);
    };
    found("credentials", "good", "arn:aws:");
    found("clock", "good", "agrees");
    found("ami", "good", "m7g.metal");
    found("permissions", "good", "ec2:RunInstances");
    found("permissions", "good", "ec2:TerminateInstances");
    found("bucket", "note", "does not exist yet");
    found("quota", "good", "L-1216C47A");
    found("serial-console", "good", "on");
    found("metadata", "good", "tokens are");
    found("expiry", "note", "scheduler-role");
    found("tree", "good", "arm_sbsa");
    assert_eq!(output.code, 0, "{}", output.stdout);
}

#[test]
fn the_account_of_a_twin_begins_as_ec2s_on_request() {
    let desk = Desk::new().with("CARGO_L4RE_TWIN_SERIAL_CONSOLE", "false");
    desk.l4re(&["twin", "start"]).code(0);
    let aws = desk.as_aws();
    let finding = || {
        let findings = aws.l4re(&["doctor", "--message-format", "json"]).messages();
        findings.into_iter().find(|finding| finding["check"] == "serial-console").unwrap()
    };
    let off = finding();
    let fix = off["fix"].as_str().unwrap();
    let words: Vec<&str> = fix.split(' ').collect();
    assert_eq!(words[..3], ["aws", "ec2", "enable-serial-console-access"], "{off}");
    desk.aws(&words[1..]).code(0);
    assert_eq!(finding()["level"], "good");
}
