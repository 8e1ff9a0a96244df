//! The same client against an emulator that others wrote, and against no cloud at all.

use l4re_tests::{Desk, Moto, free_port, given};

fn with_keys(desk: Desk) -> Desk {
    desk.with("AWS_ACCESS_KEY_ID", "AKIDTEST")
        .with("AWS_SECRET_ACCESS_KEY", "secret")
        .with("AWS_REGION", "us-east-1")
}

#[test]
fn uploads_on_moto() {
    let desk = with_keys(Desk::new());
    let moto = Moto::start(&desk);
    let desk = desk.with("AWS_ENDPOINT_URL", moto.url());
    let tree = given("L4RE_TEST_TREE_AMD64").to_string();
    let image = desk.l4re(&["elfimage", "hello", "--tree", &tree]).code(0).stdout;
    let words = ["upload", image.trim()];
    desk.l4re(&words).code(6).says("does not exist").says("--make-bucket");
    desk.l4re(&["upload", image.trim(), "--make-bucket"]).code(0).prints("X-Amz-Signature");
    desk.l4re(&words).code(0).says("Unchanged").prints("X-Amz-Signature");
}

#[test]
fn the_life_of_an_instance_on_moto() {
    let desk = with_keys(Desk::new());
    let moto = Moto::start(&desk);
    let desk = desk.with("AWS_ENDPOINT_URL", moto.url());
    let image = desk.image().to_string();
    let words = ["deploy", &image, "--metal", "--detach", "--make-bucket"];
    let output = desk.l4re(&words).code(0);
    let output = output.says("m7g.metal: UEFI, iPXE").says("2.611 $/h").says("cargo l4re rm hello");
    let [made, sent] = ["Made bucket", "Uploading"].map(|line| output.stderr.find(line));
    assert!(made.is_some() && made < sent, "{}", output.stderr);
    desk.l4re(&["ps"]).code(0).prints("m7g.metal").prints("running").prints("tester");
    let id = output.stderr.split_whitespace().find(|word| word.starts_with("i-")).unwrap();
    desk.l4re(&words).code(0).says(&format!("Found {id}"));
    let other: Vec<_> = words.iter().copied().chain(["--command-line", "-serial_esc"]).collect();
    desk.l4re(&other).code(6).says("already running").says("cargo l4re rm hello");
    desk.l4re(&["stop", "hello"]).code(0);
    desk.l4re(&["ps"]).code(0).prints("stopped");
    desk.l4re(&words).code(6).says("exists already").says("(stopped)");
    desk.l4re(&["start", "hello"]).code(0);
    desk.l4re(&["rm", "hello"]).code(0);
    desk.l4re(&["ps"]).code(0).says("no instances");
}

#[test]
fn no_credentials() {
    let desk = Desk::new().with("AWS_REGION", "us-east-1");
    desk.l4re(&["ps"]).code(6).says("no AWS credentials").says("aws configure");
}

#[test]
fn no_region() {
    let desk = Desk::new().with("AWS_ACCESS_KEY_ID", "A").with("AWS_SECRET_ACCESS_KEY", "s");
    desk.l4re(&["ps"]).code(6).says("no AWS region").says("AWS_REGION");
}

#[test]
fn nobody_listens() {
    let url = format!("http://127.0.0.1:{}", free_port());
    let desk = with_keys(Desk::new()).with("AWS_ENDPOINT_URL", &url);
    desk.l4re(&["ps"]).code(6).says("cannot reach");
}
