//! 200 deploys at a service where each fifth answer is a fault: throttling, an error 500, a
//! reset or a time-out before or after the call took effect, no knowledge of what was just
//! made, no room. Each must end in a running machine or in a true refusal, without an orphan.

use std::collections::HashMap;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::{StreamExt, stream};
use l4re_image::{Arch, Kind};

use super::facts::{ami, image, prepared};
use super::server::{Asked, Reply, Server, accept, instance_named, refuse};
use crate::attempt::LaunchOptions;
use crate::connect::{Cloud, ConnectOptions, Timeouts};
use crate::error::CloudError;
use crate::instance::InstanceState;
use crate::publish::Object;

const DEPLOYS: usize = 200;

/// Instances by token: id, name, and whether it lives.
type Fleet = Arc<Mutex<HashMap<String, (String, String, bool)>>>;

/// A die that is the same in each run.
fn die(seed: usize) -> usize {
    let mixed = (seed as u64).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    ((mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 33) as usize
}

fn fault(roll: usize, asked: &Asked) -> Option<Reply> {
    if !roll.is_multiple_of(5) {
        return None;
    }
    Some(match (roll / 5) % 6 {
        0 => refuse(503, "RequestLimitExceeded", "slow down"),
        1 => refuse(500, "InternalError", "oops"),
        2 => Reply::Reset,
        3 => Reply::Hang,
        4 if asked.action() == "RunInstances" => {
            refuse(500, "InsufficientInstanceCapacity", "no room")
        }
        _ => refuse(503, "Unavailable", "later"),
    })
}

/// Does what was asked, whether or not the answer will arrive.
fn act(asked: &Asked, fleet: &Fleet, roll: usize) -> Reply {
    let mut fleet = fleet.lock().unwrap();
    match asked.action() {
        "RunInstances" => {
            let name = asked.field("TagSpecification.1.Tag.1.Value").to_owned();
            let next = format!("i-{:08x}", fleet.len());
            let token = asked.field("ClientToken").to_owned();
            let entry = fleet.entry(token).or_insert((next, name, true));
            accept(&entry.0)
        }
        "TerminateInstances" => {
            let id = asked.field("InstanceId.1");
            fleet.values_mut().filter(|i| i.0 == id).for_each(|i| i.2 = false);
            Reply::Say(200, &[], "<TerminateInstancesResponse/>".to_owned())
        }
        _ => {
            let by_id = asked.field("InstanceId.1");
            let name = asked.field("Filter.1.Value.1");
            if !by_id.is_empty() && roll.is_multiple_of(7) {
                return refuse(400, "InvalidInstanceID.NotFound", "The ID 'i' does not exist");
            }
            let wanted = |i: &&(String, String, bool)| {
                if by_id.is_empty() { i.1 == name } else { i.0 == by_id }
            };
            let items: String = fleet
                .values()
                .filter(wanted)
                .map(|i| instance_named(&i.0, if i.2 { "running" } else { "terminated" }, &i.1))
                .collect();
            Reply::Say(200, &[], super::server::reservation(&items))
        }
    }
}

async fn deploy(cloud: Cloud, number: usize) -> Result<String, CloudError> {
    let mut prepared = prepared(&["m7g.metal", "c7g.metal"], &[ami("arm64")]);
    prepared.options.name = format!("machine-{number}");
    let image = image(Arch::Arm64, Kind::Efi);
    let object = Object::at_url("http://host/x", image.sha256.clone());
    let options = LaunchOptions { adopt: true, ..LaunchOptions::default() };
    let launched = cloud.launch(&prepared, &image, &object, &options).await?;
    let id = launched.instance.id;
    let limit = Duration::from_secs(120);
    cloud.wait_for(&id, InstanceState::Running, limit).await.map(|instance| instance.id)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn faults_lose_no_machine_and_make_none_twice() {
    let fleet = Fleet::default();
    let inner = Arc::clone(&fleet);
    let (count, faults) = (AtomicUsize::new(0), Arc::new(AtomicUsize::new(0)));
    let faulty = Arc::clone(&faults);
    let server = Server::start(move |asked, _| {
        let roll = die(count.fetch_add(1, Relaxed));
        match fault(roll, asked) {
            None => act(asked, &inner, roll),
            Some(reply) => {
                faulty.fetch_add(1, Relaxed);
                // Half of what gets no answer has been done all the same.
                if matches!(reply, Reply::Reset | Reply::Hang) && roll & 1024 == 0 {
                    act(asked, &inner, 1);
                }
                reply
            }
        }
    })
    .await;
    let (cloud, _) = super::server::connect_with(ConnectOptions {
        timeouts: Timeouts {
            // Time enough for fifty at once on a busy machine: only what hangs takes longer.
            attempt: Duration::from_secs(4),
            operation: Duration::from_secs(120),
            poll: Duration::from_millis(20),
            ..Timeouts::default()
        },
        ..server.options()
    })
    .await;
    let results: Vec<Result<String, CloudError>> = stream::iter(0..DEPLOYS)
        .map(|number| deploy(cloud.clone(), number))
        .buffer_unordered(50)
        .collect()
        .await;
    let live = fleet.lock().unwrap().values().filter(|i| i.2).count();
    let running = results.iter().filter(|result| result.is_ok()).count();
    let refusals: Vec<_> = results.iter().filter_map(|result| result.as_ref().err()).collect();
    assert!(refusals.iter().all(|error| error.code() == "capacity"), "{refusals:?}");
    assert_eq!(live, running, "an orphan, or a machine lost");
    let mut names: Vec<String> =
        fleet.lock().unwrap().values().filter(|i| i.2).map(|i| i.1.clone()).collect();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), running, "two machines of one name");
    assert!(running > DEPLOYS * 9 / 10, "{running} of {DEPLOYS}");
    let (asked, faults) = (server.asked().len(), faults.load(Relaxed));
    assert!(faults * 6 > asked, "only {faults} of {asked} answers were faults");
}
