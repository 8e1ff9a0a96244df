//! Commands that are killed before and after each of their calls, and repeated: nothing is
//! lost and nothing is made twice.

#![expect(clippy::unwrap_used, reason = "a step of a test fails as the test does")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::Duration;

use l4re_tests::{Desk, Hold, Moto, Proxy, given};
use serde_json::Value;

/// A command holds at each of its calls; one that makes more than this goes round in circles.
const MOST_CALLS: usize = 60;
/// Commands under test at a time.
const WORKERS: usize = 8;
/// Blocks of the AMI that is killed half-way.
const BLOCKS: u64 = 96;
const LIMIT: Duration = Duration::from_secs(180);

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
/// whether it came so far.
fn each_point(check: impl Fn(Hold) -> bool + Sync) -> usize {
    each_point_from(1, check)
}

/// The same from a call on. Each worker takes every so many-th call.
fn each_point_from(begin: usize, check: impl Fn(Hold) -> bool + Sync) -> usize {
    let points = Mutex::new(0);
    let worker = |first: usize| {
        for request in (first..MOST_CALLS).step_by(WORKERS) {
            for after in [false, true] {
                if !check(Hold { begins: "", request, after }) {
                    return;
                }
                *points.lock().unwrap() += 1;
            }
        }
        panic!("more than {MOST_CALLS} calls");
    };
    std::thread::scope(|scope| {
        for first in begin..begin + WORKERS {
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

fn name(hold: Hold) -> String {
    format!("m{}-{}", hold.request, u8::from(hold.after))
}

#[test]
fn deploy_stop_and_rm_survive_a_kill_at_each_call() {
    let (desk, _moto) = Moto::as_aws();
    let image = desk.image().to_string();
    let lost_image = image_of_its_own(&desk, &fs_err::read(&image).unwrap(), "lost");
    for (image, bucket, ttl) in [(&image, "pics", "2h"), (&lost_image, "lost", "1s")] {
        desk.l4re(&["upload", image, "--bucket", bucket, "--make-bucket", "--ttl", ttl]).code(0);
    }
    let points = each_point(|hold| {
        let name = name(hold);
        // One that nobody repeats; and one that somebody does.
        let lost = ["deploy", &lost_image, "--detach", "--bucket", "lost", "--ttl", "1s"];
        killed(&desk, &[&lost[..], &["--name", &format!("lost-{name}")]].concat(), hold);
        let words = ["deploy", &image, "--detach", "--bucket", "pics", "--name", &name];
        let held = killed(&desk, &words, hold);
        desk.l4re(&words).code(0);
        held
    });
    // Eight lookups, the object, the launch, and whether the name is unique.
    assert!(points >= 20, "only {points} points");
    all_is_collected(&desk);
    let deployed = fleet(&desk);
    assert!(deployed.len() >= points);
    for (name, machines) in &deployed {
        assert_eq!(machines.len(), 1, "{name}: {machines:?}");
        assert!(machines[0]["expires"].is_string(), "{name}: {machines:?}");
    }

    let stopped = repeated(&desk, "stop");
    for (name, machines) in fleet(&desk) {
        let state = if stopped.contains(&name) { "stopped" } else { "running" };
        assert_eq!(machines[0]["state"], state, "{name}: {machines:?}");
    }
    let removed = repeated(&desk, "rm");
    let left = fleet(&desk);
    assert!(removed.iter().all(|name| !left.contains_key(name)), "{removed:?}: {left:?}");
    assert_eq!(left.len() + removed.len(), deployed.len());
}

/// Collects what was lost and has expired, and looks with other people's client what is left.
fn all_is_collected(desk: &Desk) {
    let kinds: [&[&str]; 4] = [
        &["ec2", "describe-instances", "--filters", "Name=instance-state-name,Values=running"],
        &["ec2", "describe-volumes"],
        &["ec2", "describe-network-interfaces"],
        &["s3api", "list-objects-v2", "--bucket", "lost"],
    ];
    let aws = given("L4RE_TEST_VENV").join("bin/aws");
    let seen = || {
        kinds
            .map(|words| desk.start_program(&aws, words))
            .map(|call| call.wait(LIMIT).code(0).stdout)
    };
    let [instances, volumes, _, objects] = seen();
    for (text, what) in [(&instances, "lost-m"), (&volumes, "lost-m"), (&objects, "bootaa64.efi")] {
        assert!(text.contains(what), "nothing was lost: {text}");
    }
    desk.l4re(&["gc", "--bucket", "lost"]).code(0).prints("instance").prints("object");
    for text in seen() {
        assert!(!text.contains("lost-m") && !text.contains("bootaa64.efi"), "{text}");
    }
    desk.l4re(&["gc", "--bucket", "lost", "--dry-run"]).code(0).says("nothing is past its expiry");
}

/// Kills `verb NAME` at each of its calls and repeats it; gives the names.
fn repeated(desk: &Desk, verb: &str) -> BTreeSet<String> {
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

/// The sum of the image that the script has which a parked machine boots from next.
fn in_the_slot(desk: &Desk, name: &str) -> String {
    let aws = given("L4RE_TEST_VENV").join("bin/aws");
    let output = |words: &[&str]| desk.start_program(&aws, words).wait(LIMIT).code(0).stdout;
    let of_name = format!("Name=tag:l4re:name,Values={name}");
    let next = "Reservations[].Instances[].Tags[?Key==`l4re:next`].Value[]";
    let filter = ["ec2", "describe-instances", "--filters", &of_name, "--output", "text"];
    let slot = output(&[&filter[..], &["--query", next]].concat());
    let script = output(&["s3", "cp", &format!("s3://{}", slot.trim()), "-"]);
    let sum = script.lines().find_map(|line| line.strip_prefix("echo l4re: image="));
    sum.unwrap_or_else(|| panic!("no sum in {script}")).to_owned()
}

#[test]
fn what_ps_says_of_images_is_true_at_each_call_of_a_deploy_on() {
    let (desk, _moto) = Moto::as_aws();
    let desk = desk.with("CARGO_L4RE_BUCKET", "pics");
    let first = desk.image().to_string();
    let second = image_of_its_own(&desk, &fs_err::read(&first).unwrap(), "second");
    desk.l4re(&["upload", &first, "--make-bucket"]).code(0);
    let upload = ["upload", &second, "--message-format", "json"];
    let sum_of_second = desk.l4re(&upload).code(0).message("object")["sha256"].clone();
    let sum_of_second = sum_of_second.as_str().unwrap().to_owned();
    // Three lookups come first, which change nothing.
    let points = each_point_from(4, |hold| {
        let name = name(hold);
        let on = |image| ["deploy", image, "--detach", "--on", &name];
        desk.l4re(&["park", &name, "--arch", "arm64", "--detach"]).code(0);
        desk.l4re(&on(&first)).code(0);
        let held = killed(&desk, &on(&second), hold);
        let boots = in_the_slot(&desk, &name);
        let told = &fleet(&desk)[&name][0];
        match told["next_image"].as_str() {
            None => assert_eq!(told["image"], boots.as_str(), "{hold:?}"),
            Some(next) => {
                assert!(told["image"] == boots.as_str() || next == boots, "{hold:?}: {told}");
                desk.l4re(&["ps"]).code(0).says(&format!("deploy --on {name}"));
            }
        }
        desk.l4re(&on(&second)).code(0);
        held
    });
    // The object, the announcement, the script, the reboot and the tags.
    assert!(points >= 8, "only {points} points");
    for (name, machines) in fleet(&desk) {
        assert_eq!(machines[0]["image"], sum_of_second.as_str(), "{name}");
        assert!(machines[0]["next_image"].is_null(), "{name}: {machines:?}");
    }
}

/// AMIs and snapshots as `ami list` sees them.
fn amis(desk: &Desk, name: &str) -> Vec<Value> {
    let output = desk.l4re(&["ami", "list", "--message-format", "json"]).code(0);
    let of_test = |m: &Value| m["reason"] == "ami" && m["name"] == name;
    output.messages().into_iter().filter(of_test).collect()
}

/// An image that no other has the same disk as.
fn image_of_its_own(desk: &Desk, image: &[u8], name: &str) -> String {
    desk.write(&format!("{name}.efi"), [image, name.as_bytes()].concat()).to_string()
}

#[test]
fn building_and_removing_an_ami_survives_a_kill_at_each_call() {
    let twin = Desk::new();
    let image = fs_err::read(twin.image()).unwrap();
    let desk = twin.as_aws();
    let points = each_point(|hold| {
        let name = name(hold);
        let lost = format!("lost-{name}");
        let file = image_of_its_own(&desk, &image, &lost);
        killed(&desk, &["ami", "build", &file, "--name", &lost, "--ttl", "1s"], hold);
        let file = image_of_its_own(&desk, &image, &name);
        let build = ["ami", "build", &file, "--name", &name, "--ttl", "1h"];
        let held = killed(&desk, &build, hold);
        desk.l4re(&build).code(0);
        let [ami] = &amis(&desk, &name)[..] else { panic!("{:?}", amis(&desk, &name)) };
        assert!(ami["id"].is_string() && ami["snapshot"].is_string(), "{hold:?}: {ami}");
        assert!(ami["expires"].is_string() && ami["image"].is_string(), "{hold:?}: {ami}");
        // Removing has fewer calls than building: from some on it is not killed.
        killed(&desk, &["ami", "rm", &name], hold);
        let again = desk.l4re(&["ami", "rm", &name]);
        assert!(again.code == 0 || again.stderr.contains("no AMI"), "{hold:?}: {again:?}");
        assert!(amis(&desk, &name).is_empty(), "{hold:?}: {:?}", amis(&desk, &name));
        held
    });
    // Three lookups, the begin, the blocks, the end and its state, the AMI and its state.
    assert!(points >= 18, "only {points} points");
    let left = || {
        let kinds = [["describe-snapshots", "--owner-ids"], ["describe-images", "--owners"]];
        kinds.map(|words| twin.aws(&["ec2", words[0], words[1], "self"]).code(0).stdout)
    };
    assert!(left().iter().all(|text| text.contains("lost-m")), "{:?}", left());
    desk.l4re(&["gc"]).code(0).prints("image").prints("snapshot");
    // The twin has an AMI of its own, which nobody named.
    for text in left() {
        assert!(!text.contains("l4re:name"), "{text}");
    }
}

#[test]
fn an_ami_that_was_killed_half_way_goes_on_from_there() {
    let twin = Desk::new();
    let small = fs_err::read(twin.image()).unwrap();
    let desk = twin.as_aws();
    // Of its 512 KiB blocks no two are the same, and each takes a second.
    let mut image = small;
    image.extend((0..BLOCKS * 64 * 1024).flat_map(u64::to_le_bytes));
    let file = desk.write("large.efi", image).to_string();
    let build = ["ami", "build", &file, "--name", "large"];
    let slow = ["twin", "fault", "add", "ebs:PutSnapshotBlock", "--delay", "1000"];
    twin.l4re(&slow).code(0);
    // Of 32 at a time: when the 65th block is put, 33 are there and the progress is noted.
    let hold = Hold { begins: "PUT /snapshots/", request: 70, after: false };
    assert!(killed(&desk, &build, hold));
    twin.l4re(&["twin", "fault", "clear"]).code(0);
    let [begun] = &amis(&desk, "large")[..] else { panic!("{:?}", amis(&desk, "large")) };
    let proxy = Proxy::start(desk.variable("AWS_ENDPOINT_URL").unwrap(), None);
    let behind = desk.another().with("AWS_ENDPOINT_URL", proxy.url());
    behind.l4re(&build).code(0);
    let [made] = &amis(&desk, "large")[..] else { panic!("{:?}", amis(&desk, "large")) };
    assert_eq!(made["snapshot"], begun["snapshot"]);
    // What was put in the first two seconds is not put again.
    let most = usize::try_from(BLOCKS).unwrap() - 16;
    assert!(proxy.requests() <= most, "{} requests for {BLOCKS} blocks", proxy.requests());
}
