//! Schedules through their API, and what they do to instances.

use serde_json::{Value, json};

use super::answer;
use crate::fault::Fault;
use crate::fixture::TestTwin;
use crate::service::Content;

const BIOS: &str = "ami-0172e86000000b105";

fn ask(twin: &TestTwin, method: &str, uri: &str, body: &Value) -> Result<Value, Fault> {
    let parts = http::Request::builder().method(method).uri(uri).body(()).unwrap().into_parts().0;
    let now = jiff::Timestamp::now();
    match answer(&twin.twin, &parts, body.to_string().as_bytes(), now)?.body {
        Content::Json(value) => Ok(value),
        Content::Bytes(_) => panic!("bytes"),
    }
}

fn schedule(seconds: i64, call: &str, instance: &str) -> Value {
    let time = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(seconds);
    json!({
        "ScheduleExpression": time.strftime("at(%Y-%m-%dT%H:%M:%S)").to_string(),
        "FlexibleTimeWindow": { "Mode": "OFF" },
        "ActionAfterCompletion": "DELETE",
        "Target": {
            "Arn": format!("arn:aws:scheduler:::aws-sdk:ec2:{call}"),
            "RoleArn": "arn:aws:iam::111122223333:role/l4re",
            "Input": json!({ "InstanceIds": [instance] }).to_string(),
        },
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_ends_at_its_time_and_the_schedule_with_it() {
    // The guest is asked first, and the stand-in never answers.
    let graceful = std::time::Duration::from_millis(50);
    let twin = TestTwin::with(|config| config.timing.graceful = graceful).await;
    let id = twin.run(BIOS, "t3.nano", "");
    twin.wait(&id, "running").await;
    ask(&twin, "POST", "/schedules/end", &schedule(4, "terminateInstances", &id)).unwrap();
    ask(&twin, "POST", "/schedules/later", &schedule(3600, "terminateInstances", &id)).unwrap();
    twin.wait(&id, "terminated").await;
    let list = ask(&twin, "GET", "/schedules", &Value::Null).unwrap();
    assert_eq!(list["Schedules"].as_array().unwrap().len(), 1);
    let gone = ask(&twin, "GET", "/schedules/end", &Value::Null).unwrap_err();
    assert_eq!(gone.code, "ResourceNotFoundException");
}

#[tokio::test(flavor = "multi_thread")]
async fn schedules_outlive_the_daemon_are_changed_and_removed() {
    let mut twin = TestTwin::new().await;
    let id = twin.run(BIOS, "t3.nano", "");
    let mut body = schedule(3600, "stopInstances", &id);
    body["ClientToken"] = "t".into();
    ask(&twin, "POST", "/schedules/end", &body).unwrap();
    ask(&twin, "POST", "/schedules/end", &body).unwrap();
    body["ClientToken"] = "u".into();
    let again = ask(&twin, "POST", "/schedules/end", &body).unwrap_err();
    assert_eq!((again.status, again.code.as_ref()), (409, "ConflictException"));
    twin.reopen().await;
    let shown = ask(&twin, "GET", "/schedules/end?groupName=default", &Value::Null).unwrap();
    assert_eq!(shown["ScheduleExpression"], body["ScheduleExpression"]);
    assert_eq!(shown["ActionAfterCompletion"], "DELETE");
    let changed = schedule(7200, "stopInstances", &id);
    ask(&twin, "PUT", "/schedules/end", &changed).unwrap();
    let shown = ask(&twin, "GET", "/schedules/end", &Value::Null).unwrap();
    assert_eq!(shown["ScheduleExpression"], changed["ScheduleExpression"]);
    ask(&twin, "DELETE", "/schedules/end", &Value::Null).unwrap();
    for method in ["GET", "PUT", "DELETE"] {
        let fault = ask(&twin, method, "/schedules/end", &changed).unwrap_err();
        assert_eq!(fault.code, "ResourceNotFoundException", "{method}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_twin_would_not_carry_out_is_refused_and_lists_have_pages() {
    let twin = TestTwin::new().await;
    let good = || schedule(3600, "terminateInstances", "i-0123456789abcdef0");
    let mut cases =
        vec![schedule(-5, "terminateInstances", "i-0"), schedule(60, "runInstances", "i-0")];
    for (key, value) in [
        ("ScheduleExpression", json!("rate(1 minute)")),
        ("FlexibleTimeWindow", json!({ "Mode": "FLEXIBLE", "MaximumWindowInMinutes": 5 })),
        ("State", json!("ON")),
    ] {
        let mut bad = good();
        bad[key] = value;
        cases.push(bad);
    }
    let mut roleless = good();
    roleless["Target"]["RoleArn"] = "role".into();
    cases.push(roleless);
    for bad in cases {
        let fault = ask(&twin, "POST", "/schedules/x", &bad).unwrap_err();
        assert_eq!(fault.code, "ValidationException", "{bad}");
    }
    let dots = ask(&twin, "POST", "/schedules/..", &good()).unwrap_err();
    assert_eq!(dots.code, "ValidationException");
    for n in 0..5 {
        ask(&twin, "POST", &format!("/schedules/s-{n}"), &good()).unwrap();
    }
    let first = ask(&twin, "GET", "/schedules?NamePrefix=s-&MaxResults=3", &Value::Null).unwrap();
    assert_eq!(first["Schedules"].as_array().unwrap().len(), 3);
    let next =
        format!("/schedules?NamePrefix=s-&NextToken={}", first["NextToken"].as_str().unwrap());
    let rest = ask(&twin, "GET", &next, &Value::Null).unwrap();
    assert_eq!(rest["Schedules"].as_array().unwrap().len(), 2);
    assert_eq!(rest["NextToken"], Value::Null);
}
