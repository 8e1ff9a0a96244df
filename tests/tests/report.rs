//! `report`: all that a bug report needs, and nothing secret.

use l4re_tests::{Desk, given};

const SECRETS: [&str; 7] = [
    "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    "ghp_0123456789abcdefghijklmnopqrstuvwxyz",
    "AKIAIOSFODNN7EXAMPLE",
    "deadbeefdeadbeefsignature",
    "b3BlbnNzaC1rZXk",
    "of-the-proxy",
    "IQoJb3JpZ2luX2VjEXAMPLETOKEN",
];

/// A desk on which secrets lie about wherever a report looks.
fn careless_desk() -> Desk {
    let [secret, token, id, signature, key, proxy, session] = SECRETS;
    let desk = Desk::new()
        .with("AWS_SECRET_ACCESS_KEY", secret)
        .with("AWS_ACCESS_KEY_ID", id)
        .with("AWS_SESSION_TOKEN", session)
        .with("CARGO_REGISTRY_TOKEN", token)
        .with("AWS_REGION", "eu-central-1")
        .with("UNRELATED", "nobodys-business");
    desk.write(
        "l4re.toml",
        format!("bucket = \"my-images\"\nfetch-endpoint = \"http://me:{proxy}@proxy:8080\"\n"),
    );
    let log = format!(
        "old line with {token}\n{}\nhttp://h/b/a.efi?X-Amz-Credential={id}&X-Amz-Signature={signature}... ok\n\
         export GITHUB_TOKEN={token}\n\u{1b}[1mMOE: Hello world\u{1b}[0m\n\
         -----BEGIN OPENSSH PRIVATE KEY-----\n{key}\n-----END OPENSSH PRIVATE KEY-----\n\
         \"SecretAccessKey\": \"{secret}\"\n",
        "x ".repeat(10_000)
    );
    desk.write("home/state/cargo-l4re/logs/20260101-000000-hello-i-1.log", log);
    desk
}

#[test]
fn a_report_has_what_helps_and_no_secret() {
    let desk = careless_desk();
    let output = desk.l4re(&["report", "-o", "r.txt", "--message-format", "json"]).code(0);
    let message = output.message("report");
    let text = fs_err::read_to_string(message["path"].as_str().unwrap()).unwrap();
    for section in ["versions", "settings", "environment", "build trees", "desk", "plan"] {
        assert!(text.contains(&format!("\n== {section}\n")), "{section}:\n{text}");
    }
    for shown in [
        "cargo-l4re 0.1.0",
        "bucket = \"my-images\"",
        "l4re.toml:1:1",
        "AWS_REGION=eu-central-1",
        "AWS_SECRET_ACCESS_KEY is set",
        "CARGO_REGISTRY_TOKEN is set",
        "http://h/b/a.efi?…",
        "MOE: Hello world\n",
        "(the last 16384 bytes)",
    ] {
        assert!(text.contains(shown), "no {shown}:\n{text}");
    }
    for secret in SECRETS.into_iter().chain(["nobodys-business", "UNRELATED", "\u{1b}"]) {
        assert!(!text.contains(secret), "{secret}:\n{text}");
    }
}

#[test]
fn settings_that_cannot_be_read_are_reported() {
    let desk = Desk::new();
    desk.write("l4re.toml", "buckett = 1\n");
    desk.l4re(&["report", "--output", "-"]).code(0).prints("did you mean `bucket`?");
    desk.l4re(&["ps"]).code(3);
}

#[test]
fn the_plan_is_that_of_deploy() {
    let desk = Desk::new();
    let tree = given("L4RE_TEST_TREE_AMD64");
    let words = ["report", "hello", "--local", "--tree", tree.as_str(), "-o", "-"];
    let output = desk.l4re(&words).code(0);
    output
        .prints("1. c7i-flex.large in ")
        .prints("RunInstances")
        .prints("#!ipxe")
        .prints(tree.as_str());
    let failed = desk.l4re(&["report", "nope", "--local", "--tree", tree.as_str(), "-o", "-"]);
    failed.code(0).prints("== plan\nerror: no entry `nope`");
}
