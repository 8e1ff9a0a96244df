//! Uploads to a store that lacks the bucket, has the object, or stalls.

use std::time::Duration;

use camino_tempfile::NamedUtf8TempFile;
use l4re_image::{Arch, Image, Kind};

use super::facts::{ami, prepared};
use super::server::{Asked, Reply, Server, accept, connect_with, found, refuse_object};
use crate::attempt::LaunchOptions;
use crate::error::CloudError;
use crate::event::Event;
use crate::multipart::sum;
use crate::plan::ImageFacts;
use crate::publish::PublishOptions;

fn image(size: usize) -> (NamedUtf8TempFile, Image) {
    let bytes: Vec<u8> = (0..size).map(|i| (i % 251) as u8).collect();
    let file = NamedUtf8TempFile::new().unwrap();
    std::fs::write(file.path(), &bytes).unwrap();
    let image = Image {
        path: file.path().to_owned(),
        arch: Arch::Arm64,
        kind: Kind::Efi,
        size: size as u64,
        sha256: sum(&bytes),
    };
    (file, image)
}

fn options() -> PublishOptions {
    PublishOptions { bucket: Some("pics".into()), ..PublishOptions::default() }
}

fn ok() -> Reply {
    Reply::Say(200, &[("etag", "\"e\"")], String::new())
}

fn store(asked: &Asked) -> Reply {
    match asked.method.as_str() {
        "HEAD" => Reply::Say(404, &[], String::new()),
        _ => ok(),
    }
}

#[tokio::test]
async fn three_round_trips_from_the_image_to_the_accepted_launch() {
    let server = Server::start(|asked, _| match asked.action() {
        "RunInstances" => accept("i-00000001"),
        "DescribeInstances" => found(&[]),
        _ => store(asked),
    })
    .await;
    let cloud = server.connect().await;
    let (_file, image) = image(1_500_000);
    let object = cloud.publish(&image, &options()).await.unwrap();
    let prepared = prepared(&["m7g.metal"], &[ami("arm64")]);
    let facts = ImageFacts::from(&image);
    cloud.launch(&prepared, &facts, &object, &LaunchOptions::default()).await.unwrap();
    // What comes after the accepted launch checks that the name is unique.
    assert_eq!(server.actions(), ["HEAD", "PUT", "RunInstances", "DescribeInstances"]);
    let put = &server.asked()[1];
    assert_eq!(put.path.split('?').next().unwrap(), format!("/pics/{}", object.key));
    assert_eq!((put.size, put.headers["if-none-match"].as_str()), (1_500_000, "*"));
    assert!(put.headers.contains_key("x-amz-checksum-sha256"));
    assert!(!put.headers.contains_key("x-amz-acl"));
}

#[tokio::test]
async fn an_unchanged_image_costs_one_request() {
    let server =
        Server::start(|_, _| Reply::Say(200, &[("x-amz-meta-l4re-sha256", "?")], String::new()))
            .await;
    let (_file, image) = image(0);
    let answer = Server::start({
        let sum = image.sha256.clone();
        let sum: &'static str = Box::leak(sum.into_boxed_str());
        let headers: &'static [(&str, &str)] =
            Box::leak(Box::new([("x-amz-meta-l4re-sha256", sum)]));
        move |_, _| Reply::Say(200, headers, String::new())
    })
    .await;
    let object = answer.connect().await.publish(&image, &options()).await.unwrap();
    assert!(object.reused);
    assert_eq!(answer.actions(), ["HEAD"]);
    // A foreign object under the key is replaced.
    let object = server.connect().await.publish(&image, &options()).await.unwrap();
    assert!(!object.reused);
    assert_eq!(server.actions(), ["HEAD", "PUT"]);
    assert!(!server.asked()[1].headers.contains_key("if-none-match"));
}

#[tokio::test]
async fn somebody_else_was_quicker() {
    let server = Server::start(|asked, _| match asked.method.as_str() {
        "PUT" => refuse_object(412, "PreconditionFailed"),
        _ => store(asked),
    })
    .await;
    let (_file, image) = image(10);
    assert!(server.connect().await.publish(&image, &options()).await.unwrap().reused);
}

#[tokio::test]
async fn no_such_bucket_is_named_or_made() {
    let answer = |asked: &Asked, before: usize| {
        let object = asked.path.contains("l4re/");
        match (asked.method.as_str(), object) {
            ("PUT", true) if before == 0 => refuse_object(404, "NoSuchBucket"),
            _ => store(asked),
        }
    };
    let server = Server::start(answer).await;
    let (_file, image) = image(10);
    let error = server.connect().await.publish(&image, &options()).await.unwrap_err();
    assert_eq!(error.to_string(), "bucket `pics` does not exist in eu-central-1");
    assert_eq!(server.actions(), ["HEAD", "PUT"]);

    let server = Server::start(answer).await;
    let making = PublishOptions { make_bucket: true, ..options() };
    let (cloud, told) = server.connect_telling().await;
    assert!(!cloud.publish(&image, &making).await.unwrap().reused);
    let made = Event::BucketMade { bucket: "pics".into() };
    assert!(told.lock().unwrap().contains(&made));
}

#[tokio::test]
async fn a_bucket_in_another_region_is_told_with_the_region() {
    let server = Server::start(|_, _| {
        Reply::Say(301, &[("x-amz-bucket-region", "us-west-2")], String::new())
    })
    .await;
    let (_file, image) = image(10);
    let error = server.connect().await.publish(&image, &options()).await.unwrap_err();
    assert_eq!(error.to_string(), "bucket `pics` is in us-west-2, not in eu-central-1");
}

#[tokio::test]
async fn a_forbidden_upload_ends_at_once() {
    let server = Server::start(|asked, _| match asked.method.as_str() {
        "HEAD" => Reply::Say(403, &[], String::new()),
        _ => refuse_object(403, "AccessDenied"),
    })
    .await;
    let (_file, image) = image(10);
    let error = server.connect().await.publish(&image, &options()).await.unwrap_err();
    assert_eq!(error.code(), "access-denied");
    assert_eq!(server.actions(), ["HEAD", "PUT"]);
}

#[tokio::test]
async fn an_upload_that_stalls_ends_and_was_not_silent() {
    let server = Server::start(|asked, _| match asked.method.as_str() {
        "PUT" => Reply::Hang,
        _ => store(asked),
    })
    .await;
    let (_file, image) = image(15 << 20);
    let (cloud, told) = server.connect_telling().await;
    let error = cloud.publish(&image, &options()).await.unwrap_err();
    assert_eq!(error.code(), "stalled", "{error}");
    let told = told.lock().unwrap();
    assert!(told.iter().any(|event| matches!(event, Event::UploadProgress { .. })));
}

#[tokio::test]
async fn a_store_that_never_answers_ends_and_was_not_silent() {
    let server = Server::start(|_, _| Reply::Hang).await;
    let (_file, image) = image(10);
    let (cloud, told) = server.connect_impatient().await;
    let error = cloud.publish(&image, &options()).await.unwrap_err();
    assert_eq!(error.code(), "timed-out", "{error}");
    let told = told.lock().unwrap();
    let waits = told.iter().filter(|event| matches!(event, Event::StoreAwaited { .. })).count();
    // Once in each of five seconds: but a busy machine has its own seconds.
    assert!(waits > 0);
}

#[tokio::test]
async fn an_image_whose_time_is_over_is_renewed_and_not_sent() {
    let (_file, image) = image(0);
    let sum: &'static str = Box::leak(image.sha256.clone().into_boxed_str());
    let over = "2026-01-01T00:00:00Z";
    let headers: &'static [(&str, &str)] =
        Box::leak(Box::new([("x-amz-meta-l4re-sha256", sum), ("x-amz-meta-l4re-expires", over)]));
    let server = Server::start(move |asked, _| match asked.method.as_str() {
        "HEAD" => Reply::Say(200, headers, String::new()),
        _ => Reply::Say(200, &[], "<CopyObjectResult/>".to_owned()),
    })
    .await;
    let object = server.connect().await.publish(&image, &options()).await.unwrap();
    assert!(object.reused);
    let asked = server.asked();
    assert_eq!(asked[1].method, "PUT");
    assert!(asked[1].headers["x-amz-copy-source"].starts_with("pics/l4re/"));
    assert_eq!(asked[1].headers["x-amz-metadata-directive"], "REPLACE");
    assert!(asked[1].headers["x-amz-meta-l4re-expires"].as_str() > over);
}

#[tokio::test]
async fn a_file_that_changed_is_not_uploaded() {
    let server = Server::start(|asked, _| store(asked)).await;
    let (file, image) = image(10);
    std::fs::write(file.path(), b"0123456789").unwrap();
    let error = server.connect().await.publish(&image, &options()).await.unwrap_err();
    assert!(matches!(error, CloudError::FileChanged { .. }));
    assert_eq!(server.actions(), ["HEAD"]);
}

fn multipart(asked: &Asked) -> Reply {
    let say = |text: &str| Reply::Say(200, &[("etag", "\"e\"")], text.to_owned());
    match asked.method.as_str() {
        "POST" if asked.path.contains("uploads") => say(
            "<InitiateMultipartUploadResult><UploadId>u1</UploadId></InitiateMultipartUploadResult>",
        ),
        "POST" => say("<CompleteMultipartUploadResult/>"),
        "DELETE" => Reply::Say(204, &[], String::new()),
        _ => store(asked),
    }
}

#[tokio::test]
async fn a_large_image_goes_in_parts() {
    let server = Server::start(|asked, _| multipart(asked)).await;
    let (_file, image) = image((20 << 20) + 1);
    let object = server.connect().await.publish(&image, &options()).await.unwrap();
    assert!(!object.reused);
    let mut parts: Vec<usize> =
        server.asked().iter().filter(|a| a.method == "PUT").map(|a| a.size).collect();
    parts.sort_unstable();
    assert_eq!(parts, [(4 << 20) + 1, 8 << 20, 8 << 20]);
    assert!(!server.actions().contains(&"DELETE".to_owned()));
}

#[tokio::test]
async fn a_part_that_stands_still_is_sent_once_more() {
    // The third part hangs the first time.
    let server = Server::start(|asked, before| match asked.method.as_str() {
        "PUT" if asked.path.contains("partNumber=3") && before < 3 => Reply::Hang,
        _ => multipart(asked),
    })
    .await;
    let (_file, image) = image((20 << 20) + 1);
    assert!(!server.connect().await.publish(&image, &options()).await.unwrap().reused);
    let sent = |asked: &&Asked| asked.path.contains("partNumber=3");
    assert_eq!(server.asked().iter().filter(sent).count(), 2);
    assert!(!server.actions().contains(&"DELETE".to_owned()));
}

#[tokio::test]
async fn a_part_that_stands_still_twice_ends_the_upload_and_leaves_nothing() {
    let server = Server::start(|asked, _| match asked.method.as_str() {
        "PUT" if asked.path.contains("partNumber=2") => Reply::Hang,
        _ => multipart(asked),
    })
    .await;
    let (_file, image) = image((20 << 20) + 1);
    let error = server.connect().await.publish(&image, &options()).await.unwrap_err();
    assert_eq!(error.code(), "stalled");
    assert!(error.to_string().contains("part 2 of l4re/"), "{error}");
    assert_eq!(server.actions().last().map(String::as_str), Some("DELETE"));
}

#[tokio::test]
async fn an_upload_that_is_dropped_is_aborted_all_the_same() {
    let server = Server::start(|asked, _| match asked.method.as_str() {
        "PUT" => Reply::Hang,
        _ => multipart(asked),
    })
    .await;
    let (_file, image) = image(17 << 20);
    let options = server.options();
    let unfinished = options.unfinished.clone();
    let (cloud, _) = connect_with(options).await;
    let publishing = PublishOptions { bucket: Some("pics".into()), ..PublishOptions::default() };
    let under_way = async {
        while !server.actions().iter().any(|action| action == "PUT") {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        published = cloud.publish(&image, &publishing) => panic!("{published:?}"),
        () = under_way => {}
    }
    unfinished.finish().await;
    assert_eq!(server.actions().last().map(String::as_str), Some("DELETE"));
}

#[tokio::test]
async fn a_multipart_upload_that_fails_is_aborted() {
    let server = Server::start(|asked, _| match asked.method.as_str() {
        "PUT" => refuse_object(403, "AccessDenied"),
        _ => multipart(asked),
    })
    .await;
    let (_file, image) = image(17 << 20);
    let error = server.connect().await.publish(&image, &options()).await.unwrap_err();
    assert_eq!(error.code(), "access-denied");
    assert_eq!(server.actions().last().map(String::as_str), Some("DELETE"));
}
