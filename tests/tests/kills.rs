//! Commands that are killed before and after each of their calls, and repeated: nothing is
//! lost and nothing is made twice.

#![expect(clippy::unwrap_used, reason = "a step of a test fails as the test does")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::Duration;

use l4re_tests::{Desk, Hold, Moto, Proxy};
use serde_json::Value;

/// A command holds at each of its calls; one that makes more than this goes round in circles.
const MOST_CALLS: usize = 60;
/// Commands under test at a time.
const WORKERS: usize = 4;
const LIMIT: Duration = Duration::from_secs(60);

/// Runs a command until it has made some calls, kills it there, and says whether it came so
/// far.
fn killed(desk: &Desk, words: &[&str], hold: Hold) -> bool {
    let proxy = Proxy::start(desk.variable("AWS_ENDPOINT_URL").unwrap(), Some(hold));
    let behind = desk.another().with("AWS_ENDPOINT_URL", proxy.url());
    let running = behind.start(words);
    let held = proxy.wait_held(|| running.is_over());
    if held {
        running.kill();
    } else {
        running.wait(LIMIT).code(0);
    }
    held
}

/// All points at which a command can be killed, in turn: `check` runs it to `hold` and says
/// whether it came so far. Each worker takes every so many-th call.
fn each_point(check: impl Fn(Hold) -> bool + Sync) -> usize {
    let points = Mutex::new(0);
    let worker = |first: usize| {
        for request in (first..MOST_CALLS).step_by(WORKERS) {
            for after in [false, true] {
                if !check(Hold { request, after }) {
                    return;
                }
                *points.lock().unwrap() += 1;
            }
        }
        panic!("more than {MOST_CALLS} calls");
    };
    std::thread::scope(|scope| {
        for first in 1..=WORKERS {
            let worker = &worker;
            scope.spawn(move || worker(first));
        }
    });
    points.into_inner().unwrap()
}

/// How many live instances each name has, as `ps` sees it.
fn fleet(desk: &Desk) -> BTreeMap<String, Vec<Value>> {
    let mut fleet: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    let output = desk.l4re(&["ps", "--message-format", "json"]).code(0);
    for message in output.messages().into_iter().filter(|m| m["reason"] == "instance") {
        let name = message["name"].as_str().unwrap().to_owned();
        fleet.entry(name).or_default().push(message);
    }
    fleet
}

fn on_moto() -> (Desk, Moto) {
    let desk = Desk::new()
        .with("AWS_ACCESS_KEY_ID", "AKIDTEST")
        .with("AWS_SECRET_ACCESS_KEY", "secret")
        .with("AWS_REGION", "us-east-1");
    let moto = Moto::start(&desk);
    let url = moto.url().to_owned();
    (desk.with("AWS_ENDPOINT_URL", url), moto)
}

#[test]
fn deploy_stop_and_rm_survive_a_kill_at_each_call() {
    let (desk, _moto) = on_moto();
    let image = desk.image().to_string();
    desk.l4re(&["upload", &image, "--bucket", "pics", "--make-bucket"]).code(0);
    let name = |hold: Hold| format!("m{}-{}", hold.request, u8::from(hold.after));
    let points = each_point(|hold| {
        let name = name(hold);
        let words = ["deploy", &image, "--name", &name, "--detach", "--bucket", "pics"];
        let held = killed(&desk, &words, hold);
        desk.l4re(&words).code(0);
        held
    });
    // Eight lookups, the object, the launch, and whether the name is unique.
    assert!(points >= 20, "only {points} points");
    let deployed = fleet(&desk);
    assert!(deployed.len() >= points);
    for (name, machines) in &deployed {
        assert_eq!(machines.len(), 1, "{name}: {machines:?}");
        assert!(machines[0]["expires"].is_string(), "{name}: {machines:?}");
    }

    let stopped = repeated(&desk, "stop", name);
    for (name, machines) in fleet(&desk) {
        let state = if stopped.contains(&name) { "stopped" } else { "running" };
        assert_eq!(machines[0]["state"], state, "{name}: {machines:?}");
    }
    let removed = repeated(&desk, "rm", name);
    let left = fleet(&desk);
    assert!(removed.iter().all(|name| !left.contains_key(name)), "{removed:?}: {left:?}");
    assert_eq!(left.len() + removed.len(), deployed.len());
}

/// Kills `verb NAME` at each of its calls and repeats it; gives the names.
fn repeated(desk: &Desk, verb: &str, name: impl Fn(Hold) -> String + Sync) -> BTreeSet<String> {
    let names = Mutex::new(BTreeSet::new());
    let points = each_point(|hold| {
        let name = name(hold);
        let words = [verb, &name];
        let held = killed(desk, &words, hold);
        let again = desk.l4re(&words);
        // What was carried out before the kill is found done.
        assert!(again.code == 0 || again.stderr.contains("no instance named"), "{again:?}");
        names.lock().unwrap().insert(name);
        held
    });
    assert!(points >= 4, "{verb}: only {points} points");
    names.into_inner().unwrap()
}

/// AMIs and snapshots as `ami list` sees them.
fn amis(desk: &Desk) -> Vec<Value> {
    let output = desk.l4re(&["ami", "list", "--message-format", "json"]).code(0);
    let of_test = |m: &Value| m["reason"] == "ami" && m["name"] == "kill";
    output.messages().into_iter().filter(of_test).collect()
}

#[test]
fn building_and_removing_an_ami_survives_a_kill_at_each_call() {
    let twin = Desk::new();
    let image = twin.image().to_string();
    let desk = twin.as_aws();
    let build = ["ami", "build", &image, "--name", "kill", "--ttl", "1h"];
    let mut points = 0;
    'calls: for request in 1..MOST_CALLS {
        for after in [false, true] {
            let hold = Hold { request, after };
            let held = killed(&desk, &build, hold);
            desk.l4re(&build).code(0);
            let [ami] = &amis(&desk)[..] else { panic!("{hold:?}: {:?}", amis(&desk)) };
            assert!(ami["id"].is_string() && ami["snapshot"].is_string(), "{hold:?}: {ami}");
            assert!(ami["expires"].is_string() && ami["image"].is_string(), "{hold:?}: {ami}");
            // Removing has fewer calls than building: from some on it is not killed.
            killed(&desk, &["ami", "rm", "kill"], hold);
            let again = desk.l4re(&["ami", "rm", "kill"]);
            assert!(again.code == 0 || again.stderr.contains("no AMI"), "{hold:?}: {again:?}");
            assert!(amis(&desk).is_empty(), "{hold:?}: {:?}", amis(&desk));
            if !held {
                break 'calls;
            }
            points += 1;
        }
    }
    // Three lookups, the begin, the blocks, the end and its state, the AMI and its state.
    assert!(points >= 18, "only {points} points");
    let left = twin.aws(&["ec2", "describe-snapshots", "--owner-ids", "self"]).code(0).stdout;
    let left: Value = serde_json::from_str(&left).unwrap();
    assert_eq!(left["Snapshots"], Value::Array(Vec::new()));
}
