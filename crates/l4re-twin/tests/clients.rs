//! Clients that others wrote against whole twins: boto3, whose botocore parses by AWS's own
//! service models, and the aws command line. They need a Python environment with both, which
//! `cargo xtask test` makes and names in `L4RE_TEST_VENV`, and QEMU with Debian's iPXE,
//! since the instances are real.

#![expect(clippy::unwrap_used, reason = "a test's own functions fail as tests do")]

use std::path::PathBuf;
use std::time::{Duration, Instant};

use l4re_twin::{Config, Status, serve, status, stop};

/// The environment; none on a desk that has not made it.
#[expect(clippy::disallowed_methods, reason = "xtask says where the environment is")]
#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
fn venv() -> Option<PathBuf> {
    let venv = std::env::var_os("L4RE_TEST_VENV").map(PathBuf::from);
    let ci = std::env::var_os("CI").is_some_and(|ci| ci == "true");
    assert!(venv.is_some() || !ci, "L4RE_TEST_VENV is not set, and CI skips nothing");
    if venv.is_none() {
        eprintln!("skipped: L4RE_TEST_VENV is not set");
    }
    venv
}

/// Runs a program of the environment against a twin of its own; what it said, if it is
/// content.
fn run(venv: &std::path::Path, program: &str, script: &str) -> String {
    let dir = camino_tempfile::tempdir().unwrap();
    let config = Config::new(dir.path().join("twin"), vec!["/bin/false".to_owned()]);
    assert_eq!(l4re_twin::doctor(&config), []);
    let state = config.dir.clone();
    let daemon = std::thread::spawn(move || {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(serve(config, std::future::pending()))
    });
    let twin = ready(&state);
    let script = format!("{}/tests/clients/{script}", env!("CARGO_MANIFEST_DIR"));
    let path = format!("{}:/usr/bin:/bin", venv.join("bin").display());
    let result = duct::cmd!(program, script, &twin.endpoint, state.as_str())
        .full_env([
            ("PATH", path.as_str()),
            ("STATE", state.as_str()),
            ("HOME", dir.path().as_str()),
            ("PYTHONDONTWRITEBYTECODE", "1"),
            ("AWS_ENDPOINT_URL", &twin.endpoint),
            ("AWS_ACCESS_KEY_ID", &twin.access_key_id),
            ("AWS_SECRET_ACCESS_KEY", &twin.secret_access_key),
            ("AWS_DEFAULT_REGION", &twin.region),
        ])
        .stderr_to_stdout()
        .stdout_capture()
        .unchecked()
        .run()
        .unwrap();
    let said = String::from_utf8_lossy(&result.stdout).into_owned();
    assert!(stop(&state, Duration::from_secs(120)).unwrap());
    daemon.join().unwrap().unwrap();
    assert!(result.status.success(), "{said}");
    said
}

fn ready(state: &camino::Utf8Path) -> Status {
    let deadline = Instant::now() + Duration::from_secs(120);
    loop {
        if let Some(twin) = status(state).unwrap() {
            return twin;
        }
        assert!(Instant::now() < deadline, "the twin does not become ready");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn boto3_knows_every_element_of_every_answer() {
    let Some(venv) = venv() else { return };
    let python = venv.join("bin/python");
    let said = run(&venv, python.to_str().unwrap(), "boto.py");
    assert!(said.contains("knows every element"), "{said}");
}

#[test]
fn boto3_is_refused_as_ec2_and_s3_do() {
    let Some(venv) = venv() else { return };
    let python = venv.join("bin/python");
    let said = run(&venv, python.to_str().unwrap(), "odd.py");
    assert!(said.contains("refused as EC2 and S3 do"), "{said}");
}

#[test]
fn the_aws_command_line_goes_through_a_whole_life() {
    let Some(venv) = venv() else { return };
    let said = run(&venv, "/bin/bash", "cli.sh");
    assert!(said.contains("went through a whole life"), "{said}");
}
