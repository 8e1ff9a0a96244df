//! EBS direct and what EC2 makes of its snapshots, call by call.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::answer;
use crate::ec2::tests::{all, launch};
use crate::fault::Fault;
use crate::fixture::TestTwin;
use crate::service::{Content, Rest};
use crate::state::{BLOCK_SIZE, Chain, ROOT, instance_disk};

type Headers<'a> = &'a [(&'static str, String)];

fn request(
    twin: &TestTwin,
    method: &str,
    uri: &str,
    headers: Headers<'_>,
    body: &[u8],
) -> Result<Rest, Fault> {
    let mut request = http::Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    let parts = request.body(()).unwrap().into_parts().0;
    answer(&twin.twin, &parts, body, jiff::Timestamp::now())
}

fn json_of(rest: Rest) -> Value {
    match rest.body {
        Content::Json(value) => value,
        Content::Bytes(_) => panic!("bytes"),
    }
}

fn start(twin: &TestTwin, body: Value) -> Result<String, Fault> {
    let rest = request(twin, "POST", "/snapshots", &[], body.to_string().as_bytes())?;
    Ok(json_of(rest)["SnapshotId"].as_str().unwrap().to_owned())
}

fn put(twin: &TestTwin, id: &str, index: u32, bytes: &[u8]) -> Result<Rest, Fault> {
    let headers = [
        ("x-amz-data-length", bytes.len().to_string()),
        ("x-amz-checksum", STANDARD.encode(Sha256::digest(bytes))),
        ("x-amz-checksum-algorithm", "SHA256".to_owned()),
    ];
    request(twin, "PUT", &format!("/snapshots/{id}/blocks/{index}"), &headers, bytes)
}

fn complete(twin: &TestTwin, id: &str, count: u32) -> Result<Rest, Fault> {
    let headers = [("x-amz-changedblockscount", count.to_string())];
    request(twin, "POST", &format!("/snapshots/completion/{id}"), &headers, b"")
}

fn get(twin: &TestTwin, uri: &str) -> Result<Rest, Fault> {
    request(twin, "GET", uri, &[], b"")
}

fn block(byte: u8) -> Vec<u8> {
    vec![byte; BLOCK_SIZE]
}

fn reason(result: Result<impl Sized, Fault>) -> &'static str {
    result.err().expect("a refusal").reason.expect("a reason")
}

/// A complete snapshot of a GiB with one block.
fn snapshot(twin: &TestTwin, byte: u8) -> String {
    let id = start(twin, json!({ "VolumeSize": 1 })).unwrap();
    put(twin, &id, 1, &block(byte)).unwrap();
    complete(twin, &id, 1).unwrap();
    id
}

fn register(name: &str, snapshot: &str, more: &str) -> String {
    format!(
        "Action=RegisterImage&Name={name}&Architecture=x86_64&VirtualizationType=hvm\
         &RootDeviceName=/dev/xvda&BlockDeviceMapping.1.DeviceName=/dev/xvda\
         &BlockDeviceMapping.1.Ebs.SnapshotId={snapshot}&{more}"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn blocks_are_checked_and_come_back_with_their_tokens() {
    let twin = TestTwin::new().await;
    let id = start(&twin, json!({ "VolumeSize": 1 })).unwrap();
    let uri = format!("/snapshots/{id}/blocks/0");
    let sum = STANDARD.encode(Sha256::digest(block(1)));
    let headers = |length: usize, sum: &str, algorithm: &str| {
        [
            ("x-amz-data-length", length.to_string()),
            ("x-amz-checksum", sum.to_owned()),
            ("x-amz-checksum-algorithm", algorithm.to_owned()),
        ]
    };
    for (headers, bytes, expected) in [
        (headers(BLOCK_SIZE, &sum, "SHA256"), block(2), "INVALID_BLOCK"),
        (
            headers(3, &STANDARD.encode(Sha256::digest("abc")), "SHA256"),
            b"abc".to_vec(),
            "INVALID_BLOCK",
        ),
        (headers(BLOCK_SIZE, &sum, "MD5"), block(1), "INVALID_PARAMETER_VALUE"),
    ] {
        assert_eq!(reason(request(&twin, "PUT", &uri, &headers, &bytes)), expected);
    }
    assert_eq!(reason(put(&twin, &id, 2048, &block(1))), "INVALID_BLOCK");
    assert_eq!(reason(put(&twin, "snap-0", 0, &block(1))), "SNAPSHOT_NOT_FOUND");
    put(&twin, &id, 2047, &block(7)).unwrap();
    put(&twin, &id, 3, &block(0)).unwrap();
    put(&twin, &id, 3, &block(0)).unwrap();
    assert_eq!(reason(get(&twin, &format!("/snapshots/{id}/blocks"))), "INVALID_SNAPSHOT_ID");
    assert_eq!(reason(complete(&twin, &id, 3)), "INVALID_PARAMETER_VALUE");
    complete(&twin, &id, 2).unwrap();
    assert_eq!(reason(put(&twin, &id, 1, &block(1))), "INVALID_SNAPSHOT_ID");
    assert_eq!(reason(complete(&twin, &id, 2)), "INVALID_SNAPSHOT_ID");
    let list = json_of(get(&twin, &format!("/snapshots/{id}/blocks")).unwrap());
    let indices: Vec<_> =
        list["Blocks"].as_array().unwrap().iter().map(|b| b["BlockIndex"].as_u64()).collect();
    assert_eq!(indices, [Some(3), Some(2047)]);
    let token = |n: usize| -> String {
        let text = list["Blocks"][n]["BlockToken"].as_str().unwrap();
        form_urlencoded::byte_serialize(text.as_bytes()).collect()
    };
    let read = |index: u32, token: String| {
        get(&twin, &format!("/snapshots/{id}/blocks/{index}?blockToken={token}"))
    };
    let Content::Bytes(bytes) = read(2047, token(1)).unwrap().body else { panic!() };
    assert!(bytes == block(7));
    assert_eq!(reason(read(2047, token(0))), "INVALID_BLOCK_TOKEN");
    assert_eq!(reason(read(0, token(0))), "INVALID_BLOCK_TOKEN");
}

#[tokio::test(flavor = "multi_thread")]
async fn starting_is_checked_idempotent_and_ends_in_an_error_when_it_takes_too_long() {
    let twin = TestTwin::new().await;
    let size = |size: u64| start(&twin, json!({ "VolumeSize": size }));
    assert_eq!(reason(size(0)), "INVALID_VOLUME_SIZE");
    assert_eq!(reason(size(65_537)), "INVALID_VOLUME_SIZE");
    let bad = |more: Value| {
        let mut body = json!({ "VolumeSize": 1 });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        reason(start(&twin, body))
    };
    assert_eq!(bad(json!({ "Encrypted": true })), "INVALID_CUSTOMER_KEY");
    assert_eq!(bad(json!({ "Timeout": 9 })), "INVALID_PARAMETER_VALUE");
    assert_eq!(bad(json!({ "ParentSnapshotId": "snap-0" })), "SNAPSHOT_NOT_FOUND");
    assert_eq!(bad(json!({ "Tags": [{ "Key": "aws:x", "Value": "" }] })), "INVALID_TAG");
    let token = json!({ "VolumeSize": 1, "ClientToken": "t", "Timeout": 10 });
    let id = start(&twin, token.clone()).unwrap();
    assert_eq!(start(&twin, token).unwrap(), id);
    let other = start(&twin, json!({ "VolumeSize": 2, "ClientToken": "t" })).unwrap_err();
    assert_eq!(other.code, "ConflictException");
    let later = jiff::Timestamp::now() + jiff::SignedDuration::from_mins(11);
    let parts = http::Request::post(format!("/snapshots/completion/{id}"))
        .header("x-amz-changedblockscount", "0")
        .body(())
        .unwrap()
        .into_parts()
        .0;
    assert_eq!(reason(answer(&twin.twin, &parts, b"", later)), "INVALID_SNAPSHOT_ID");
    let form = format!("Action=DescribeSnapshots&SnapshotId.1={id}");
    let (_, xml) = crate::ec2::answer(&twin.twin, form.as_bytes(), later);
    assert_eq!(all(&xml, "status"), ["error"]);
    assert_eq!(all(&twin.call(&form), "status"), ["pending"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_child_has_its_parents_blocks_and_differs_by_what_was_changed() {
    let mut twin = TestTwin::new().await;
    let parent = snapshot(&twin, 1);
    let body = json!({ "VolumeSize": 2, "ParentSnapshotId": parent,
                       "Tags": [{ "Key": "k", "Value": "v" }] });
    let child = start(&twin, body).unwrap();
    put(&twin, &child, 4095, &block(9)).unwrap();
    complete(&twin, &child, 1).unwrap();
    twin.reopen().await;
    let indices = |uri: String, list: &str| -> Vec<u64> {
        let body = json_of(get(&twin, &uri).unwrap());
        let blocks = body[list].as_array().unwrap();
        blocks.iter().map(|block| block["BlockIndex"].as_u64().unwrap()).collect()
    };
    assert_eq!(indices(format!("/snapshots/{child}/blocks"), "Blocks"), [1, 4095]);
    let from = format!("/snapshots/{child}/blocks?startingBlockIndex=2");
    assert_eq!(indices(from, "Blocks"), [4095]);
    let changed = format!("/snapshots/{child}/changedblocks?firstSnapshotId={parent}");
    assert_eq!(indices(changed, "ChangedBlocks"), [4095]);
    assert_eq!(indices(format!("/snapshots/{child}/changedblocks"), "ChangedBlocks"), [1, 4095]);
    let stranger = snapshot(&twin, 2);
    let unrelated = format!("/snapshots/{child}/changedblocks?firstSnapshotId={stranger}");
    assert_eq!(reason(get(&twin, &unrelated)), "UNRELATED_SNAPSHOTS");
    let few = format!("/snapshots/{child}/blocks?maxResults=99");
    assert_eq!(reason(get(&twin, &few)), "INVALID_PARAMETER_VALUE");
    let page = format!("/snapshots/{child}/blocks?pageToken=zz");
    assert_eq!(reason(get(&twin, &page)), "INVALID_PAGE_TOKEN");
    let tags =
        twin.call("Action=DescribeTags&Filter.1.Name=resource-type&Filter.1.Value.1=snapshot");
    assert_eq!(all(&tags, "resourceId"), std::slice::from_ref(&child));
    twin.call(&format!("Action=DeleteTags&ResourceId.1={child}&Tag.1.Key=k"));
    twin.reopen().await;
    assert!(!twin.call("Action=DescribeTags").contains(&child));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_is_registered_only_as_it_could_boot() {
    let twin = TestTwin::new().await;
    let id = snapshot(&twin, 1);
    let pending = start(&twin, json!({ "VolumeSize": 1 })).unwrap();
    let cases = [
        (register("x", &id, ""), "InvalidAMIName.Malformed"),
        (register("a-name", "snap-0123456789abcdef0", ""), "InvalidSnapshot.NotFound"),
        (register("a-name", &pending, ""), "IncorrectState"),
        (register("a-name", &id, "BootMode=bios"), "InvalidParameterValue"),
        (register("a-name", &id, "ImdsSupport=v1"), "InvalidParameterValue"),
        (register("a-name", &id, "RootDeviceName=/dev/sdb"), "InvalidBlockDeviceMapping"),
        (register("a-name", &id, "Architecture=i386"), "InvalidParameterValue"),
        (
            register("a-name", &id, "Architecture=arm64&BootMode=legacy-bios"),
            "InvalidParameterCombination",
        ),
        (register("a-name", &id, "DryRun=true"), "DryRunOperation"),
        ("Action=RegisterImage&Name=a-name".to_owned(), "InvalidParameterValue"),
    ];
    for (form, code) in cases {
        assert_eq!(twin.code(&form), code, "{form}");
    }
    let image =
        all(&twin.call(&register("a-name", &id, "BootMode=uefi&EnaSupport=true")), "imageId");
    assert_eq!(twin.code(&register("a-name", &id, "")), "InvalidAMIName.Duplicate");
    let shown = twin.call(&format!("Action=DescribeImages&ImageId.1={}", image[0]));
    for (name, value) in [
        ("bootMode", "uefi"),
        ("rootDeviceName", "/dev/xvda"),
        ("snapshotId", id.as_str()),
        ("imageState", "available"),
        ("enaSupport", "true"),
    ] {
        assert_eq!(all(&shown, name), [value], "{shown}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_keeps_its_disk_when_its_image_and_snapshot_are_gone() {
    let mut twin = TestTwin::new().await;
    let id = snapshot(&twin, 5);
    let image = all(&twin.call(&register("a-name", &id, "ImdsSupport=v2.0")), "imageId").remove(0);
    let delete = format!("Action=DeleteSnapshot&SnapshotId={id}");
    assert_eq!(twin.code(&delete), "InvalidSnapshot.InUse");
    twin.reopen().await;
    let instance = twin.run(&image, "t3.nano", "");
    let shown = twin.call(&format!("Action=DescribeInstances&InstanceId.1={instance}"));
    assert_eq!(all(&shown, "rootDeviceName"), ["/dev/xvda"]);
    // What the AMI asks for.
    assert_eq!(all(&shown, "httpTokens"), ["required"]);
    twin.call(&format!("Action=DeregisterImage&ImageId={image}"));
    twin.call(&delete);
    assert_eq!(twin.code(&delete), "InvalidSnapshot.NotFound");
    assert_eq!(twin.code(&launch(&image, "t3.nano", "")), "InvalidAMIID.NotFound");
    twin.wait(&instance, "running").await;
    let dir = twin.twin.store.instance_dir(&instance);
    let disk = fs_err::read(instance_disk(&dir, ROOT, 1).unwrap()).unwrap();
    assert!(disk[BLOCK_SIZE..2 * BLOCK_SIZE] == block(5));
    twin.call(&format!("Action=StopInstances&InstanceId.1={instance}&SkipOsShutdown=true"));
    twin.wait(&instance, "stopped").await;
    twin.call(&format!("Action=StartInstances&InstanceId.1={instance}"));
    twin.wait(&instance, "running").await;
    twin.call(&format!("Action=TerminateInstances&InstanceId.1={instance}&SkipOsShutdown=true"));
    twin.wait(&instance, "terminated").await;
    // Its files go when everybody may know that it has ended.
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(120);
    while dir.join("root.img").exists() {
        assert!(tokio::time::Instant::now() < deadline);
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn images_are_copied_with_their_content_and_deregistered_with_their_snapshots() {
    let mut twin = TestTwin::with(|config| {
        config.timing.snapshot = std::time::Duration::from_millis(300);
    })
    .await;
    let id = snapshot(&twin, 5);
    let wait = |form: String, name: &'static str, value: &'static str| {
        let twin = &twin;
        async move {
            let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(120);
            while all(&twin.call(&form), name) != [value] {
                assert!(tokio::time::Instant::now() < deadline, "{form}");
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        }
    };
    wait(format!("Action=DescribeSnapshots&SnapshotId.1={id}"), "status", "completed").await;
    let image = all(&twin.call(&register("a-name", &id, "")), "imageId").remove(0);
    let copy = |name: &str, region: &str| {
        format!(
            "Action=CopyImage&SourceImageId={image}&SourceRegion={region}&Name={name}\
             &ClientToken=c&TagSpecification.1.ResourceType=image&TagSpecification.1.Tag.1.Key=k"
        )
    };
    assert_eq!(twin.code(&copy("b-name", "us-east-1")), "InvalidRequest");
    let second = all(&twin.call(&copy("b-name", "eu-central-1")), "imageId").remove(0);
    assert_eq!(all(&twin.call(&copy("b-name", "eu-central-1")), "imageId"), [second.as_str()]);
    assert_eq!(twin.code(&copy("c-name", "eu-central-1")), "IdempotentParameterMismatch");
    assert_eq!(twin.code(&launch(&second, "t3.nano", "")), "InvalidAMIID.Unavailable");
    let describe = format!("Action=DescribeImages&ImageId.1={second}");
    wait(describe.clone(), "imageState", "available").await;
    let shown = twin.call(&describe);
    assert_eq!(all(&shown, "sourceImageId"), [image.as_str()]);
    let copied = all(&shown, "snapshotId").remove(0);
    let list = json_of(get(&twin, &format!("/snapshots/{copied}/blocks")).unwrap());
    assert_eq!(list["Blocks"][0]["BlockIndex"], 1);
    let gone = twin
        .call(&format!("Action=DeregisterImage&ImageId={image}&DeleteAssociatedSnapshots=true"));
    assert_eq!(all(&gone, "returnCode"), ["success"]);
    // The copy has its bytes still.
    twin.run(&second, "t3.nano", "");
    assert_eq!(twin.code("Action=DeregisterImage&ImageId=ami-0172e86000000b105"), "AuthFailure");
    twin.call("Action=DeregisterImage&ImageId=ami-0172e86000000efe1");
    twin.reopen().await;
    let own = all(&twin.call("Action=DescribeImages&Owner.1=self"), "imageId");
    assert_eq!(own, [second]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_of_what_the_twin_plays_is_played_and_so_is_what_is_made_of_its_snapshot() {
    let twin = TestTwin::new().await;
    let played = twin.call(
        "Action=CopyImage&SourceImageId=ami-0172e86000000b105&SourceRegion=eu-central-1&Name=ipxe",
    );
    let played = all(&played, "imageId").remove(0);
    let describe = format!("Action=DescribeImages&ImageId.1={played}");
    let snapshot = all(&twin.call(&describe), "snapshotId").remove(0);
    let made = all(&twin.call(&register("again", &snapshot, "")), "imageId").remove(0);
    let other = "&BootMode=uefi";
    let empty = all(&twin.call(&register("empty", &snapshot, other)), "imageId").remove(0);
    let chain = |id: &str| {
        let state = twin.twin.store.lock();
        state.images.iter().find(|image| image.id == id).unwrap().chain
    };
    assert_eq!([&*played, &made, &empty].map(chain), [Chain::Bios, Chain::Bios, Chain::Disk]);
}
