//! EC2's semantics, call by call, on a twin whose QEMU is a stand-in that only lives.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use regex::Regex;

use super::answer;
use crate::fixture::TestTwin;

const ARM: &str = "ami-0172ea64000000ef1";
const BIOS: &str = "ami-0172e86000000b105";
pub(crate) const UEFI: &str = "ami-0172e86000000efe1";

impl TestTwin {
    /// Makes a call; status and XML.
    pub(crate) fn ask(&self, form: &str) -> (u16, String) {
        answer(&self.twin, form.as_bytes(), jiff::Timestamp::now())
    }

    /// The XML of a call that succeeds.
    pub(crate) fn call(&self, form: &str) -> String {
        let (status, xml) = self.ask(form);
        assert_eq!(status, 200, "{form}: {xml}");
        xml
    }

    /// The error code of a call that fails.
    pub(crate) fn code(&self, form: &str) -> String {
        let (status, xml) = self.ask(form);
        assert_ne!(status, 200, "{form}: {xml}");
        all(&xml, "Code").remove(0)
    }

    pub(crate) fn run(&self, image: &str, kind: &str, more: &str) -> String {
        let xml = self.call(&launch(image, kind, more));
        all(&xml, "instanceId").remove(0)
    }

    fn states(&self, id: &str) -> String {
        let xml = self.call(&format!("Action=DescribeInstances&InstanceId.1={id}"));
        let state = Regex::new("<instanceState><code>[0-9]+</code><name>([a-z-]+)</name>").unwrap();
        state.captures(&xml).unwrap()[1].to_owned()
    }

    pub(crate) async fn wait(&self, id: &str, state: &str) {
        let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(120);
        while self.states(id) != state {
            let shown = || self.call(&format!("Action=DescribeInstances&InstanceId.1={id}"));
            assert!(tokio::time::Instant::now() < deadline, "not {state}: {}", shown());
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    }
}

pub(crate) fn launch(image: &str, kind: &str, more: &str) -> String {
    format!("Action=RunInstances&ImageId={image}&InstanceType={kind}&MinCount=1&MaxCount=1&{more}")
}

pub(crate) fn all(xml: &str, name: &str) -> Vec<String> {
    let element = Regex::new(&format!("<{name}>([^<]*)</{name}>")).unwrap();
    element.captures_iter(xml).map(|found| found[1].to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_gives_the_same_instance_even_a_dead_one() {
    let twin = TestTwin::new().await;
    let first = twin.run(BIOS, "t3.nano", "ClientToken=t1");
    assert_eq!(twin.run(BIOS, "t3.nano", "ClientToken=t1"), first);
    let other = launch(BIOS, "t3.micro", "ClientToken=t1");
    assert_eq!(twin.code(&other), "IdempotentParameterMismatch");
    twin.call(&format!("Action=TerminateInstances&InstanceId.1={first}&SkipOsShutdown=true"));
    twin.wait(&first, "terminated").await;
    assert_eq!(twin.run(BIOS, "t3.nano", "ClientToken=t1"), first);
    assert_eq!(twin.states(&first), "terminated");
    assert_ne!(twin.run(BIOS, "t3.nano", "ClientToken=t2"), first);
    let long = launch(BIOS, "t3.nano", &format!("ClientToken={}", "x".repeat(65)));
    assert_eq!(twin.code(&long), "InvalidParameterValue");
}

#[tokio::test(flavor = "multi_thread")]
async fn launches_that_cannot_work_are_refused_as_ec2_does() {
    let twin = TestTwin::new().await;
    let user_data = |size: usize| {
        let text = STANDARD.encode(vec![b'x'; size]);
        format!("UserData={}", form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>())
    };
    let cases = [
        (launch("ami-0123456789abcdef0", "t3.nano", ""), "InvalidAMIID.NotFound"),
        (launch("nonsense", "t3.nano", ""), "InvalidAMIID.Malformed"),
        (launch(BIOS, "z9.huge", ""), "InvalidParameterValue"),
        // Architecture, and UEFI on the types that have none.
        (launch(ARM, "t3.nano", ""), "InvalidParameterValue"),
        (launch(UEFI, "c5.metal", ""), "InvalidParameterValue"),
        (launch(UEFI, "t2.micro", ""), "InvalidParameterValue"),
        (launch(BIOS, "t3.nano", &user_data(16385)), "InvalidParameterValue"),
        (launch(BIOS, "t3.nano", "SubnetId=subnet-1"), "InvalidSubnetID.NotFound"),
        (
            launch(BIOS, "t3.nano", "SecurityGroupId.1=sg-0123456789abcdef0"),
            "InvalidGroup.NotFound",
        ),
        (launch(BIOS, "t3.nano", "KeyName=k"), "InvalidKeyPair.NotFound"),
        (launch(BIOS, "t3.nano", "Placement.AvailabilityZone=us-east-1a"), "InvalidParameterValue"),
        (
            launch(BIOS, "t3.nano", "SubnetId=x&NetworkInterface.1.DeviceIndex=0"),
            "InvalidParameterCombination",
        ),
        (
            launch(BIOS, "t3.nano", "CpuOptions.NestedVirtualization=enabled"),
            "InvalidParameterCombination",
        ),
        (format!("Action=RunInstances&ImageId={BIOS}&InstanceType=t3.nano"), "MissingParameter"),
        (launch(BIOS, "t3.nano", "DryRun=true"), "DryRunOperation"),
        ("Action=Nonsense".to_owned(), "InvalidAction"),
    ];
    for (form, code) in cases {
        assert_eq!(twin.code(&form), code, "{form}");
    }
    let none = twin.call("Action=DescribeInstances");
    assert!(!none.contains("instanceId"), "{none}");
    twin.run(BIOS, "t3.nano", &user_data(16384));
    twin.run(UEFI, "c7i-flex.large", "CpuOptions.NestedVirtualization=enabled");
}

#[tokio::test(flavor = "multi_thread")]
async fn user_data_changes_only_while_stopped() {
    let twin = TestTwin::new().await;
    let id = twin.run(BIOS, "c5.metal", "UserData=YQ%3D%3D");
    twin.wait(&id, "running").await;
    let change = format!("Action=ModifyInstanceAttribute&InstanceId={id}&UserData.Value=Yg%3D%3D");
    assert_eq!(twin.code(&change), "IncorrectInstanceState");
    let stop = format!("Action=StopInstances&InstanceId.1={id}&Force=true&SkipOsShutdown=true");
    assert_eq!(all(&twin.call(&stop), "name"), ["stopping", "running"]);
    twin.wait(&id, "stopped").await;
    twin.call(&change);
    let shown =
        twin.call(&format!("Action=DescribeInstanceAttribute&InstanceId={id}&Attribute=userData"));
    assert!(shown.contains("<userData><value>Yg==</value></userData>"), "{shown}");
    assert_eq!(
        twin.code(&format!("Action=RebootInstances&InstanceId.1={id}")),
        "IncorrectInstanceState"
    );
    twin.call(&format!("Action=StartInstances&InstanceId.1={id}"));
    twin.wait(&id, "running").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_ignores_the_power_button_goes_at_once_only_when_it_is_skipped() {
    let mut twin = TestTwin::with(|config| {
        config.timing.graceful = std::time::Duration::from_secs(3600);
    })
    .await;
    let id = twin.run(BIOS, "t3.nano", "");
    twin.wait(&id, "running").await;
    twin.call(&format!("Action=StopInstances&InstanceId.1={id}&Force=true"));
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    assert_eq!(twin.states(&id), "stopping");
    twin.call(&format!("Action=StopInstances&InstanceId.1={id}&Force=true&SkipOsShutdown=true"));
    twin.wait(&id, "stopped").await;
    twin.reopen().await;
    assert_eq!(twin.states(&id), "stopped");
}

#[tokio::test(flavor = "multi_thread")]
async fn spot_and_protected_instances_cannot_be_ended_the_wrong_way() {
    let twin = TestTwin::new().await;
    let spot = twin.run(BIOS, "t3.nano", "InstanceMarketOptions.MarketType=spot");
    assert_eq!(
        twin.code(&format!("Action=StopInstances&InstanceId.1={spot}")),
        "UnsupportedOperation"
    );
    let safe = twin.run(BIOS, "t3.nano", "DisableApiTermination=true");
    let terminate = format!("Action=TerminateInstances&InstanceId.1={spot}&InstanceId.2={safe}");
    assert_eq!(twin.code(&terminate), "OperationNotPermitted");
    // All are checked before any is touched.
    assert_ne!(twin.states(&spot), "shutting-down");
}

#[tokio::test(flavor = "multi_thread")]
async fn tags_are_filtered_changed_and_kept() {
    let mut twin = TestTwin::new().await;
    let tag = |key: &str, value: &str| {
        format!(
            "TagSpecification.1.ResourceType=instance&TagSpecification.1.Tag.1.Key={key}\
             &TagSpecification.1.Tag.1.Value={value}"
        )
    };
    let a = twin.run(BIOS, "t3.nano", &tag("l4re:name", "a"));
    let b = twin.run(BIOS, "t3.nano", &tag("l4re:name", "b"));
    let named = |twin: &TestTwin, value: &str| {
        let form = format!(
            "Action=DescribeInstances&Filter.1.Name=tag:l4re:name&Filter.1.Value.1={value}\
             &Filter.2.Name=instance-state-name&Filter.2.Value.1=pending\
             &Filter.2.Value.2=running&Filter.2.Value.3=stopped"
        );
        all(&twin.call(&form), "instanceId")
    };
    assert_eq!(named(&twin, "a"), std::slice::from_ref(&a));
    assert_eq!(named(&twin, "*").len(), 2);
    twin.call(&format!("Action=CreateTags&ResourceId.1={b}&Tag.1.Key=l4re:name&Tag.1.Value=c"));
    twin.call(&format!("Action=DeleteTags&ResourceId.1={a}&Tag.1.Key=l4re:name&Tag.1.Value=x"));
    twin.reopen().await;
    assert_eq!(named(&twin, "a"), [a]);
    assert_eq!(named(&twin, "c"), std::slice::from_ref(&b));
    let tags =
        twin.call(&format!("Action=DescribeTags&Filter.1.Name=resource-id&Filter.1.Value.1={b}"));
    assert_eq!(all(&tags, "resourceType"), ["instance"]);
    assert_eq!(
        twin.code("Action=CreateTags&ResourceId.1=i-0&Tag.1.Key=k"),
        "InvalidInstanceID.NotFound"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_instance_is_unknown_for_as_long_as_configured() {
    let twin = TestTwin::with(|config| {
        config.timing.consistency = std::time::Duration::from_secs(3600);
    })
    .await;
    let id = twin.run(BIOS, "t3.nano", "");
    let named = format!("Action=DescribeInstances&InstanceId.1={id}");
    assert_eq!(twin.code(&named), "InvalidInstanceID.NotFound");
    assert!(!twin.call("Action=DescribeInstances").contains(&id));
    assert_eq!(
        twin.code("Action=DescribeInstances&InstanceId.1=i-x"),
        "InvalidInstanceID.Malformed"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_qemu_that_dies_at_once_is_the_reason_of_the_state() {
    let twin = TestTwin::with_dying_qemu().await;
    let id = twin.run(BIOS, "t3.nano", "");
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(120);
    while !["terminated", "stopped"].contains(&twin.states(&id).as_str()) {
        assert!(tokio::time::Instant::now() < deadline);
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let xml = twin.call(&format!("Action=DescribeInstances&InstanceId.1={id}"));
    assert!(xml.contains("Server.InternalError: QEMU: no such machine"), "{xml}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_firmware_is_said_before_anything_is_made() {
    let twin = TestTwin::with(|config| {
        config.firmware.aavmf_code = "/nowhere/AAVMF_CODE.fd".into();
    })
    .await;
    let (status, xml) = twin.ask(&launch(ARM, "m7g.metal", "ClientToken=t"));
    assert_eq!(status, 400);
    assert!(xml.contains("<Code>Server.InternalError</Code>"), "{xml}");
    assert!(xml.contains("/nowhere/AAVMF_CODE.fd (Debian package qemu-efi-aarch64)"), "{xml}");
    assert!(!twin.call("Action=DescribeInstances").contains("instanceId"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_console_is_there_in_both_forms() {
    let twin = TestTwin::with(|config| {
        config.timing.console_snapshot = std::time::Duration::from_secs(3600);
    })
    .await;
    let id = twin.run(BIOS, "t3.nano", "");
    let output = |latest: bool| {
        let xml = twin.call(&format!("Action=GetConsoleOutput&InstanceId={id}&Latest={latest}"));
        let base64 = all(&xml, "output").pop().unwrap_or_default();
        String::from_utf8(STANDARD.decode(base64).unwrap()).unwrap()
    };
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(120);
    while output(true) != "stand-in\n" {
        assert!(tokio::time::Instant::now() < deadline, "{:?}", output(true));
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert_eq!(output(false), "");
    twin.call(&format!("Action=StopInstances&InstanceId.1={id}&SkipOsShutdown=true"));
    twin.wait(&id, "stopped").await;
    assert_eq!(output(false), "stand-in\n");
    let xen = twin.run(BIOS, "t2.micro", "");
    let latest = format!("Action=GetConsoleOutput&InstanceId={xen}&Latest=true");
    assert_eq!(twin.code(&latest), "UnsupportedOperation");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_can_enforce_the_metadata_services_second_version() {
    let mut twin = TestTwin::new().await;
    twin.call("Action=ModifyInstanceMetadataDefaults&HttpTokensEnforced=enabled&HttpPutResponseHopLimit=2");
    twin.reopen().await;
    let shown = twin.call("Action=GetInstanceMetadataDefaults");
    assert_eq!(all(&shown, "httpTokensEnforced"), ["enabled"]);
    assert_eq!(twin.code(&launch(BIOS, "t3.nano", "")), "UnsupportedOperation");
    let id = twin.run(BIOS, "t3.nano", "MetadataOptions.HttpTokens=required");
    let instance = twin.call(&format!("Action=DescribeInstances&InstanceId.1={id}"));
    assert_eq!(all(&instance, "httpPutResponseHopLimit"), ["2"]);
    let weaken =
        format!("Action=ModifyInstanceMetadataOptions&InstanceId={id}&HttpTokens=optional");
    assert_eq!(twin.code(&weaken), "UnsupportedOperation");
    twin.call("Action=ModifyInstanceMetadataDefaults&HttpTokensEnforced=no-preference&HttpTokens=required");
    let id = twin.run(BIOS, "t3.nano", "");
    let instance = twin.call(&format!("Action=DescribeInstances&InstanceId.1={id}"));
    assert_eq!(all(&instance, "httpTokens"), ["required"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn states_take_the_time_that_is_set_and_metal_takes_its_own() {
    let twin = TestTwin::with(|config| {
        config.timing.pending = std::time::Duration::from_millis(400);
        config.timing.pending_metal = std::time::Duration::from_secs(3600);
        config.timing.stopping = std::time::Duration::from_millis(400);
    })
    .await;
    let start = std::time::Instant::now();
    let metal = twin.run(BIOS, "c5.metal", "");
    let virtual_one = twin.run(BIOS, "t3.nano", "");
    twin.wait(&virtual_one, "running").await;
    assert!(start.elapsed() >= std::time::Duration::from_millis(400));
    assert_eq!(twin.states(&metal), "pending");
    let stop = std::time::Instant::now();
    twin.call(&format!("Action=StopInstances&InstanceId.1={virtual_one}&SkipOsShutdown=true"));
    twin.wait(&virtual_one, "stopped").await;
    assert!(stop.elapsed() >= std::time::Duration::from_millis(400));
    // What is pending can be terminated.
    twin.call(&format!("Action=TerminateInstances&InstanceId.1={metal}&SkipOsShutdown=true"));
    twin.wait(&metal, "terminated").await;
}

/// What the metadata service answers an instance: status and body.
async fn metadata(twin: &TestTwin, id: &str, request: &str) -> (u16, String) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let guests = &twin.twin.guests;
    let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", guests.port)).await.unwrap();
    let preface = guests.line(id, "metadata");
    let request = format!("{preface}{request}\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer.split_once("\r\n\r\n").unwrap().1.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_requires_tokens_answers_nobody_without_one() {
    let twin = TestTwin::new().await;
    let id = twin.run(BIOS, "t3.nano", "UserData=YQ%3D%3D&MetadataOptions.HttpTokens=required");
    twin.wait(&id, "running").await;
    let read = "GET /latest/user-data HTTP/1.1";
    assert_eq!(metadata(&twin, &id, read).await.0, 401);
    let issue = "PUT /latest/api/token HTTP/1.1\r\nX-aws-ec2-metadata-token-ttl-seconds: 60";
    let (status, token) = metadata(&twin, &id, issue).await;
    assert_eq!(status, 200);
    let with = format!("{read}\r\nX-aws-ec2-metadata-token: {token}");
    assert_eq!(metadata(&twin, &id, &with).await, (200, "a".to_owned()));
    let wrong = format!("{read}\r\nX-aws-ec2-metadata-token: {token}x");
    assert_eq!(metadata(&twin, &id, &wrong).await.0, 401);
    let change = "Action=ModifyInstanceMetadataOptions";
    twin.call(&format!("{change}&InstanceId={id}&HttpTokens=optional"));
    assert_eq!(metadata(&twin, &id, read).await.0, 200);
    twin.call(&format!("{change}&InstanceId={id}&HttpEndpoint=disabled"));
    assert_ne!(metadata(&twin, &id, read).await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn capacity_is_gone_by_zone_and_type() {
    let twin = TestTwin::new().await;
    let plan = r#"{"rules": [{"on": "RunInstances", "zone": "eu-central-1a",
        "instance_type": "c5.*", "effect": {"error": {"code": "InsufficientInstanceCapacity"}}}]}"#;
    crate::set_faults(&twin.twin.config.dir, &serde_json::from_str(plan).unwrap()).unwrap();
    let at = |kind: &str, zone: &str| {
        launch(BIOS, kind, &format!("Placement.AvailabilityZone=eu-central-1{zone}"))
    };
    assert_eq!(twin.code(&at("c5.large", "a")), "InsufficientInstanceCapacity");
    twin.call(&at("c5.large", "b"));
    twin.call(&at("t3.nano", "a"));
    // Who names no zone gets one that has room.
    let xml = twin.call(&launch(BIOS, "c5.large", ""));
    assert_eq!(all(&xml, "availabilityZone"), ["eu-central-1b"]);
    let nowhere = plan.replace(r#""zone": "eu-central-1a","#, r#""times": 1,"#);
    crate::set_faults(&twin.twin.config.dir, &serde_json::from_str(&nowhere).unwrap()).unwrap();
    assert_eq!(twin.code(&launch(BIOS, "c5.large", "DryRun=true")), "DryRunOperation");
    assert_eq!(twin.code(&launch(BIOS, "c5.large", "")), "InsufficientInstanceCapacity");
    twin.call(&launch(BIOS, "c5.large", ""));
}

#[tokio::test(flavor = "multi_thread")]
async fn spot_prices_have_a_history_and_pages() {
    let twin = TestTwin::new().await;
    let form = "Action=DescribeSpotPriceHistory&InstanceType.1=t3.nano";
    let now = twin.call(form);
    assert_eq!(all(&now, "availabilityZone"), ["eu-central-1a", "eu-central-1b", "eu-central-1c"]);
    for price in all(&now, "spotPrice") {
        assert!((0.0015..0.0027).contains(&price.parse::<f64>().unwrap()), "{price}");
    }
    let day = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(24);
    let zone = format!("{form}&StartTime={day}&AvailabilityZone=eu-central-1b");
    assert_eq!(all(&twin.call(&zone), "spotPrice").len(), 5);
    let page = twin.call(&format!("{zone}&MaxResults=2"));
    assert_eq!((all(&page, "spotPrice").len(), all(&page, "nextToken").len()), (2, 1));
    assert_eq!(twin.code(&format!("{form}&StartTime=yesterday")), "InvalidParameterValue");
    let windows = format!("{form}&ProductDescription.1=Windows");
    assert!(all(&twin.call(&windows), "spotPrice").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_kvm_cannot_run_begins_again_by_tcg_and_its_console_says_so() {
    let twin = TestTwin::with(|config| config.accel = crate::Accel::Auto).await;
    twin.twin.accelerator.assume_kvm();
    assert_eq!(twin.twin.accelerator.name().await, "kvm");
    let id = twin.run(BIOS, "t3.nano", "");
    tokio::time::timeout(std::time::Duration::from_secs(120), twin.twin.accelerator.fallen())
        .await
        .unwrap();
    assert_eq!(twin.twin.accelerator.name().await, "tcg");
    let console = || {
        let xml = twin.call(&format!("Action=GetConsoleOutput&InstanceId={id}&Latest=true"));
        let output = all(&xml, "output").pop().unwrap_or_default();
        String::from_utf8(STANDARD.decode(output).unwrap()).unwrap()
    };
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(120);
    while console().matches("stand-in").count() < 2 {
        assert!(tokio::time::Instant::now() < deadline, "{}", console());
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert_eq!(console().matches("emulated (TCG)").count(), 1, "{}", console());
    assert_eq!(twin.states(&id), "running");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_but_kvm_is_wanted_a_guest_that_it_cannot_run_ends() {
    let twin = TestTwin::with(|config| config.accel = crate::Accel::Kvm).await;
    let id = twin.run(BIOS, "t3.nano", "");
    twin.wait(&id, "stopped").await;
    let xml = twin.call(&format!("Action=DescribeInstances&InstanceId.1={id}"));
    assert!(xml.contains("KVM cannot run this guest"), "{xml}");
}
