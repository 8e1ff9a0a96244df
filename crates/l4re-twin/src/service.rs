//! The services besides S3: how clients name each, how its calls are named in the plan of
//! faults, and in which shape it answers.

use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Method, StatusCode};

use crate::endpoint::{Answer, text};
use crate::fault::Fault;
use crate::twin::Twin;
use crate::{connect, ebs, ec2, json, pricing, quotas, scheduler, sts};

/// A service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Ec2,
    Sts,
    Connect,
    Ebs,
    Scheduler,
    Pricing,
    Quotas,
}

impl Kind {
    /// The service that is named in a signature's scope.
    pub(crate) fn of_scope(name: &str) -> Option<Self> {
        match name {
            "ec2" => Some(Self::Ec2),
            "sts" => Some(Self::Sts),
            "ec2-instance-connect" => Some(Self::Connect),
            "ebs" => Some(Self::Ebs),
            "scheduler" => Some(Self::Scheduler),
            "pricing" => Some(Self::Pricing),
            "servicequotas" => Some(Self::Quotas),
            _ => None,
        }
    }

    /// The service that is named in `X-Amz-Target`.
    pub(crate) fn of_target(target: &str) -> Option<Self> {
        [
            (connect::TARGET, Self::Connect),
            (pricing::TARGET, Self::Pricing),
            (quotas::TARGET, Self::Quotas),
        ]
        .into_iter()
        .find_map(|(prefix, kind)| target.starts_with(prefix).then_some(kind))
    }

    /// Where its requests may be signed for.
    pub(crate) fn regions(self, own: &str) -> Vec<&str> {
        let elsewhere: &[&str] = if self == Self::Pricing { &pricing::REGIONS } else { &[] };
        [own].into_iter().chain(elsewhere.iter().copied().filter(|name| *name != own)).collect()
    }

    /// Whether its calls read and write much, and leave bodies unsigned.
    pub(crate) fn moves_blocks(self) -> bool {
        self == Self::Ebs
    }

    /// The call itself: the query protocol's may be in the query of a GET.
    pub(crate) fn content(self, parts: &Parts, body: Bytes) -> Bytes {
        let query = matches!(self, Self::Ec2 | Self::Sts) && parts.method == Method::GET;
        if query {
            return Bytes::copy_from_slice(parts.uri.query().unwrap_or_default().as_bytes());
        }
        body
    }

    /// The call's name for the plan of faults, if it has one.
    pub(crate) fn name(self, parts: &Parts, body: &[u8]) -> Option<String> {
        let action = || {
            form_urlencoded::parse(body)
                .find_map(|(name, value)| (name == "Action").then(|| value.into_owned()))
        };
        match self {
            Self::Ec2 => Some(format!("ec2:{}", action()?)),
            Self::Sts => Some(format!("sts:{}", action()?)),
            Self::Ebs => Some(format!("ebs:{}", ebs::operation(parts)?)),
            Self::Scheduler => Some(format!("scheduler:{}", scheduler::operation(parts)?)),
            Self::Connect => Some(format!("connect:{}", json::action(&parts.headers)?)),
            Self::Pricing => Some(format!("pricing:{}", json::action(&parts.headers)?)),
            Self::Quotas => Some(format!("servicequotas:{}", json::action(&parts.headers)?)),
        }
    }

    /// Carries out a call whose signature was checked, or says what was wrong with it.
    pub(crate) fn answer(
        self,
        twin: &Arc<Twin>,
        parts: &Parts,
        body: Result<Bytes, Fault>,
    ) -> Answer {
        let xml = "text/xml;charset=UTF-8";
        match (self, body) {
            (Self::Ec2, Ok(body)) => reply(ec2::answer(twin, &body, jiff::Timestamp::now()), xml),
            (Self::Ec2, Err(fault)) => reply(ec2::refusal(&fault), xml),
            (Self::Sts, body) => reply(sts::answer(twin, body), xml),
            (Self::Connect, body) => spoken(twin, parts, body, connect::act),
            (Self::Pricing, body) => spoken(twin, parts, body, pricing::act),
            (Self::Quotas, body) => spoken(twin, parts, body, quotas::act),
            (Self::Scheduler, body) => rest(
                body.map_err(Fault::for_json)
                    .and_then(|body| scheduler::answer(twin, parts, &body, jiff::Timestamp::now())),
            ),
            (Self::Ebs, body) => rest(
                body.map_err(Fault::for_json)
                    .and_then(|body| ebs::answer(twin, parts, &body, jiff::Timestamp::now())),
            ),
        }
    }
}

/// What a service of the REST protocol answers: JSON, or bytes with headers.
#[derive(Debug)]
pub(crate) struct Rest {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Content,
}

/// A body.
#[derive(Debug)]
pub(crate) enum Content {
    Json(serde_json::Value),
    Bytes(Vec<u8>),
}

fn rest(result: Result<Rest, Fault>) -> Answer {
    let rest = result.unwrap_or_else(|fault| {
        let mut error = serde_json::json!({ "Message": fault.message });
        if let Some(reason) = fault.reason {
            error["Reason"] = reason.into();
        }
        let headers = vec![("x-amzn-errortype", fault.code.into_owned())];
        Rest { status: fault.status, headers, body: Content::Json(error) }
    });
    let (kind, body) = match rest.body {
        Content::Json(value) => ("application/json", Bytes::from(value.to_string())),
        Content::Bytes(bytes) => ("application/octet-stream", Bytes::from(bytes)),
    };
    let mut answer = Answer::new(s3s::Body::from(body));
    *answer.status_mut() = status(rest.status);
    let headers = answer.headers_mut();
    headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static(kind));
    for (name, value) in rest.headers {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(name, value);
        }
    }
    with_request_id(answer)
}

/// The JSON services say in a header what the others say in their documents.
fn with_request_id(mut answer: Answer) -> Answer {
    if let Ok(id) = HeaderValue::try_from(ec2::uuid()) {
        answer.headers_mut().insert("x-amzn-requestid", id);
    }
    answer
}

/// A call of the JSON protocol.
fn spoken(
    twin: &Twin,
    parts: &Parts,
    body: Result<Bytes, Fault>,
    act: impl FnOnce(&Twin, &str, &[u8]) -> Result<serde_json::Value, Fault>,
) -> Answer {
    let action = json::action(&parts.headers).unwrap_or_default();
    let result = body.map_err(Fault::for_json).and_then(|body| act(twin, action, &body));
    with_request_id(reply(json::document(result), "application/x-amz-json-1.1"))
}

fn reply((code, body): (u16, String), content_type: &'static str) -> Answer {
    text(status(code), content_type, body)
}

fn status(code: u16) -> StatusCode {
    StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}
