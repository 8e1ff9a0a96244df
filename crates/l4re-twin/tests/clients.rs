//! Clients that others wrote against a whole twin: boto3 here. It needs a Python
//! environment with boto3, which `cargo xtask test` makes and names in `L4RE_TEST_VENV`, and
//! QEMU with Debian's iPXE, since the instances are real.

use std::time::{Duration, Instant};

use l4re_twin::{Config, serve, status, stop};

#[test]
fn boto3_knows_every_element_of_every_answer() {
    #[expect(clippy::disallowed_methods, reason = "xtask says where the environment is")]
    let Some(venv) = std::env::var_os("L4RE_TEST_VENV") else {
        eprintln!("skipped: L4RE_TEST_VENV is not set");
        return;
    };
    let dir = camino_tempfile::tempdir().unwrap();
    let config = Config::new(dir.path().join("twin"), vec!["/bin/false".to_owned()]);
    assert_eq!(l4re_twin::doctor(&config), []);
    let state = config.dir.clone();
    let daemon = std::thread::spawn(move || {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(serve(config, std::future::pending()))
    });
    let deadline = Instant::now() + Duration::from_secs(30);
    let twin = loop {
        if let Some(twin) = status(&state).unwrap() {
            break twin;
        }
        assert!(Instant::now() < deadline, "the twin does not become ready");
        std::thread::sleep(Duration::from_millis(20));
    };
    let python = std::path::Path::new(&venv).join("bin/python");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/boto.py");
    let result = duct::cmd!(python, script, &twin.endpoint, state.as_str())
        .env("AWS_ACCESS_KEY_ID", &twin.access_key_id)
        .env("AWS_SECRET_ACCESS_KEY", &twin.secret_access_key)
        .env("AWS_DEFAULT_REGION", &twin.region)
        .env_remove("AWS_ENDPOINT_URL")
        .env_remove("AWS_PROFILE")
        .stderr_to_stdout()
        .stdout_capture()
        .unchecked()
        .run()
        .unwrap();
    let said = String::from_utf8_lossy(&result.stdout).into_owned();
    assert!(stop(&state, Duration::from_secs(30)).unwrap());
    daemon.join().unwrap().unwrap();
    assert!(result.status.success(), "{said}");
    assert!(said.contains("knows every element"), "{said}");
}
