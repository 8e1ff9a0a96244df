//! The client against moto 5.2.5, an EC2 and S3 that somebody else wrote, and the boot plan
//! over the whole table of instance types that it ships.
//!
//! `L4RE_TEST_VENV` names a virtual environment with moto's server (`cargo xtask test` makes
//! one). Without it these tests are skipped, but under CI they fail.

#![expect(clippy::unwrap_used, reason = "a test's helpers fail as the test does")]
#![expect(clippy::print_stderr, reason = "who skips a test should see that it was")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use camino::Utf8PathBuf;
use camino_tempfile::{NamedUtf8TempFile, Utf8TempDir};
use l4re_cloud::{
    AmiFacts, Chain, Cloud, CloudError, ConnectOptions, Endpoint, GcOptions, ImageFacts, Instance,
    InstanceFilter, InstanceState, InstanceTypeFacts, LaunchOptions, LeftoverKind, PlanOptions,
    PrepareOptions, PublishOptions, Timeouts, best_kind, plan,
};
use l4re_image::{Arch, Image, Kind};
use sha2::{Digest, Sha256};

const REGION: &str = "us-east-1";

/// The official pair as they are registered, and an own UEFI one.
const AMIS: &str = r#"[
  {"ami_id": "ami-00000001", "state": "available", "public": true, "owner_id": "833372943033",
   "architecture": "arm64", "name": "iPXE (2026-08-01) (arm64)", "virtualization_type": "hvm",
   "hypervisor": "xen", "boot_mode": "uefi", "creation_date": "2026-08-01T03:00:00.000Z"},
  {"ami_id": "ami-00000002", "state": "available", "public": true, "owner_id": "833372943033",
   "architecture": "x86_64", "name": "iPXE (2026-08-01) (x86_64)", "virtualization_type": "hvm",
   "hypervisor": "xen", "boot_mode": "legacy-bios", "creation_date": "2026-08-01T03:00:00.000Z"},
  {"ami_id": "ami-00000003", "state": "available", "public": true, "owner_id": "833372943033",
   "architecture": "x86_64", "name": "ipxetest (2026-08-02) (x86_64)", "virtualization_type": "hvm",
   "hypervisor": "xen", "boot_mode": "legacy-bios", "creation_date": "2026-08-02T03:00:00.000Z"},
  {"ami_id": "ami-00000004", "state": "available", "public": false, "owner_id": "123456789012",
   "architecture": "x86_64", "name": "l4re-ipxe", "virtualization_type": "hvm",
   "hypervisor": "xen", "boot_mode": "uefi", "creation_date": "2026-08-01T03:00:00.000Z",
   "tags": {"l4re:role": "ipxe"}}
]"#;

/// moto's server; ends when dropped.
struct Moto {
    handle: duct::Handle,
    url: String,
    _dir: Utf8TempDir,
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.handle.kill();
        let _ = self.handle.wait();
    }
}

impl Moto {
    /// `None` if there is no moto here, which CI does not forgive.
    fn start() -> Option<Self> {
        let Some(program) = moto_server() else {
            assert!(!is_ci(), "L4RE_TEST_VENV names no virtual environment with moto_server");
            eprintln!("skipped: L4RE_TEST_VENV is not set (cargo xtask test sets it)");
            return None;
        };
        let dir = Utf8TempDir::new().unwrap();
        let amis = dir.path().join("amis.json");
        std::fs::write(&amis, AMIS).unwrap();
        // Dies with this thread even if it is aborted. It takes a port that is free and says
        // which: one that was looked for before could be another's by then.
        let argv = ["--pdeathsig", "KILL", program.as_str(), "-H", "127.0.0.1", "-p", "0"];
        let said = dir.path().join("said");
        let handle = duct::cmd("setpriv", argv)
            .env("MOTO_AMIS_PATH", &amis)
            .stderr_to_stdout()
            .stdout_path(&said)
            .unchecked()
            .start()
            .unwrap();
        let mut moto = Self { handle, url: String::new(), _dir: dir };
        let deadline = Instant::now() + Duration::from_secs(180);
        while moto.url.is_empty() {
            let text = std::fs::read_to_string(&said).unwrap_or_default();
            assert!(moto.handle.try_wait().unwrap().is_none(), "moto_server ended: {text}");
            assert!(Instant::now() < deadline, "moto_server does not listen: {text}");
            let whole = text.split_once("Running on ").and_then(|(_, rest)| rest.split_once('\n'));
            moto.url = whole.map_or("", |(url, _)| url.trim()).to_owned();
            std::thread::sleep(Duration::from_millis(50));
        }
        Some(moto)
    }

    fn options(&self) -> ConnectOptions {
        ConnectOptions {
            endpoint: Some(Endpoint {
                url: self.url.clone(),
                access_key: "AKIAIOSFODNN7EXAMPLE".into(),
                secret_key: "secret".into(),
                session_token: None,
                region: REGION.into(),
            }),
            timeouts: Timeouts {
                poll: Duration::from_millis(50),
                attempts: 2,
                // Not what is tried here: moto takes what the machine gives it.
                attempt: Duration::from_secs(120),
                operation: Duration::from_secs(300),
                ..Timeouts::default()
            },
            events: Arc::new(|_| {}),
            ..ConnectOptions::default()
        }
    }

    async fn connect(&self) -> Cloud {
        Cloud::connect(self.options()).await.unwrap()
    }
}

#[expect(clippy::disallowed_methods, reason = "how the test is told where moto is")]
fn moto_server() -> Option<Utf8PathBuf> {
    let venv = std::env::var("L4RE_TEST_VENV").ok()?;
    Some(Utf8PathBuf::from(venv).join("bin/moto_server")).filter(|path| path.exists())
}

#[expect(clippy::disallowed_methods, reason = "a test that is skipped in CI proves nothing")]
fn is_ci() -> bool {
    std::env::var("CI").is_ok_and(|ci| ci == "true")
}

fn image(size: usize, arch: Arch, kind: Kind) -> (NamedUtf8TempFile, Image) {
    let bytes: Vec<u8> = (0..size).map(|i| (i % 253) as u8).collect();
    let file = NamedUtf8TempFile::new().unwrap();
    std::fs::write(file.path(), &bytes).unwrap();
    let image = Image {
        path: file.path().to_owned(),
        arch,
        kind,
        size: size as u64,
        sha256: hex::encode(Sha256::digest(&bytes)),
    };
    (file, image)
}

/// Fetches as iPXE does: GET with no header but Host.
fn fetch(url: &str) -> Vec<u8> {
    let (host, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    write!(stream, "GET /{path} HTTP/1.0\r\nHost: {host}\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let end = answer.windows(4).position(|w| w == b"\r\n\r\n").unwrap();
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    assert!(head.lines().next().unwrap().contains("200"), "{head}");
    answer.split_off(end + 4)
}

#[tokio::test]
async fn an_image_is_published_once_and_fetched_by_its_url() {
    let Some(moto) = Moto::start() else { return };
    let cloud = moto.connect().await;
    for size in [100_000, (17 << 20) + 5] {
        let (file, image) = image(size, Arch::Arm64, Kind::Efi);
        let mut options = PublishOptions::default();
        if size == 100_000 {
            let error = cloud.publish(&image, &options).await.unwrap_err();
            let CloudError::NoSuchBucket { bucket, .. } = &error else { panic!("{error}") };
            assert_eq!(bucket, "l4re-123456789012-us-east-1");
            options.make_bucket = true;
        }
        let object = cloud.publish(&image, &options).await.unwrap();
        assert!(!object.reused);
        assert_eq!(object.key, format!("l4re/{}/bootaa64.efi", image.sha256));
        assert!(fetch(&object.url) == std::fs::read(file.path()).unwrap());
        assert!(cloud.publish(&image, &options).await.unwrap().reused);
    }
}

#[tokio::test]
async fn an_instance_lives_from_launch_to_termination() {
    let Some(moto) = Moto::start() else { return };
    let cloud = moto.connect().await;
    let (_file, image) = image(1000, Arch::X86_64, Kind::Efi);
    let making = PublishOptions { make_bucket: true, ..PublishOptions::default() };
    let options = PrepareOptions {
        name: "hello".into(),
        types: vec!["c7i-flex.large".into(), "t3.nano".into()],
        ..PrepareOptions::default()
    };
    let (prepared, object) =
        tokio::try_join!(cloud.prepare(&options), cloud.publish(&image, &making)).unwrap();
    assert_eq!(prepared.account.imds_v2_enforced, None);
    assert!(prepared.places.iter().all(|place| place.subnet.is_some()));
    let facts = ImageFacts::from(&image);
    let chosen = prepared.plan(&facts, &PlanOptions::default()).unwrap();
    assert_eq!((chosen.chain, chosen.ami.id.as_str()), (Chain::OwnEfi, "ami-00000004"));

    let launch =
        LaunchOptions { expires: "2030-01-01T00:00:00Z".parse().ok(), ..LaunchOptions::default() };
    let attempts =
        l4re_cloud::attempts(&prepared, &facts, &object, &launch, jiff::Timestamp::now());
    cloud.launch_permitted(&attempts.unwrap()[0]).await.unwrap();
    let launched = cloud.launch(&prepared, &facts, &object, &launch).await.unwrap();
    assert!(!launched.adopted);
    let id = launched.instance.id;

    let error = cloud.launch(&prepared, &facts, &object, &launch).await;
    assert_eq!(error.unwrap_err().code(), "already-running");
    let second = cloud.prepare(&options).await.unwrap();
    assert_eq!(second.running.as_ref().map(|running| running.id.as_str()), Some(id.as_str()));
    let adopting = LaunchOptions { adopt: true, ..launch };
    assert!(cloud.launch(&second, &facts, &object, &adopting).await.unwrap().adopted);

    check_life(&cloud, &id, &image).await;

    let third = cloud.prepare(&options).await.unwrap();
    // moto makes a second instance under the same token; the client removed it again.
    assert!(third.running.is_none() && third.last_dead.is_some());
}

async fn check_life(cloud: &Cloud, id: &str, image: &Image) {
    const LIMIT: Duration = Duration::from_secs(120);
    let instance = cloud.wait_for(id, InstanceState::Running, LIMIT).await.unwrap();
    assert_eq!(instance.name.as_deref(), Some("hello"));
    assert_eq!(instance.image.as_deref(), Some(image.sha256.as_str()));
    assert_eq!(instance.expires, "2030-01-01T00:00:00Z".parse().ok());
    assert_eq!(instance.owner.as_deref(), Some("moto"));
    assert_eq!(cloud.list(&InstanceFilter::default()).await.unwrap().len(), 1);
    assert_eq!(cloud.find("hello").await.unwrap().id, id);
    assert_eq!(cloud.find(id).await.unwrap().id, id);
    assert!(!cloud.console_output(id, true).await.unwrap().is_empty());
    assert_eq!(cloud.serial_status().await.unwrap().enabled, None);
    let error = cloud.push_serial_key(id, &format!("ssh-ed25519 {}", "A".repeat(90))).await;
    assert_eq!(error.unwrap_err().code(), "unsupported-call");
    cloud.reboot(&instance).await.unwrap();
    cloud.stop(&instance).await.unwrap();
    cloud.wait_for(id, InstanceState::Stopped, LIMIT).await.unwrap();
    cloud.start(&instance).await.unwrap();
    cloud.wait_for(id, InstanceState::Running, LIMIT).await.unwrap();
    cloud.terminate(&instance).await.unwrap();
    cloud.wait_for(id, InstanceState::Terminated, LIMIT).await.unwrap();
    assert_eq!(cloud.find("hello").await.unwrap_err().code(), "no-such-instance");
    assert!(cloud.list(&InstanceFilter::default()).await.unwrap().is_empty());
}

/// moto's EC2, for what the client itself never makes.
fn raw_ec2(moto: &Moto) -> aws_sdk_ec2::Client {
    let keys = aws_sdk_ec2::config::Credentials::new("a", "b", None, None, "test");
    let config = aws_sdk_ec2::Config::builder()
        .behavior_version_latest()
        .region(aws_sdk_ec2::config::Region::new(REGION))
        .credentials_provider(keys)
        .endpoint_url(&moto.url)
        .build();
    aws_sdk_ec2::Client::from_conf(config)
}

/// A volume and its snapshot that expired long ago, and a volume that is somebody else's.
async fn litter(moto: &Moto) -> [String; 2] {
    use aws_sdk_ec2::types::{ResourceType, Tag, TagSpecification};
    let ec2 = raw_ec2(moto);
    let tags = |resource| {
        let pairs = [("l4re:name", "old"), ("l4re:expires", "2026-01-01T00:00:00Z")];
        let tags = pairs.map(|(key, value)| Tag::builder().key(key).value(value).build());
        TagSpecification::builder().resource_type(resource).set_tags(Some(tags.to_vec())).build()
    };
    let zone = format!("{REGION}a");
    let volume = ec2.create_volume().availability_zone(&zone).size(1);
    volume.clone().send().await.unwrap();
    let ours = volume.tag_specifications(tags(ResourceType::Volume)).send().await.unwrap();
    let volume = ours.volume_id.unwrap();
    let snapshot = ec2.create_snapshot().volume_id(&volume);
    let snapshot = snapshot.tag_specifications(tags(ResourceType::Snapshot)).send().await.unwrap();
    [volume, snapshot.snapshot_id.unwrap()]
}

async fn launch_until(cloud: &Cloud, name: &str, image: &Image, expires: &str) -> Instance {
    let options = PrepareOptions {
        name: name.into(),
        types: vec!["m7g.metal".into()],
        ..PrepareOptions::default()
    };
    let making = PublishOptions { make_bucket: true, ..PublishOptions::default() };
    let (prepared, object) =
        tokio::try_join!(cloud.prepare(&options), cloud.publish(image, &making)).unwrap();
    let launch = LaunchOptions {
        expires: expires.parse().ok(),
        tags: vec![l4re_cloud::schedule_tag()],
        ..LaunchOptions::default()
    };
    let facts = ImageFacts::from(image);
    cloud.launch(&prepared, &facts, &object, &launch).await.unwrap().instance
}

/// Kinds and ids of what has expired at a time.
async fn expired(cloud: &Cloud, at: &str) -> Vec<(LeftoverKind, String)> {
    let found = cloud.leftovers(&GcOptions::default(), at.parse().unwrap()).await.unwrap();
    found.into_iter().map(|leftover| (leftover.kind, leftover.id)).collect()
}

#[tokio::test]
async fn what_is_past_its_expiry_goes_and_nothing_else() {
    let Some(moto) = Moto::start() else { return };
    let cloud = moto.connect().await;
    let (_file, image) = image(1000, Arch::Arm64, Kind::Efi);
    let old = launch_until(&cloud, "old", &image, "2026-01-01T00:00:00Z").await;
    let young = launch_until(&cloud, "young", &image, "2030-01-01T00:00:00Z").await;
    let [volume, snapshot] = litter(&moto).await;
    let role = "arn:aws:iam::123456789012:role/l4re-expiry";
    let end = "2029-01-01T00:00:00Z".parse().unwrap();
    for _ in 0..2 {
        // The second time it is there, and set anew.
        cloud.schedule_end(&old, end, role).await.unwrap();
    }
    let stranger = Instance { id: "i-0123456789abcdef0".into(), ..young.clone() };
    cloud.schedule_end(&stranger, end, role).await.unwrap();
    assert!(cloud.schedule_end(&old, end, "l4re-expiry").await.is_err());

    // By then the object's own time is over, too; but `young` boots from it.
    let later = "2029-06-01T00:00:00Z";
    let orphan = format!("l4re-{}", stranger.id);
    let mut wanted = vec![
        (LeftoverKind::Instance, old.id.clone()),
        (LeftoverKind::Schedule, orphan),
        (LeftoverKind::Snapshot, snapshot),
        (LeftoverKind::Volume, volume),
    ];
    assert_eq!(expired(&cloud, later).await, wanted);
    let mine = GcOptions { owner: Some("nobody".into()), ..GcOptions::default() };
    assert!(cloud.leftovers(&mine, later.parse().unwrap()).await.unwrap().is_empty());
    for leftover in cloud.leftovers(&GcOptions::default(), later.parse().unwrap()).await.unwrap() {
        cloud.collect(&leftover).await.unwrap();
        // Somebody else may have been quicker.
        cloud.collect(&leftover).await.unwrap();
    }
    assert_eq!(expired(&cloud, later).await, []);

    cloud.terminate(&young).await.unwrap();
    let object = format!("l4re/{}/bootaa64.efi", image.sha256);
    wanted = vec![(LeftoverKind::Object, object)];
    assert_eq!(expired(&cloud, later).await, wanted);
    // Who wants it again renews it, without sending it.
    assert_eq!(expired(&cloud, "2026-01-01T00:00:00Z").await, []);
    for leftover in cloud.leftovers(&GcOptions::default(), later.parse().unwrap()).await.unwrap() {
        cloud.collect(&leftover).await.unwrap();
    }
    assert_eq!(expired(&cloud, later).await, []);
}

#[tokio::test]
async fn unknown_types_are_left_out_and_none_is_an_error() {
    let Some(moto) = Moto::start() else { return };
    let cloud = moto.connect().await;
    let types = ["m7g.metal", "x99.huge"].map(ToOwned::to_owned);
    let found = cloud.instance_types(&types).await.unwrap();
    assert_eq!(found.iter().map(|facts| facts.name.as_str()).collect::<Vec<_>>(), ["m7g.metal"]);
    let options = PrepareOptions {
        name: "hello".into(),
        types: vec!["x99.huge".into()],
        ..PrepareOptions::default()
    };
    assert_eq!(cloud.prepare(&options).await.unwrap_err().code(), "not-offered");
}

/// All types that moto has, through the client.
async fn whole_table(moto: &Moto, cloud: &Cloud) -> Vec<InstanceTypeFacts> {
    let pages = raw_ec2(moto)
        .describe_instance_types()
        .into_paginator()
        .items()
        .send()
        .collect::<Result<Vec<_>, _>>();
    let names = pages.await.unwrap().into_iter().filter_map(|info| info.instance_type);
    let names: Vec<String> = names.map(|name| name.as_str().to_owned()).collect();
    cloud.instance_types(&names).await.unwrap()
}

/// A plan must fit the machine; a refusal must leave a way for every machine L4Re runs on.
fn check_machine(machine: &InstanceTypeFacts, amis: &[AmiFacts]) -> Vec<(Arch, Kind, String)> {
    let mut results = Vec::new();
    for arch in [Arch::X86_64, Arch::Arm64] {
        for kind in [Kind::Efi, Kind::Elf] {
            let image = ImageFacts { arch, kind, size: None, sha256: None, wants_el2: None };
            let account = l4re_cloud::AccountFacts::default();
            let answer = plan(&image, machine, amis, &account, &PlanOptions::default());
            if let Ok(plan) = &answer {
                assert!(plan.ami.starts(machine), "{plan:?}");
                assert!(machine.archs.contains(&arch) && plan.ami.arch == arch, "{plan:?}");
                assert_eq!(plan.ami.is_uefi(), kind == Kind::Efi, "{plan:?}");
            }
            if machine.archs.contains(&arch) && best_kind(arch, machine, amis).kind == kind {
                assert!(answer.is_ok(), "{}: {answer:?}", machine.name);
            }
            let word = answer.map_or_else(|e| e.code().to_owned(), |p| format!("{:?}", p.chain));
            results.push((arch, kind, word));
        }
    }
    results
}

#[tokio::test]
async fn every_type_has_a_plan_or_a_refusal_that_the_facts_bear_out() {
    let Some(moto) = Moto::start() else { return };
    let cloud = moto.connect().await;
    let amis = cloud.amis().await.unwrap();
    // The test image of the same publisher is not among them.
    assert_eq!(amis.len(), 3);
    let table = whole_table(&moto, &cloud).await;
    let results: Vec<_> = table.iter().flat_map(|machine| check_machine(machine, &amis)).collect();
    let count = |arch, kind, word: &str| {
        let wanted = (arch, kind, word.to_owned());
        results.iter().filter(|result| **result == wanted).count()
    };
    // Of 1,395 types: 418 arm64; 969 x86_64, of which 790 have UEFI; 9 Macs.
    assert_eq!(table.len(), 1395);
    assert_eq!(count(Arch::Arm64, Kind::Efi, "OfficialEfi"), 418);
    assert_eq!(count(Arch::Arm64, Kind::Elf, "no-bios"), 418);
    assert_eq!(count(Arch::X86_64, Kind::Elf, "OfficialBios"), 968);
    assert_eq!(count(Arch::X86_64, Kind::Efi, "OwnEfi"), 790);
    assert_eq!(count(Arch::X86_64, Kind::Efi, "no-uefi"), 178);
    assert_eq!(count(Arch::X86_64, Kind::Efi, "arch-mismatch"), 427);
    assert_eq!(table.iter().filter(|machine| machine.nested_virtualization).count(), 166);
}
