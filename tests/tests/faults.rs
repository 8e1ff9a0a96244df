//! The boot script against what goes wrong between a machine and the store: it tries again
//! by itself, with growing pauses, says so on the console, and never starts a wrong image.

use std::time::Duration;

use l4re_tests::{Desk, given};

/// Limit for a boot under emulation on a busy machine, with all pauses.
const BOOT: Duration = Duration::from_secs(300);

/// Puts a plan of faults in force for the desk's twin.
fn faults(desk: &Desk, rules: &str) {
    desk.write("home/state/cargo-l4re/twin/faults.json", format!(r#"{{"rules": [{rules}]}}"#));
}

/// The marks of a console, in order, without what stands before them on their lines.
fn marks(console: &str) -> Vec<&str> {
    console.lines().filter_map(|line| Some(line[line.find("l4re: ")? + 6..].trim_end())).collect()
}

#[test]
fn errors_and_a_dropped_download_are_outlasted() {
    let desk = Desk::new();
    let busy = r#"{"on": "guest:GET", "times": 3,
        "effect": {"error": {"code": "SlowDown", "status": 503}}}"#;
    let dropped = r#"{"on": "guest:GET", "at_call": 4, "effect": {"truncate": {"bytes": 20000}}}"#;
    faults(&desk, &format!("{busy}, {dropped}"));
    let tree = given("L4RE_TEST_TREE_AMD64").to_string();
    let words = ["run", "hello", "--tree", &tree, "--expect", "Hello World!", "--timeout", "4m"];
    let output = desk.start(&words).wait(BOOT).code(0).prints("Hello World!");
    let marks = marks(&output.stdout);
    let retries: Vec<_> = marks.iter().filter(|mark| mark.starts_with("retry ")).collect();
    assert_eq!(retries.len(), 4, "{marks:?}");
    for (at, (retry, pause)) in retries.iter().zip([1, 2, 4, 8]).enumerate() {
        let wanted = format!("retry why=fetch try={} pause={pause}s error=", at + 1);
        assert!(retry.starts_with(&wanted), "{marks:?}");
    }
    assert!(marks.contains(&"fetch try=5 of=8"), "{marks:?}");
    let sum = marks.iter().find_map(|mark| mark.strip_prefix("image=")).unwrap();
    assert_eq!(sum.len(), 64, "{marks:?}");
}

#[test]
fn a_wrong_sum_is_not_started_and_imds_v2_is_enough() {
    let desk = Desk::new();
    let image = desk.image().to_string();
    let url = desk.l4re(&["upload", "--local", &image]).code(0).stdout;
    let wrong = "0".repeat(64);
    let words = ["script", url.trim(), "--sha256", &wrong, "--attempts", "3", "--wait"];
    let script = desk.write("script.ipxe", desk.l4re(&words).code(0).stdout);
    let script = format!("file://{script}");
    let images = ["ec2", "describe-images", "--filters", "Name=architecture,Values=arm64"];
    let query = ["--query", "Images[0].ImageId", "--output", "text"];
    let ami = desk.aws(&[&images[..], &query[..]].concat()).code(0).stdout;
    let launch = ["ec2", "run-instances", "--instance-type", "t4g.nano", "--image-id", ami.trim()];
    let imds = ["--metadata-options", "HttpTokens=required", "--user-data", &script];
    let query = ["--query", "Instances[0].InstanceId", "--output", "text"];
    let id = desk.aws(&[&launch[..], &imds[..], &query[..]].concat()).code(0).stdout;
    let words = ["console", "--local", id.trim(), "--timeout", "4m"];
    let output = desk.start(&words).wait(BOOT).code(9);
    let marks = marks(&output.stdout);
    assert!(marks.contains(&format!("image={wrong}").as_str()), "{marks:?}");
    let wrong = marks.iter().filter(|mark| **mark == "verify sum=wrong").count();
    assert_eq!(wrong, 3, "{marks:?}");
    for retry in ["try=1 pause=1s", "try=2 pause=2s"] {
        let retry = format!("retry why=wrong-sum {retry} error=none");
        assert!(marks.contains(&retry.as_str()), "{marks:?}");
    }
    assert!(marks.contains(&"failed why=wrong-sum tries=3 error=none then=wait"), "{marks:?}");
    assert!(!marks.iter().any(|mark| mark.starts_with("boot ")), "{marks:?}");
    desk.l4re(&["rm", "--local", id.trim()]).code(0);
}
