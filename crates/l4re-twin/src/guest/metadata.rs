//! The instance metadata service, versions 1 and 2, as a guest finds it at
//! 169.254.169.254. Spec: EC2 user guide, "Instance metadata categories".

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use serde_json::json;

use crate::endpoint::text;
use crate::guest::Tokens;
use crate::guest::categories::categories;
use crate::guest::tokens::MAX_SECONDS;
use crate::state::Instance;
use crate::twin::Twin;

const TOKEN: &str = "x-aws-ec2-metadata-token";
const TOKEN_LIFE: &str = "x-aws-ec2-metadata-token-ttl-seconds";

type Answer = Response<s3s::Body>;

/// Answers a guest's request.
pub(crate) fn answer<B>(twin: &Twin, tokens: &Tokens, id: &str, request: &Request<B>) -> Answer {
    let (instance, account) = {
        let state = twin.store.lock();
        (state.instances.get(id).cloned(), state.account.id.clone())
    };
    let Some(instance) = instance else { return refusal(StatusCode::NOT_FOUND) };
    if !instance.metadata.endpoint_enabled {
        return refusal(StatusCode::FORBIDDEN);
    }
    let path = request.uri().path();
    if path.trim_end_matches('/') == "/latest/api/token" {
        return issue_token(tokens, id, request.method(), request.headers());
    }
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return refusal(StatusCode::METHOD_NOT_ALLOWED);
    }
    match header(request.headers(), TOKEN) {
        Some(token) if !tokens.is_good(id, token) => return refusal(StatusCode::UNAUTHORIZED),
        None if instance.metadata.tokens_required => return refusal(StatusCode::UNAUTHORIZED),
        _ => {}
    }
    let found = lookup(&instance, &account, &twin.config.region, path);
    match found {
        Some(Content::Bytes(bytes)) => {
            let mut answer = Response::new(s3s::Body::from(bytes::Bytes::from(bytes)));
            answer.headers_mut().insert(
                http::header::CONTENT_TYPE,
                HeaderValue::from_static("application/octet-stream"),
            );
            answer
        }
        Some(Content::Text(body)) => text(StatusCode::OK, "text/plain", body),
        None => refusal(StatusCode::NOT_FOUND),
    }
}

fn issue_token(tokens: &Tokens, id: &str, method: &Method, headers: &HeaderMap) -> Answer {
    if method != Method::PUT {
        return refusal(StatusCode::METHOD_NOT_ALLOWED);
    }
    // A proxy that forwards would hand the token to others.
    if headers.contains_key("x-forwarded-for") {
        return refusal(StatusCode::FORBIDDEN);
    }
    let seconds = header(headers, TOKEN_LIFE).and_then(|value| value.parse::<u64>().ok());
    let Some(seconds) = seconds.filter(|seconds| (1..=MAX_SECONDS).contains(seconds)) else {
        return refusal(StatusCode::BAD_REQUEST);
    };
    let mut answer = text(StatusCode::OK, "text/plain", tokens.issue(id, seconds));
    answer.headers_mut().insert(TOKEN_LIFE, HeaderValue::from(seconds));
    answer
}

enum Content {
    Text(String),
    Bytes(Vec<u8>),
}

/// The tree below a version: `latest`, or a date, or `1.0`.
fn lookup(instance: &Instance, account: &str, region: &str, path: &str) -> Option<Content> {
    let mut parts = path.trim_matches('/').splitn(2, '/');
    let version = parts.next().unwrap_or_default();
    if version.is_empty() {
        return Some(Content::Text("1.0\n2021-03-23\nlatest".to_owned()));
    }
    let dated = version.len() == 10 && version.starts_with("20");
    if version != "latest" && version != "1.0" && !dated {
        return None;
    }
    let rest = parts.next().unwrap_or_default();
    match rest {
        "" => Some(Content::Text("dynamic\nmeta-data\nuser-data".to_owned())),
        "user-data" => {
            let data = STANDARD.decode(instance.user_data.as_deref()?).ok()?;
            Some(Content::Bytes(data))
        }
        "dynamic/instance-identity/document" => {
            Some(Content::Text(identity_document(instance, account, region)))
        }
        "dynamic/fws/instance-monitoring" => {
            let on = if instance.monitoring { "enabled" } else { "disabled" };
            Some(Content::Text(on.to_owned()))
        }
        "dynamic/fws" => Some(Content::Text("instance-monitoring".to_owned())),
        "dynamic" => Some(Content::Text("fws/\ninstance-identity/".to_owned())),
        "dynamic/instance-identity" => Some(Content::Text("document".to_owned())),
        _ => category(instance, account, region, rest.strip_prefix("meta-data")?),
    }
}

/// A category's value, or the list of what is below it.
fn category(instance: &Instance, account: &str, region: &str, path: &str) -> Option<Content> {
    let tree = categories(instance, account, region);
    let path = path.trim_matches('/');
    if let Some((_, value)) = tree.iter().find(|(name, _)| name == path) {
        return Some(Content::Text(value.clone()));
    }
    let below = if path.is_empty() { String::new() } else { format!("{path}/") };
    let mut names: Vec<String> = tree
        .iter()
        .filter_map(|(name, _)| {
            let rest = name.strip_prefix(&below)?;
            Some(rest.split_once('/').map_or_else(|| rest.to_owned(), |(dir, _)| format!("{dir}/")))
        })
        .collect();
    names.sort_unstable();
    names.dedup();
    (!names.is_empty()).then(|| Content::Text(names.join("\n")))
}

fn identity_document(instance: &Instance, account: &str, region: &str) -> String {
    let document = json!({
        "accountId": account,
        "architecture": instance.architecture.name(),
        "availabilityZone": instance.zone,
        "imageId": instance.image_id,
        "instanceId": instance.id,
        "instanceType": instance.instance_type,
        "pendingTime": instance.launch_time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        "privateIp": instance.private_ip,
        "region": region,
        "version": "2017-09-30",
    });
    format!("{document:#}")
}

fn refusal(status: StatusCode) -> Answer {
    let reason = status.canonical_reason().unwrap_or_default();
    let page = format!(
        "<?xml version=\"1.0\" encoding=\"iso-8859-1\"?>\n<html><head><title>{0} - {reason}\
         </title></head><body><h1>{0} - {reason}</h1></body></html>\n",
        status.as_u16()
    );
    text(status, "text/html", page)
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}
