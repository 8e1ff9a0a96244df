//! Single calls: how connections fail, and how instances and consoles are treated.

use std::time::Duration;

use super::server::{Reply, Server, connect_with, found, options, refuse};
use crate::connect::{ConnectOptions, Timeouts};
use crate::error::CloudError;
use crate::event::Event;
use crate::instance::{Instance, InstanceFilter, InstanceState};
use crate::plan::ImageFacts;
use crate::publish::Object;
use crate::warm::{RedeployOptions, Warm};

async fn instance(server: &Server) -> Instance {
    server.connect().await.list(&InstanceFilter::default()).await.unwrap().remove(0)
}

#[tokio::test]
async fn nobody_listens() {
    // A port that the kernel gives nobody who asks for any.
    let url = "http://127.0.0.1:1";
    // The pauses between so many tries are longer than this.
    let options = options(url);
    let timeouts =
        Timeouts { attempts: 1000, operation: Duration::from_secs(30), ..options.timeouts };
    let options = ConnectOptions { timeouts, ..options };
    let error = connect_with(options).await.0.identity().await.unwrap_err();
    assert_eq!(error.code(), "network-unreachable", "it was tried again: {error}");
    assert!(error.to_string().contains(url), "{error}");
}

#[tokio::test]
async fn nobody_answers() {
    let server = Server::start(|_, _| Reply::Hang).await;
    let error = server.connect_impatient().await.0.identity().await.unwrap_err();
    assert_eq!(error.code(), "timed-out", "{error}");
}

#[tokio::test]
async fn an_expired_token_is_told() {
    let server = Server::start(|_, _| {
        Reply::Say(
            403,
            &[],
            "<ErrorResponse><Error><Code>ExpiredToken</Code><Message>The security token \
             included in the request is expired</Message></Error></ErrorResponse>"
                .to_owned(),
        )
    })
    .await;
    let error = server.connect().await.identity().await.unwrap_err();
    assert_eq!(error.code(), "expired");
    assert_eq!(server.actions().len(), 1);
}

#[tokio::test]
async fn what_an_endpoint_lacks_is_unknown() {
    let page = || Reply::Say(500, &[], "<!doctype html><title>500</title>".to_owned());
    let server = Server::start(move |_, _| page()).await;
    let (cloud, told) = server.connect_telling().await;
    assert_eq!(cloud.account().await.unwrap().imds_v2_enforced, None);
    assert_eq!(cloud.serial_status().await.unwrap().enabled, None);
    let told = told.lock().unwrap();
    assert_eq!(told.iter().filter(|event| matches!(event, Event::Unknown { .. })).count(), 2);
}

#[tokio::test]
async fn stop_is_forced_and_does_without_what_the_endpoint_lacks() {
    let server = Server::start(|asked, _| match asked.action() {
        "DescribeInstances" => found(&[("i-00000001", "running")]),
        _ if asked.fields.contains_key("SkipOsShutdown") => {
            refuse(400, "UnknownParameter", "SkipOsShutdown")
        }
        _ => Reply::Say(
            200,
            &[],
            "<StopInstancesResponse><instancesSet><item><instanceId>i-1</instanceId>\
             <currentState><name>stopping</name></currentState></item></instancesSet>\
             </StopInstancesResponse>"
                .to_owned(),
        ),
    })
    .await;
    let instance = instance(&server).await;
    let (cloud, told) = server.connect_telling().await;
    assert_eq!(cloud.stop(&instance).await.unwrap(), InstanceState::Stopping);
    let stops: Vec<_> =
        server.asked().into_iter().filter(|a| a.action() == "StopInstances").collect();
    assert!(stops.iter().all(|stop| stop.field("Force") == "true"));
    assert_eq!(stops[0].field("SkipOsShutdown"), "true");
    assert!(matches!(told.lock().unwrap()[0], Event::Unknown { .. }));
}

#[tokio::test]
async fn spot_cannot_be_stopped() {
    let server = Server::start(|_, _| found(&[("i-00000001", "running")])).await;
    let spot = Instance { spot_request: Some("sir-1".into()), ..instance(&server).await };
    let error = server.connect().await.stop(&spot).await.unwrap_err();
    assert_eq!(error.code(), "spot-cannot-stop");
}

#[tokio::test]
async fn an_instance_just_made_may_be_denied() {
    let server = Server::start(|asked, before| match (asked.action(), before) {
        ("TerminateInstances", 0..2) => {
            refuse(400, "InvalidInstanceID.NotFound", "The instance ID 'i-1' does not exist")
        }
        ("TerminateInstances", _) => Reply::Say(
            200,
            &[],
            "<TerminateInstancesResponse><instancesSet><item><currentState>\
             <name>shutting-down</name></currentState></item></instancesSet>\
             </TerminateInstancesResponse>"
                .to_owned(),
        ),
        _ => found(&[("i-00000001", "pending")]),
    })
    .await;
    let instance = instance(&server).await;
    // It is patient for five polls, in which a busy machine must find the time for two.
    let options = server.options();
    let timeouts = Timeouts { poll: Duration::from_secs(1), ..options.timeouts };
    let (cloud, _) = connect_with(ConnectOptions { timeouts, ..options }).await;
    let state = cloud.terminate(&instance).await.unwrap();
    assert_eq!(state, InstanceState::ShuttingDown);
}

#[tokio::test]
async fn waiting_outlasts_faults_and_tells_states() {
    let server = Server::start(|_, before| match before {
        0 => refuse(400, "InvalidInstanceID.NotFound", "The instance ID 'i-1' does not exist"),
        1 => found(&[("i-00000001", "pending")]),
        2 => found(&[("i-00000001", "pending")]),
        _ => found(&[("i-00000001", "running")]),
    })
    .await;
    let (cloud, told) = server.connect_telling().await;
    let wait = cloud.wait_for("i-00000001", InstanceState::Running, Duration::from_secs(120));
    assert_eq!(wait.await.unwrap().state, InstanceState::Running);
    let told = told.lock().unwrap();
    let changes = told.iter().filter(|event| matches!(event, Event::StateChanged { .. })).count();
    assert_eq!((changes, told.len()), (2, 3));
}

#[tokio::test]
async fn a_wait_ends_with_the_instance_and_at_its_deadline() {
    let wait = |state: &'static str, limit: Duration| async move {
        let server = Server::start(move |_, _| found(&[("i-00000001", state)])).await;
        let cloud = server.connect().await;
        cloud.wait_for("i-00000001", InstanceState::Running, limit).await.unwrap_err().code()
    };
    assert_eq!(wait("terminated", Duration::from_secs(120)).await, "instance-ended");
    assert_eq!(wait("pending", Duration::from_millis(150)).await, "wait-timed-out");
}

#[tokio::test]
async fn finding_by_name_wants_one_live_instance() {
    let find = |instances: &'static [(&'static str, &'static str)]| async move {
        let server = Server::start(move |_, _| found(instances)).await;
        server.connect().await.find("hello").await.map(|i| i.id).map_err(|e| e.code())
    };
    assert_eq!(find(&[]).await, Err("no-such-instance"));
    assert_eq!(find(&[("i-1", "terminated")]).await, Err("no-such-instance"));
    assert_eq!(find(&[("i-1", "terminated"), ("i-2", "stopped")]).await, Ok("i-2".to_owned()));
    assert_eq!(find(&[("i-1", "running"), ("i-2", "stopped")]).await, Err("ambiguous-name"));
}

#[tokio::test]
async fn a_name_that_nobody_has_tells_whom_it_is_most_like_or_who_had_it() {
    let find = |instances: &'static [(&'static str, &'static str)], name: &'static str| async move {
        let server = Server::start(move |asked, _| match asked.field("Filter.1.Value.1") {
            "helo" => found(&[]),
            _ => found(instances),
        })
        .await;
        match server.connect().await.find(name).await.unwrap_err() {
            CloudError::NotFound { gone, nearest, .. } => (gone, nearest),
            error => panic!("{error}"),
        }
    };
    let running = &[("i-1", "running")];
    assert_eq!(find(running, "helo").await, (None, vec!["hello".to_owned()]));
    let dead = &[("i-1", "terminated")];
    assert_eq!(find(dead, "hello").await, (Some("i-1".to_owned()), Vec::new()));
}

#[tokio::test]
async fn what_an_instance_is_given_is_noted_before_anything_changes() {
    let server = Server::start(|asked, _| match asked.action() {
        "DescribeInstances" => found(&[("i-00000001", "stopped")]),
        action => Reply::Say(200, &[], format!("<{action}Response/>")),
    })
    .await;
    let warm = Warm {
        instance: instance(&server).await,
        machine: super::machine("m7g.metal"),
        firmware: crate::types::BootMode::Uefi,
    };
    let image = ImageFacts {
        sha256: Some("cd".repeat(32)),
        ..super::image(l4re_image::Arch::Arm64, l4re_image::Kind::Efi)
    };
    let object = Object::at_url("http://host/x", None);
    let cloud = server.connect().await;
    let options = RedeployOptions::default();
    let redeployed = cloud.redeploy(&warm, &image, &object, &options).await.unwrap();
    assert_eq!(redeployed.instance.image, image.sha256);
    let calls: Vec<_> = server
        .asked()
        .into_iter()
        .filter(|asked| !asked.action().starts_with("Describe"))
        .collect();
    let actions: Vec<_> = calls.iter().map(|call| call.action()).collect();
    let wanted = ["CreateTags", "ModifyInstanceAttribute", "CreateTags", "StartInstances"];
    assert_eq!(actions, wanted);
    assert_eq!(calls[0].field("Tag.1.Key"), "l4re:next-image");
    assert_eq!(calls[0].field("Tag.1.Value"), "cd".repeat(32));
    assert_eq!(calls[2].field("Tag.1.Key"), "l4re:image");
    // Cut off in between, it says so until somebody repeats it.
    let mut cut_off = warm.instance.clone();
    cut_off.tags.push(("l4re:next-image".to_owned(), "cd".repeat(32)));
    assert_eq!(cut_off.next_image(), Some("cd".repeat(32).as_str()));
    cut_off.image = Some("cd".repeat(32));
    assert_eq!(cut_off.next_image(), None);
}

#[tokio::test]
async fn console_output_falls_back_to_the_snapshot() {
    let server = Server::start(|asked, _| {
        if asked.field("Latest") == "true" {
            return refuse(400, "UnsupportedOperation", "not on Xen");
        }
        let text =
            "<GetConsoleOutputResponse><output>SGVs\nbG8=\n</output></GetConsoleOutputResponse>";
        Reply::Say(200, &[], text.to_owned())
    })
    .await;
    assert_eq!(server.connect().await.console_output("i-1", true).await.unwrap(), b"Hello");
}
