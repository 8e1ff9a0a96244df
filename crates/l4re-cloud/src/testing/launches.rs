//! Launches against a service that has no room, is over quota, forgets, or says no.

use l4re_image::{Arch, Kind};

use super::facts::{ami, image, prepared};
use super::server::{Reply, Server, accept, found, refuse};
use crate::attempt::{LaunchOptions, Market};
use crate::connect::Cloud;
use crate::error::CloudError;
use crate::event::Event;
use crate::launch::Launched;
use crate::prepare::Prepared;
use crate::publish::Object;

fn two_zones() -> Prepared {
    prepared(&["m7g.metal"], &[ami("arm64"), ami("x86_64")])
}

async fn launch(cloud: &Cloud, options: &LaunchOptions) -> Result<Launched, CloudError> {
    let image = image(Arch::Arm64, Kind::Efi);
    let object = Object::at_url("http://host/x", image.sha256.clone());
    cloud.launch(&two_zones(), &image, &object, options).await
}

fn plain() -> LaunchOptions {
    LaunchOptions::default()
}

#[tokio::test]
async fn an_accepted_launch_is_tagged_on_everything() {
    let server = Server::start(|asked, _| match asked.action() {
        "RunInstances" => accept("i-00000001"),
        _ => found(&[("i-00000001", "pending")]),
    })
    .await;
    let launched = launch(&server.connect().await, &plain()).await.unwrap();
    assert_eq!(launched.instance.id, "i-00000001");
    let run = &server.asked()[0];
    for (index, resource) in [(1, "instance"), (2, "volume"), (3, "network-interface")] {
        let field = |name: &str| run.field(&format!("TagSpecification.{index}.{name}")).to_owned();
        assert_eq!(field("ResourceType"), resource);
        assert_eq!(
            (field("Tag.1.Key"), field("Tag.1.Value")),
            ("l4re:name".into(), "hello".into())
        );
    }
    assert_eq!(run.field("InstanceInitiatedShutdownBehavior"), "terminate");
    assert_eq!(run.field("MetadataOptions.HttpTokens"), "required");
    assert_eq!(run.field("SubnetId"), "subnet-eu-central-1a");
    assert_eq!(run.field("ClientToken").len(), 64);
}

#[tokio::test]
async fn no_room_in_one_zone_goes_to_the_next_at_once() {
    let server = Server::start(|asked, before| match (asked.action(), before) {
        ("RunInstances", 0) => refuse(500, "InsufficientInstanceCapacity", "none"),
        ("RunInstances", _) => accept("i-00000002"),
        _ => found(&[]),
    })
    .await;
    let launched = launch(&server.connect().await, &plain()).await.unwrap();
    assert_eq!(launched.instance.id, "i-00000002");
    let runs: Vec<_> =
        server.asked().into_iter().filter(|a| a.action() == "RunInstances").collect();
    assert_eq!(runs.len(), 2);
    assert_eq!(runs[1].field("SubnetId"), "subnet-eu-central-1b");
    assert_ne!(runs[0].field("ClientToken"), runs[1].field("ClientToken"));
}

#[tokio::test]
async fn no_room_anywhere_tells_all_that_was_tried() {
    let server = Server::start(|_, _| refuse(500, "InsufficientInstanceCapacity", "none")).await;
    let error = launch(&server.connect().await, &plain()).await.unwrap_err();
    let CloudError::Capacity(tried) = &error else { panic!("{error}") };
    assert_eq!(tried.len(), 2);
    assert_eq!(
        error.to_string(),
        "no capacity: m7g.metal in eu-central-1a: InsufficientInstanceCapacity; \
         m7g.metal in eu-central-1b: InsufficientInstanceCapacity"
    );
}

/// The places that were asked for, in order: zone's subnet, and whether as spot capacity.
fn asked_for(server: &Server) -> Vec<(String, bool)> {
    let runs = server.asked().into_iter().filter(|asked| asked.action() == "RunInstances");
    let place = |run: super::server::Asked| {
        let spot = run.field("InstanceMarketOptions.MarketType") == "spot";
        (run.field("SubnetId").to_owned(), spot)
    };
    runs.map(place).collect()
}

#[tokio::test]
async fn spot_in_each_zone_first_and_on_demand_after() {
    for code in ["InsufficientInstanceCapacity", "SpotMaxPriceTooLow", "UnfulfillableCapacity"] {
        let server = Server::start(move |asked, _| match asked.action() {
            "RunInstances" if asked.field("InstanceMarketOptions.MarketType") == "spot" => {
                refuse(400, code, "none")
            }
            "RunInstances" => accept("i-00000001"),
            _ => found(&[]),
        })
        .await;
        let options = LaunchOptions { market: Market::SpotThenOnDemand, ..plain() };
        let launched = launch(&server.connect().await, &options).await.unwrap();
        assert!(!launched.spot, "{code}");
        let [a, b] = ["a", "b"].map(|zone| format!("subnet-eu-central-1{zone}"));
        assert_eq!(asked_for(&server), [(a.clone(), true), (b, true), (a, false)], "{code}");
    }
}

#[tokio::test]
async fn a_spot_quota_that_is_used_up_is_asked_once() {
    let server = Server::start(|asked, _| match asked.action() {
        "RunInstances" if asked.field("InstanceMarketOptions.MarketType") == "spot" => {
            refuse(400, "MaxSpotInstanceCountExceeded", "Max spot instance count exceeded")
        }
        "RunInstances" => accept("i-00000001"),
        _ => found(&[]),
    })
    .await;
    let options = LaunchOptions { market: Market::SpotThenOnDemand, ..plain() };
    let (cloud, told) = server.connect_telling().await;
    launch(&cloud, &options).await.unwrap();
    let spots: Vec<bool> = asked_for(&server).into_iter().map(|(_, spot)| spot).collect();
    assert_eq!(spots, [true, false]);
    let told = told.lock().unwrap();
    assert!(told.iter().any(|event| matches!(event, Event::NoCapacity { spot: true, .. })));
    assert!(told.iter().any(|event| matches!(event, Event::Launched { spot: false, .. })));
}

#[tokio::test]
async fn a_quota_ends_at_once_and_names_the_type() {
    let server = Server::start(|_, _| refuse(400, "VcpuLimitExceeded", "64 vCPU")).await;
    let error = launch(&server.connect().await, &plain()).await.unwrap_err();
    assert_eq!(error.to_string(), "m7g.metal: quota exceeded (VcpuLimitExceeded): 64 vCPU");
    assert_eq!(server.actions(), ["RunInstances"]);
}

#[tokio::test]
async fn a_denial_is_decoded_and_not_tried_again() {
    let server = Server::start(|asked, _| match asked.action() {
        "RunInstances" => refuse(
            403,
            "UnauthorizedOperation",
            "You are not authorized. Encoded authorization failure message: XyZ",
        ),
        _ => Reply::Say(
            200,
            &[],
            "<DecodeAuthorizationMessageResponse><DecodeAuthorizationMessageResult>\
             <DecodedMessage>{\"explicitDeny\":true}</DecodedMessage>\
             </DecodeAuthorizationMessageResult></DecodeAuthorizationMessageResponse>"
                .to_owned(),
        ),
    })
    .await;
    let error = launch(&server.connect().await, &plain()).await.unwrap_err();
    let CloudError::AccessDenied(denied) = error else { panic!("{error}") };
    assert_eq!(denied.action, "ec2:RunInstances");
    assert!(denied.decision.is_some_and(|decision| decision.explicit_deny));
    assert_eq!(server.actions(), ["RunInstances", "DecodeAuthorizationMessage"]);
}

#[tokio::test]
async fn passing_faults_are_outlasted_under_one_token() {
    let server = Server::start(|asked, before| match (asked.action(), before) {
        ("RunInstances", 0) => refuse(503, "RequestLimitExceeded", "slow down"),
        ("RunInstances", 1) => Reply::Reset,
        ("RunInstances", 2) => refuse(500, "InternalError", "oops"),
        ("RunInstances", _) => accept("i-00000003"),
        _ => found(&[]),
    })
    .await;
    launch(&server.connect().await, &plain()).await.unwrap();
    let mut tokens: Vec<String> = server
        .asked()
        .iter()
        .filter(|asked| asked.action() == "RunInstances")
        .map(|asked| asked.field("ClientToken").to_owned())
        .collect();
    assert_eq!(tokens.len(), 4);
    tokens.dedup();
    assert_eq!(tokens.len(), 1);
}

/// The command was killed after RunInstances and is repeated: the token is known, the user
/// data has another signature.
async fn killed_and_repeated(state: &'static str) -> Server {
    Server::start(move |asked, before| match (asked.action(), before) {
        ("RunInstances", 0) => refuse(400, "IdempotentParameterMismatch", "differs"),
        ("RunInstances", _) => accept("i-00000005"),
        _ if asked.field("Filter.1.Name") == "client-token" => found(&[("i-00000004", state)]),
        _ => found(&[]),
    })
    .await
}

#[tokio::test]
async fn a_repeated_command_finds_its_instance() {
    let server = killed_and_repeated("running").await;
    let adopting = LaunchOptions { adopt: true, ..plain() };
    let launched = launch(&server.connect().await, &adopting).await.unwrap();
    assert!(launched.adopted);
    assert_eq!(launched.instance.id, "i-00000004");

    let server = killed_and_repeated("running").await;
    let error = launch(&server.connect().await, &plain()).await.unwrap_err();
    let CloudError::AlreadyRunning(running) = error else { panic!("{error}") };
    assert_eq!(running.id, "i-00000004");

    // The same name and image, but another command line: not the same command.
    let server = killed_and_repeated("running").await;
    let other = LaunchOptions { adopt: true, command_line: Some("-serial_esc".into()), ..plain() };
    let error = launch(&server.connect().await, &other).await.unwrap_err();
    assert_eq!(error.to_string(), "`hello` is already running: i-00000004 (running)");

    let server = killed_and_repeated("stopped").await;
    let error = launch(&server.connect().await, &adopting).await.unwrap_err();
    assert_eq!(error.to_string(), "`hello` exists already: i-00000004 (stopped)");
}

#[tokio::test]
async fn a_token_of_a_dead_instance_is_replaced() {
    let server = killed_and_repeated("terminated").await;
    let launched = launch(&server.connect().await, &plain()).await.unwrap();
    assert_eq!(launched.instance.id, "i-00000005");
    let runs: Vec<_> =
        server.asked().into_iter().filter(|a| a.action() == "RunInstances").collect();
    assert_ne!(runs[0].field("ClientToken"), runs[1].field("ClientToken"));
    assert_eq!(runs[0].field("SubnetId"), runs[1].field("SubnetId"));
}

#[tokio::test]
async fn the_younger_of_two_rivals_goes() {
    // Both were launched in the same second: the lower id is the older one.
    let server = Server::start(|asked, _| match asked.action() {
        "RunInstances" => accept("i-00000009"),
        "DescribeInstances" => found(&[("i-00000001", "running"), ("i-00000009", "pending")]),
        _ => Reply::Say(200, &[], "<TerminateInstancesResponse/>".to_owned()),
    })
    .await;
    let error = launch(&server.connect().await, &plain()).await.unwrap_err();
    let CloudError::AlreadyRunning(running) = error else { panic!("{error}") };
    assert_eq!(running.id, "i-00000001");
    let last = server.asked().pop().unwrap();
    assert_eq!(last.action(), "TerminateInstances");
    assert_eq!(last.field("InstanceId.1"), "i-00000009");
    assert_eq!((last.field("Force"), last.field("SkipOsShutdown")), ("true", "true"));
}

#[tokio::test]
async fn a_dry_run_that_would_succeed_is_permitted() {
    let image = image(Arch::Arm64, Kind::Efi);
    let object = Object::at_url("http://host/x", None);
    let now = jiff::Timestamp::UNIX_EPOCH;
    let attempts = crate::attempts(&two_zones(), &image, &object, &plain(), now).unwrap();
    let server = Server::start(|_, _| refuse(412, "DryRunOperation", "would have")).await;
    server.connect().await.launch_permitted(&attempts[0]).await.unwrap();
    assert_eq!(server.asked()[0].field("DryRun"), "true");
    let server = Server::start(|_, _| refuse(403, "UnauthorizedOperation", "no")).await;
    let error = server.connect().await.launch_permitted(&attempts[0]).await.unwrap_err();
    assert_eq!(error.code(), "access-denied");
}
