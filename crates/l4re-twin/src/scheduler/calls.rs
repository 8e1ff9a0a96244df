//! The operations: create, get, list, update, delete.

use http::Method;
use http::request::Parts;
use serde_json::{Map, Value, json};

use super::record::Schedule;
use super::{expression, target};
use crate::fault::Fault;
use crate::service::{Content, Rest};
use crate::twin::Twin;

/// What a schedule's request may have and the twin keeps as it came.
const KEPT: &[&str] = &[
    "ScheduleExpression",
    "ScheduleExpressionTimezone",
    "StartDate",
    "EndDate",
    "Description",
    "Target",
    "FlexibleTimeWindow",
];

fn invalid(message: impl Into<String>) -> Fault {
    Fault::client("ValidationException", message)
}

/// The operation's name.
pub(crate) fn operation(parts: &Parts) -> Option<&'static str> {
    let path = parts.uri.path().trim_start_matches('/');
    match (&parts.method, path.strip_prefix("schedules")?) {
        (&Method::GET, "" | "/") => Some("ListSchedules"),
        (&Method::POST, _) => Some("CreateSchedule"),
        (&Method::GET, _) => Some("GetSchedule"),
        (&Method::PUT, _) => Some("UpdateSchedule"),
        (&Method::DELETE, _) => Some("DeleteSchedule"),
        _ => None,
    }
}

/// Carries out a request.
pub(crate) fn answer(
    twin: &Twin,
    parts: &Parts,
    body: &[u8],
    now: jiff::Timestamp,
) -> Result<Rest, Fault> {
    let name = parts.uri.path().rsplit('/').next().unwrap_or_default();
    let query = |key: &str| {
        let query = parts.uri.query()?.as_bytes();
        form_urlencoded::parse(query).find_map(|(k, value)| (k == key).then(|| value.into_owned()))
    };
    let group = query("groupName").or_else(|| query("ScheduleGroup"));
    refuse_other_group(group.as_deref())?;
    let body = match operation(parts) {
        Some("CreateSchedule") => put(twin, name, body, now, false)?,
        Some("UpdateSchedule") => put(twin, name, body, now, true)?,
        Some("GetSchedule") => get(twin, name)?,
        Some("DeleteSchedule") => {
            let mut map = twin.schedules.lock();
            known(map.get(name), name)?;
            twin.schedules.remove(&mut map, name)?;
            json!({})
        }
        Some("ListSchedules") => list(twin, &query)?,
        _ => return Err(Fault::new(404, "UnknownOperationException", "no such operation")),
    };
    Ok(Rest { status: 200, headers: Vec::new(), body: Content::Json(body) })
}

fn refuse_other_group(group: Option<&str>) -> Result<(), Fault> {
    match group {
        None | Some("default") => Ok(()),
        Some(other) => {
            let message = format!("Schedule group {other} does not exist.");
            Err(Fault::new(404, "ResourceNotFoundException", message))
        }
    }
}

fn known<'a>(schedule: Option<&'a Schedule>, name: &str) -> Result<&'a Schedule, Fault> {
    schedule.ok_or_else(|| {
        let message = format!("Schedule {name} does not exist.");
        Fault::new(404, "ResourceNotFoundException", message)
    })
}

fn put(
    twin: &Twin,
    name: &str,
    body: &[u8],
    now: jiff::Timestamp,
    update: bool,
) -> Result<Value, Fault> {
    let request: Map<String, Value> =
        serde_json::from_slice(body).map_err(|error| invalid(error.to_string()))?;
    let new = read(name, &request, now)?;
    let arn = arn(twin, name);
    let mut map = twin.schedules.lock();
    let old = map.get(name);
    let created = match (old, update) {
        (None, true) => return Err(known(None, name).err().unwrap_or_else(|| invalid(""))),
        // The same call again.
        (Some(old), false)
            if old.client_token.is_some() && old.client_token == new.client_token =>
        {
            if old.request != new.request {
                let message = "The client token was used for another schedule.";
                return Err(Fault::new(409, "ConflictException", message));
            }
            return Ok(json!({ "ScheduleArn": arn }));
        }
        (Some(_), false) => {
            let message = format!("Schedule {name} already exists.");
            return Err(Fault::new(409, "ConflictException", message));
        }
        (old, _) => old.map_or(now, |old| old.created),
    };
    twin.schedules.put(&mut map, Schedule { created, ..new })?;
    Ok(json!({ "ScheduleArn": arn }))
}

fn read(name: &str, request: &Map<String, Value>, now: jiff::Timestamp) -> Result<Schedule, Fault> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if !(1..=64).contains(&name.len()) || !name.chars().all(plain) || name.starts_with('.') {
        return Err(invalid(format!("'{name}' is no name of a schedule.")));
    }
    let text = |key: &str| request.get(key).and_then(Value::as_str);
    refuse_other_group(text("GroupName"))?;
    let expression = text("ScheduleExpression").ok_or_else(|| invalid("No ScheduleExpression."))?;
    let zone = text("ScheduleExpressionTimezone").unwrap_or("UTC");
    let due = expression::moment(expression, zone).map_err(invalid)?;
    if due <= now {
        return Err(invalid(format!("The schedule's time {expression} is in the past.")));
    }
    let target = &request.get("Target").cloned().unwrap_or_default();
    target::form(target["Arn"].as_str().unwrap_or_default(), target["Input"].as_str())
        .map_err(invalid)?;
    let role = target["RoleArn"].as_str().unwrap_or_default();
    if !role.starts_with("arn:") || !role.contains(":role/") {
        return Err(invalid(format!("'{role}' is no ARN of a role.")));
    }
    match request.get("FlexibleTimeWindow").and_then(|window| window["Mode"].as_str()) {
        Some("OFF") => {}
        other => {
            let message = format!("The twin's schedules have no flexible time window: {other:?}");
            return Err(invalid(message));
        }
    }
    let kept = request.iter().filter(|(key, _)| KEPT.contains(&key.as_str()));
    let mut kept: Map<String, Value> = kept.map(|(k, v)| (k.clone(), v.clone())).collect();
    kept.entry("ScheduleExpressionTimezone").or_insert_with(|| "UTC".into());
    Ok(Schedule {
        name: name.to_owned(),
        request: kept.into(),
        due,
        enabled: one_of(text("State"), "ENABLED", "DISABLED")?,
        delete_when_done: !one_of(text("ActionAfterCompletion"), "NONE", "DELETE")?,
        done: false,
        created: now,
        modified: now,
        client_token: text("ClientToken").map(str::to_owned),
    })
}

/// Whether it is the first, which it is if it is not given.
fn one_of(value: Option<&str>, first: &str, second: &str) -> Result<bool, Fault> {
    match value {
        None => Ok(true),
        Some(value) if value == first => Ok(true),
        Some(value) if value == second => Ok(false),
        Some(other) => Err(invalid(format!("'{other}' is neither {first} nor {second}."))),
    }
}

fn get(twin: &Twin, name: &str) -> Result<Value, Fault> {
    let map = twin.schedules.lock();
    let schedule = known(map.get(name), name)?;
    let mut value = schedule.request.clone();
    for (key, member) in [
        ("Arn", Value::from(arn(twin, name))),
        ("GroupName", "default".into()),
        ("Name", name.into()),
        ("State", state(schedule).into()),
        ("CreationDate", schedule.created.as_second().into()),
        ("LastModificationDate", schedule.modified.as_second().into()),
        ("ActionAfterCompletion", if schedule.delete_when_done { "DELETE" } else { "NONE" }.into()),
    ] {
        value[key] = member;
    }
    Ok(value)
}

fn list(twin: &Twin, query: &impl Fn(&str) -> Option<String>) -> Result<Value, Fault> {
    let prefix = query("NamePrefix").unwrap_or_default();
    let wanted = query("State");
    let size = match query("MaxResults").map(|text| text.parse::<usize>()) {
        None => 100,
        Some(Ok(size)) if (1..=100).contains(&size) => size,
        Some(_) => return Err(invalid("MaxResults must be between 1 and 100.")),
    };
    // The token is the name that the next page begins with.
    let start = query("NextToken").unwrap_or_default();
    let map = twin.schedules.lock();
    let fits = |schedule: &&Schedule| {
        schedule.name.starts_with(&prefix)
            && wanted.as_ref().is_none_or(|wanted| wanted == state(schedule))
    };
    let mut rest = map.range(start..).map(|(_, schedule)| schedule).filter(fits);
    let page: Vec<Value> =
        rest.by_ref().take(size).map(|schedule| summary(twin, schedule)).collect();
    let mut answer = json!({ "Schedules": page });
    if let Some(next) = rest.next() {
        answer["NextToken"] = next.name.as_str().into();
    }
    Ok(answer)
}

fn summary(twin: &Twin, schedule: &Schedule) -> Value {
    json!({
        "Arn": arn(twin, &schedule.name),
        "Name": schedule.name,
        "GroupName": "default",
        "State": state(schedule),
        "CreationDate": schedule.created.as_second(),
        "LastModificationDate": schedule.modified.as_second(),
        "Target": { "Arn": schedule.request["Target"]["Arn"] },
    })
}

fn state(schedule: &Schedule) -> &'static str {
    if schedule.enabled { "ENABLED" } else { "DISABLED" }
}

fn arn(twin: &Twin, name: &str) -> String {
    let account = twin.store.lock().account.id.clone();
    format!("arn:aws:scheduler:{}:{account}:schedule/default/{name}", twin.config.region)
}
