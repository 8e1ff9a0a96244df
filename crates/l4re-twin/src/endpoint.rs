//! The one HTTP endpoint: tells the services apart as AWS's clients address them, checks
//! signatures, and passes each request on.
//!
//! Invariant: nothing but S3 (whose signatures s3s checks) reaches a service unverified.

use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use tokio::net::TcpStream;
use tokio::sync::Notify;

use crate::fault::Fault;
use crate::faults::{Dropped, meet};
use crate::s3::{Objects, S3Endpoint, complete, drop_odd_range, refuse_signature};
use crate::service::Kind;
use crate::sigv4::{self, Authorization, Signed};
use crate::status::{FREE_PATH, STOP_PATH, TOKEN_HEADER};
use crate::twin::Twin;
use crate::{connection, gc};

/// More than any call has: EBS's blocks are half of it.
const MAX_BODY: usize = 1024 * 1024;

/// Everything that a connection needs.
#[derive(Clone)]
pub(crate) struct Endpoint {
    pub(crate) twin: Arc<Twin>,
    pub(crate) s3: S3Endpoint,
    pub(crate) objects: Arc<Objects>,
    pub(crate) control_token: Arc<str>,
    pub(crate) stop: Arc<Notify>,
}

/// What is sent back.
pub(crate) type Answer = Response<s3s::Body>;

impl Endpoint {
    /// Serves one connection until the client has enough of it.
    pub(crate) async fn serve(self, stream: TcpStream) {
        let _ = stream.set_nodelay(true);
        let answer = |request| self.answer(request);
        connection::serve(stream, answer).await;
    }

    async fn answer(&self, request: Request<s3s::Body>) -> Result<Answer, Dropped> {
        if [STOP_PATH, FREE_PATH].contains(&request.uri().path()) {
            return Ok(self.control(&request).await);
        }
        self.twin.activity.touch();
        match service_of(&request) {
            Service::S3 => {
                let name = format!("s3:{}", request.method());
                let done = self.object_store(request);
                let answer = meet(&self.twin.faults, &name, s3_refusal, done).await?;
                Ok(with_s3_request_id(answer))
            }
            Service::Other(kind) => self.call(kind, request).await,
        }
    }

    async fn control(&self, request: &Request<s3s::Body>) -> Answer {
        let token = request.headers().get(TOKEN_HEADER);
        let known =
            token.is_some_and(|token| sigv4::same(token.as_bytes(), self.control_token.as_bytes()));
        if !known || request.method() != Method::POST {
            return text(StatusCode::FORBIDDEN, "text/plain", String::new());
        }
        if request.uri().path() == FREE_PATH {
            return self.free(request.uri().query().unwrap_or_default()).await;
        }
        self.stop.notify_one();
        text(StatusCode::ACCEPTED, "text/plain", String::new())
    }

    async fn free(&self, query: &str) -> Answer {
        let age = query.strip_prefix("age=").and_then(|seconds| seconds.parse().ok());
        let Some(age) = age.map(std::time::Duration::from_secs) else {
            return text(StatusCode::BAD_REQUEST, "text/plain", String::new());
        };
        let (twin, objects) = (self.twin.clone(), self.objects.clone());
        let free = move || gc::free_while_running(&twin, &objects, age);
        match tokio::task::spawn_blocking(free).await {
            Ok(Ok(freed)) => {
                text(StatusCode::OK, "application/json", serde_json::json!(freed).to_string())
            }
            Ok(Err(error)) => {
                text(StatusCode::INTERNAL_SERVER_ERROR, "text/plain", error.to_string())
            }
            Err(_) => text(StatusCode::INTERNAL_SERVER_ERROR, "text/plain", String::new()),
        }
    }

    async fn object_store(&self, request: Request<s3s::Body>) -> Answer {
        if let Some(region) = s3_region(&request)
            && region != self.twin.config.region
        {
            return wrong_s3_region(&region, &self.twin.config.region);
        }
        if let Err(fault) = self.twin.usage.admit(request.method(), request.headers()) {
            return s3_refusal(fault);
        }
        object_store(&self.s3, request).await
    }

    async fn call(&self, kind: Kind, request: Request<s3s::Body>) -> Result<Answer, Dropped> {
        let (parts, body) = request.into_parts();
        let parts = Arc::new(parts);
        let room = match kind.moves_blocks() {
            true => self.twin.usage.admit(&parts.method, &parts.headers),
            false => Ok(()),
        };
        let verified = match Limited::new(body, MAX_BODY).collect().await {
            Err(_) => Err(Fault::new(413, "RequestEntityTooLarge", "the request is too large")),
            Ok(body) => {
                let body = body.to_bytes();
                let verified = self.verify(kind, &parts, &body).and(room);
                verified.map(|()| kind.content(&parts, body))
            }
        };
        let act = |body| kind.answer(&self.twin, &parts, body);
        match kind.name(&parts, verified.as_deref().unwrap_or_default()) {
            Some(name) => {
                let refuse = |fault| act(Err(fault));
                let slow = kind.moves_blocks() || name == "ec2:GetConsoleScreenshot";
                let done = self.act(kind, parts.clone(), verified, slow);
                meet(&self.twin.faults, &name, refuse, done).await
            }
            None => Ok(act(verified)),
        }
    }

    /// Carries out a call; a slow one does not hold the others up.
    async fn act(
        &self,
        kind: Kind,
        parts: Arc<Parts>,
        body: Result<Bytes, Fault>,
        slow: bool,
    ) -> Answer {
        if !slow {
            return kind.answer(&self.twin, &parts, body);
        }
        let twin = self.twin.clone();
        let done = tokio::task::spawn_blocking(move || kind.answer(&twin, &parts, body));
        done.await.unwrap_or_else(|error| {
            tracing::error!("a call was not carried out: {error}");
            text(StatusCode::INTERNAL_SERVER_ERROR, "text/plain", String::new())
        })
    }

    fn verify(&self, kind: Kind, parts: &Parts, body: &[u8]) -> Result<(), Fault> {
        let signed = Signed {
            method: parts.method.as_str(),
            path: parts.uri.path(),
            query: parts.uri.query().unwrap_or_default(),
            headers: &parts.headers,
            body,
            unsigned_body: kind.moves_blocks() && parts.method == Method::PUT,
        };
        let regions = kind.regions(&self.twin.config.region);
        sigv4::verify(&signed, &self.twin.credentials, &regions, jiff::Timestamp::now())
    }
}

/// Passes a request to the object store, for clients and for guests.
pub(crate) async fn object_store(s3: &S3Endpoint, mut request: Request<s3s::Body>) -> Answer {
    if let Some(refusal) = refuse_signature(&request) {
        return refusal;
    }
    drop_odd_range(&mut request);
    match s3.call(request).await {
        Ok(answer) => complete(answer).await,
        Err(error) => {
            tracing::error!("the object store failed: {error:?}");
            text(StatusCode::INTERNAL_SERVER_ERROR, "text/plain", String::new())
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Service {
    S3,
    Other(Kind),
}

fn service_of<B>(request: &Request<B>) -> Service {
    let headers = request.headers();
    if let Some(kind) = header(headers, "x-amz-target").and_then(Kind::of_target) {
        return Service::Other(kind);
    }
    match Authorization::service_of(headers).as_deref() {
        Some(name) => Kind::of_scope(name).map_or(Service::S3, Service::Other),
        // Unsigned calls of the query protocol get EC2's refusal, not S3's.
        None if request.method() == Method::POST
            && header(headers, "content-type")
                .is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded")) =>
        {
            Service::Other(Kind::Ec2)
        }
        None => Service::S3,
    }
}

fn s3_region<B>(request: &Request<B>) -> Option<String> {
    if let Some(value) = header(request.headers(), "authorization") {
        return Authorization::parse(value).map(|found| found.region.to_owned());
    }
    let query = request.uri().query()?.as_bytes();
    let credential = form_urlencoded::parse(query)
        .find_map(|(name, value)| (name == "X-Amz-Credential").then(|| value.into_owned()))?;
    credential.rsplit('/').nth(2).map(str::to_owned)
}

fn wrong_s3_region(region: &str, expected: &str) -> Answer {
    let message = format!(
        "The authorization header is malformed; the region '{region}' is wrong; expecting \
         '{expected}'"
    );
    s3_error(
        StatusCode::BAD_REQUEST,
        &serde_json::json!({
            "Code": "AuthorizationHeaderMalformed", "Message": message, "Region": expected,
        }),
    )
}

/// An error in S3's shape.
pub(crate) fn s3_refusal(fault: Fault) -> Answer {
    let status = StatusCode::from_u16(fault.status).unwrap_or(StatusCode::BAD_REQUEST);
    s3_error(status, &serde_json::json!({"Code": fault.code, "Message": fault.message}))
}

fn s3_error(status: StatusCode, error: &serde_json::Value) -> Answer {
    let mut answer = with_s3_request_id(text(status, "application/xml", String::new()));
    let id = header(answer.headers(), "x-amz-request-id").unwrap_or_default();
    let mut error = error.clone();
    (error["RequestId"], error["HostId"]) = (id.into(), id.into());
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    crate::xml::write_element(&mut xml, "Error", &error);
    *answer.body_mut() = s3s::Body::from(Bytes::from(xml));
    answer
}

/// What S3 names its answers by, and what support would ask for.
pub(crate) fn with_s3_request_id(mut answer: Answer) -> Answer {
    if answer.headers().contains_key("x-amz-request-id") {
        return answer;
    }
    let id = crate::state::random_hex(16).to_uppercase();
    for (name, value) in [("x-amz-request-id", id.clone()), ("x-amz-id-2", id)] {
        if let Ok(value) = http::HeaderValue::try_from(value) {
            answer.headers_mut().insert(name, value);
        }
    }
    answer
}

/// A header, if it is text.
pub(crate) fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// A whole answer in one piece.
pub(crate) fn text(status: StatusCode, content_type: &'static str, body: String) -> Answer {
    let mut answer = Response::new(s3s::Body::from(Bytes::from(body)));
    *answer.status_mut() = status;
    answer
        .headers_mut()
        .insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static(content_type));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: Method, headers: &[(&'static str, &str)]) -> Service {
        let mut request = Request::builder().method(method).uri("/");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        service_of(&request.body(()).unwrap())
    }

    #[test]
    fn services_are_told_apart_by_scope_target_and_content() {
        let scope = |service: &str| {
            format!(
                "AWS4-HMAC-SHA256 Credential=AK/20260101/eu-central-1/{service}/aws4_request, \
                 SignedHeaders=host, Signature=0"
            )
        };
        let signed = |service: &str| request(Method::POST, &[("authorization", &scope(service))]);
        assert_eq!(signed("ec2"), Service::Other(Kind::Ec2));
        assert_eq!(signed("sts"), Service::Other(Kind::Sts));
        assert_eq!(signed("s3"), Service::S3);
        let target = "AWSEC2InstanceConnectService.SendSerialConsoleSSHPublicKey";
        assert_eq!(
            request(Method::POST, &[("x-amz-target", target)]),
            Service::Other(Kind::Connect)
        );
        let form = "application/x-www-form-urlencoded; charset=utf-8";
        let unsigned = request(Method::POST, &[("content-type", form)]);
        assert_eq!(unsigned, Service::Other(Kind::Ec2));
        assert_eq!(request(Method::GET, &[]), Service::S3);
    }
}
