//! The twin in bad times: faults on request, a daemon that is killed, guests that try what
//! they may not.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up must fail")]

use std::net::TcpListener;
use std::time::{Duration, Instant};

use l4re_tests::{Desk, Output, given};

/// Limit for a boot under emulation, or for a client's whole script, on a busy machine.
const LIMIT: Duration = Duration::from_secs(240);

/// A desk whose machines only live: they boot nothing.
fn desk_with_stand_in() -> Desk {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../crates/l4re-twin/fixtures/qemu-stand-in");
    Desk::new().with("CARGO_L4RE_TWIN_QEMU_AMD64", file).with("CARGO_L4RE_TWIN_ACCEL", "tcg")
}

/// Runs a script of ours with other people's client.
fn client(desk: &Desk, script: &str, words: &[&str]) -> Output {
    let script = format!("{}/fixtures/twin/{script}", env!("CARGO_MANIFEST_DIR"));
    let binary = given("L4RE_TEST_BINARY");
    let python = given("L4RE_TEST_VENV").join("bin/python");
    let state = desk.dir().join("home/state");
    let desk = desk.as_aws().with("XDG_STATE_HOME", state);
    desk.start_program(&python, &[&[&*script, binary.as_str()], words].concat()).wait(LIMIT)
}

#[test]
fn every_fault_of_the_api_is_met() {
    let desk = desk_with_stand_in();
    client(&desk, "faults.py", &[]).code(0).prints("every fault was met");
}

#[test]
fn a_daemon_killed_at_any_moment_loses_nothing() {
    let desk = desk_with_stand_in();
    let state = desk.dir().join("home/state/cargo-l4re/twin");
    let output = client(&desk, "endure.py", &[state.as_str(), "10"]);
    output.code(0).prints("all is there after 10 kills");
}

#[test]
fn arm64_metal_has_el2_and_virtual_machines_do_not() {
    let desk = Desk::new();
    desk.l4re(&["twin", "start"]).code(0);
    let tree = given("L4RE_TEST_TREE_ARM64");
    let image = desk.l4re(&["efiimage", "el2-only", "--tree", tree.as_str()]).code(0).stdout;
    let words = ["run", image.trim(), "--expect", "Hello World!", "--timeout", "3m"];
    let virtual_one = desk.start(&[&words[..], &["--name", "virtual"]].concat());
    let metal = desk.start(&[&words[..], &["--name", "metal", "--metal"]].concat());
    metal.wait(LIMIT).code(0).prints("Hello World!");
    // The bootstrapper reads the processor's own register.
    virtual_one.wait(LIMIT).code(9).prints("got started in EL1");
}

/// The console of the only instance until it has the text.
fn wait_for_console(desk: &Desk, id: &str, text: &str) -> String {
    let words = ["ec2", "get-console-output", "--latest", "--instance-id", id];
    let deadline = Instant::now() + LIMIT;
    loop {
        let output = desk.aws(&[&words[..], &["--output", "text"]].concat()).code(0).stdout;
        if output.contains(text) {
            return output;
        }
        assert!(Instant::now() < deadline, "no `{text}` in\n{output}");
    }
}

/// Launches an x86_64 iPXE with a script; gives the instance's id.
fn launch(desk: &Desk, script: &str) -> String {
    let file = desk.write("user-data.ipxe", script);
    let words = ["ec2", "run-instances", "--image-id", "ami-0172e86000000b105"];
    let more = ["--instance-type", "c5.metal", "--query", "Instances[0].InstanceId"];
    let data = format!("file://{file}");
    let rest = ["--output", "text", "--user-data", &data];
    desk.aws(&[&words[..], &more, &rest].concat()).code(0).stdout.trim().to_owned()
}

/// A script that tries addresses and says which answer. One that answers on a busy machine may
/// take its time for that; those that never do cost all of theirs.
fn probes(addresses: &[(&str, String)], open: &[&str]) -> String {
    let mut script = "#!ipxe\n".to_owned();
    for (name, url) in addresses {
        let limit = if open.contains(name) { 60_000 } else { 4_000 };
        script.push_str(&format!(
            "imgfetch --name {name} --timeout {limit} {url} && echo probe {name} open || echo \
             probe {name} closed\nimgfree {name} ||\n"
        ));
    }
    script + "echo probes end\n"
}

/// A port of this machine's loopback addresses on which something answers every request; and
/// whether that is so by IPv6, which not every machine has.
fn open_port() -> (u16, bool) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let sixth = TcpListener::bind(("::1", port)).ok();
    let both = sixth.is_some();
    for listener in std::iter::once(listener).chain(sixth) {
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                use std::io::{Read as _, Write as _};
                let mut stream = stream;
                let _ = stream.read(&mut [0; 4096]);
                let _ = stream.write_all(
                    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello",
                );
            }
        });
    }
    (port, both)
}

fn addresses(desk: &Desk, port: u16) -> Vec<(&'static str, String)> {
    let status = desk.l4re(&["twin", "status", "--message-format", "json"]).code(0);
    let endpoint = status.message("twin")["endpoint"].as_str().unwrap().to_owned();
    let (_, twin) = endpoint.rsplit_once(':').unwrap();
    vec![
        ("metadata", "http://169.254.169.254/latest/meta-data/instance-id".to_owned()),
        ("host", format!("http://169.254.0.2:{port}/")),
        // Where QEMU's user network has this machine for guests that speak IPv6.
        ("host6", format!("http://[fec0::2]:{port}/")),
        ("loopback", format!("http://127.0.0.1:{port}/")),
        ("twin", format!("http://169.254.0.2:{twin}/")),
        ("metadata-port", format!("http://169.254.169.254:{port}/")),
        ("neighbour", "http://172.31.0.4/".to_owned()),
        ("world", "http://192.0.2.1/".to_owned()),
        ("world6", "http://[2001:db8::1]/".to_owned()),
    ]
}

#[test]
fn a_guest_reaches_its_services_and_nothing_else_until_it_may() {
    let (port, sixth) = open_port();
    let desk = Desk::new();
    desk.l4re(&["twin", "start"]).code(0);
    let id = launch(&desk, &probes(&addresses(&desk, port), &["metadata"]));
    let console = wait_for_console(&desk, &id, "probes end");
    assert!(console.contains("probe metadata open"), "{console}");
    for (name, _) in &addresses(&desk, port)[1..] {
        assert!(console.contains(&format!("probe {name} closed")), "{name} in\n{console}");
    }
    // The same guest on a twin that was told to be open: the probes do find what is there.
    desk.l4re(&["twin", "start", "--net"]).code(0).says("other settings").says("`twin.net`");
    desk.l4re(&["twin", "stop"]).code(0);
    desk.l4re(&["twin", "start", "--net"]).code(0).says("Started");
    let open = ["metadata", "host", "host6"];
    let id = launch(&desk, &probes(&addresses(&desk, port)[..3], &open));
    let console = wait_for_console(&desk, &id, "probes end");
    assert!(console.contains("probe host open"), "{console}");
    assert!(!sixth || console.contains("probe host6 open"), "{console}");
}

#[test]
fn starts_at_the_same_moment_make_one_twin_which_stop_ends() {
    let desk = Desk::new();
    let start = || {
        let started = desk.l4re(&["twin", "start", "--message-format", "json"]).code(0);
        started.message("twin")["pid"].as_u64().unwrap()
    };
    let pids: Vec<u64> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(start)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(pids.iter().all(|pid| *pid == pids[0]), "{pids:?}");
    // At once: nobody may have waited for the directory to become free.
    desk.l4re(&["twin", "stop"]).code(0).says("Stopped");
    let status = desk.l4re(&["twin", "status", "--message-format", "json"]).code(0);
    assert_eq!(status.message("twin")["running"], false);
}

#[test]
fn a_machine_outlives_its_daemon_with_its_network_and_not_twin_stop() {
    let desk = Desk::new();
    desk.l4re(&["twin", "start"]).code(0);
    let id = launch(
        &desk,
        "#!ipxe\n:loop\ninc n\nimgfree id ||\n\
         imgfetch --name id http://169.254.169.254/latest/meta-data/instance-id && \
         echo got ${n} metadata || echo lost metadata\n\
         imgfetch --name no http://169.254.169.253/no/object || echo ${errno:hexraw} objects ${n}\n\
         sleep 1\ngoto loop\n",
    );
    wait_for_console(&desk, &id, "got 2 metadata");
    desk.kill_twin();
    assert!(!desk.machines().is_empty(), "QEMU goes on");
    desk.l4re(&["twin", "status"]).code(0).prints("no twin is running");
    desk.l4re(&["twin", "start"]).code(0);
    let before = wait_for_console(&desk, &id, "got 2 metadata");
    // Of whole lines: the last one may still be under way.
    let (before, _) = before.rsplit_once(" metadata").unwrap();
    let next = before.rsplit("got ").next().unwrap().parse::<u32>().unwrap() + 2;
    let console = wait_for_console(&desk, &id, &format!("got {next} metadata"));
    // It was never started anew, and no request of it was lost.
    assert!(console.contains("got 1 metadata") && !console.contains("lost metadata"), "{console}");
    let query = "Reservations[].Instances[].State.Name";
    let words = ["ec2", "describe-instances", "--query", query, "--output", "text"];
    desk.aws(&words).code(0).prints("running");
    desk.kill_twin();
    desk.l4re(&["twin", "stop"]).code(0).says("Stopped the twin and its instances");
    assert!(desk.machines().is_empty());
    desk.aws(&words).code(0).prints("stopped");
}

#[test]
fn a_run_gets_through_faults_and_says_what_it_lacks() {
    let desk = Desk::new();
    let fault = |words: &[&str]| {
        desk.l4re(&[&["twin", "fault", "add"], words].concat()).code(0).says("Added");
    };
    fault(&["guest:GET", "--error", "SlowDown:503", "--times", "1"]);
    fault(&["console:session", "--drop-console", "200", "--times", "1"]);
    fault(&["RunInstances", "--no-capacity", "--zone", "eu-central-1a"]);
    fault(&["DescribeInstances", "--delay", "300"]);
    let tree = given("L4RE_TEST_TREE_AMD64");
    let words = ["run", "hello", "--metal", "--tree", tree.as_str(), "--expect", "Hello World!"];
    let output = desk.start(&[&words[..], &["--timeout", "3m"]].concat()).wait(LIMIT);
    let output = output.code(0).prints("Hello World!").prints("HTTP 5xx").prints("why=fetch try=1");
    output.says("eu-central-1a: InsufficientInstanceCapacity; trying the next");
    desk.l4re(&["twin", "fault", "clear"]).code(0).says("4 faults");
    fault(&["machine:network", "--no-network"]);
    let words = ["run", "hello", "--metal", "--tree", tree.as_str(), "--timeout", "3m"];
    let words = [&words[..], &["--expect", "No configuration methods"]].concat();
    desk.start(&words).wait(LIMIT).code(0);
}
