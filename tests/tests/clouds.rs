//! The same client against an emulator that others wrote, and against no cloud at all.

use l4re_tests::{Desk, Moto, free_port, given};

fn with_keys(desk: Desk) -> Desk {
    desk.with("AWS_ACCESS_KEY_ID", "AKIDTEST")
        .with("AWS_SECRET_ACCESS_KEY", "secret")
        .with("AWS_REGION", "us-east-1")
}

#[test]
fn a_deploy_on_moto() {
    let desk = with_keys(Desk::new());
    let moto = Moto::start(&desk);
    let desk = desk.with("AWS_ENDPOINT_URL", moto.url());
    let tree = given("L4RE_TEST_TREE_AMD64").to_string();
    let words = ["upload", "hello", "--kind", "elf", "--tree", &tree];
    desk.l4re(&words).code(6).says("does not exist").says("--make-bucket");
    let words = ["upload", "hello", "--kind", "elf", "--make-bucket", "--tree", &tree];
    desk.l4re(&words).code(0).prints("X-Amz-Signature");
    desk.l4re(&words).code(0).says("Unchanged");
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
