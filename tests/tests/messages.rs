//! `--message-format json`: each command writes messages of the published schema to stdout and
//! nothing else, the first of them `start`.
//!
//! Those that boot a machine are called with it by the tests of what they do; the lines of
//! every call are held against the schema.

use l4re_tests::{Desk, given};

/// The reasons of a call's messages, `start` left out.
#[track_caller]
fn reasons(desk: &Desk, line: &str) -> Vec<String> {
    let words: Vec<&str> = line.split(' ').chain(["--message-format", "json"]).collect();
    let output = desk.l4re(&words).code(0);
    let reason = |line: &str| match serde_json::from_str::<serde_json::Value>(line) {
        Ok(message) => message["reason"].as_str().unwrap_or_default().to_owned(),
        Err(error) => panic!("{error}: {line}"),
    };
    let mut reasons = output.stdout.lines().map(reason);
    assert_eq!(reasons.next().as_deref(), Some("start"), "{words:?}");
    reasons.collect()
}

#[test]
fn what_needs_no_machine() {
    let desk = Desk::new().with("CARGO_L4RE_TREE_AMD64_BUILD", given("L4RE_TEST_TREE_AMD64"));
    let image = desk.image().to_string();
    for (line, expected) in [
        ("efiimage hello", "image"),
        ("elfimage hello", "image"),
        ("entries", "entry"),
        (&format!("inspect {image}"), "inspection"),
        (&format!("inspect {image} --extract parts"), "extracted"),
        (&format!("disk {image} -o disk.img"), "disk"),
        ("inspect disk.img", "disk-inspection"),
        ("script http://host/x.efi", "script"),
        ("doctor --local", "finding"),
        ("doctor --policy", "policy"),
        ("init --dry-run", "file"),
        ("settings", "setting"),
        ("report -o report.txt", "report"),
        ("twin status", "twin"),
        ("twin stop", "twin"),
    ] {
        let reasons = reasons(&desk, line);
        assert!(
            !reasons.is_empty() && reasons.iter().all(|r| r == expected),
            "{line}: {reasons:?}"
        );
    }
}

#[test]
fn what_the_twin_answers_before_anything_has_booted() {
    let desk = Desk::new().with("CARGO_L4RE_LOCAL", "true");
    let desk = desk.with("CARGO_L4RE_TREE_AMD64_BUILD", given("L4RE_TEST_TREE_AMD64"));
    let calls = [
        ("twin start", "twin"),
        ("twin env", "environment"),
        ("twin fault add s3:PUT --delay 1", "faults"),
        ("twin fault list", "faults"),
        ("twin fault clear", "faults"),
        ("deploy hello --dry-run", "plan"),
        ("upload hello", "upload object"),
        ("deploy hello --detach", "upload instance launched"),
        ("ps", "instance"),
        ("reboot hello", "rebooted"),
        ("stop hello", "state stopped"),
        ("gc", ""),
        ("rm hello", "state removed"),
        ("ami build hello", "ami"),
        ("ami list", "ami"),
        ("ami rm hello", "ami-removed"),
        ("twin gc", "freed"),
        ("twin stop", "twin"),
    ];
    for (line, expected) in calls {
        let mut reasons = reasons(&desk, line);
        reasons.dedup();
        assert_eq!(reasons.join(" "), expected, "{line}");
    }
}
