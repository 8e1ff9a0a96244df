//! The one HTTP endpoint: tells the services apart as AWS's clients address them, checks
//! signatures, and passes each request on.
//!
//! Invariant: nothing but S3 (whose signatures s3s checks) reaches a service unverified.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::Notify;

use crate::fault::Fault;
use crate::faults::{Dropped, meet};
use crate::s3::S3Endpoint;
use crate::sigv4::{self, Authorization, Signed};
use crate::twin::Twin;
use crate::{connect, ec2, sts};

/// More than any call of the query protocol has.
const MAX_BODY: usize = 1024 * 1024;

/// Everything that a connection needs.
#[derive(Clone)]
pub(crate) struct Endpoint {
    pub(crate) twin: Arc<Twin>,
    pub(crate) s3: S3Endpoint,
    pub(crate) control_token: Arc<str>,
    pub(crate) stop: Arc<Notify>,
}

type Answer = Response<s3s::Body>;

impl Endpoint {
    /// Serves one connection until the client has enough of it.
    pub(crate) async fn serve(self, stream: TcpStream) {
        let _ = stream.set_nodelay(true);
        let service = service_fn(move |request| {
            let endpoint = self.clone();
            async move { endpoint.answer(request).await }
        });
        let result = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .half_close(true)
            .serve_connection(TokioIo::new(stream), service)
            .await;
        if let Err(error) = result {
            tracing::debug!("a client's connection broke: {error}");
        }
    }

    async fn answer(&self, request: Request<Incoming>) -> Result<Answer, Dropped> {
        if request.uri().path() == crate::status::STOP_PATH {
            return Ok(self.control(&request));
        }
        self.twin.activity.touch();
        match service_of(&request) {
            Service::S3 => {
                let name = format!("s3:{}", request.method());
                meet(&self.twin.faults, &name, s3_refusal, self.object_store(request)).await
            }
            Service::Query(kind) => self.query(kind, request).await,
        }
    }

    fn control(&self, request: &Request<Incoming>) -> Answer {
        let token = request.headers().get(crate::status::TOKEN_HEADER);
        let known =
            token.is_some_and(|token| sigv4::same(token.as_bytes(), self.control_token.as_bytes()));
        if !known || request.method() != Method::POST {
            return text(StatusCode::FORBIDDEN, "text/plain", String::new());
        }
        self.stop.notify_one();
        text(StatusCode::ACCEPTED, "text/plain", String::new())
    }

    async fn object_store(&self, request: Request<Incoming>) -> Answer {
        if let Some(region) = s3_region(&request)
            && region != self.twin.config.region
        {
            return wrong_s3_region(&region, &self.twin.config.region);
        }
        object_store(&self.s3, request).await
    }

    async fn query(&self, kind: Kind, request: Request<Incoming>) -> Result<Answer, Dropped> {
        let (parts, body) = request.into_parts();
        let verified = match Limited::new(body, MAX_BODY).collect().await {
            Err(_) => Err(Fault::new(413, "RequestEntityTooLarge", "the request is too large")),
            Ok(body) => {
                let body = body.to_bytes();
                self.verify(&parts, &body).map(|()| body)
            }
        };
        // GET carries the call in its query.
        let verified = verified.map(|body| {
            let query = parts.uri.query().unwrap_or_default();
            if parts.method == Method::GET {
                Bytes::copy_from_slice(query.as_bytes())
            } else {
                body
            }
        });
        let act = |body| self.act(kind, &parts.headers, body);
        match kind.name(&parts.headers, verified.as_deref().unwrap_or_default()) {
            Some(name) => {
                let refuse = |fault| act(Err(fault));
                let faults = &self.twin.faults;
                meet(faults, &name, refuse, async { act(verified.clone()) }).await
            }
            None => Ok(act(verified)),
        }
    }

    fn act(&self, kind: Kind, headers: &HeaderMap, body: Result<Bytes, Fault>) -> Answer {
        let xml = "text/xml;charset=UTF-8";
        match (kind, body) {
            (Kind::Ec2, Ok(body)) => {
                reply(ec2::answer(&self.twin, &body, jiff::Timestamp::now()), xml)
            }
            (Kind::Ec2, Err(fault)) => reply(ec2::refusal(&fault), xml),
            (Kind::Sts, body) => reply(sts::answer(&self.twin, body), xml),
            (Kind::Connect, body) => {
                let json = "application/x-amz-json-1.1";
                reply(connect::answer(&self.twin, headers, body), json)
            }
        }
    }

    fn verify(&self, parts: &http::request::Parts, body: &[u8]) -> Result<(), Fault> {
        let signed = Signed {
            method: parts.method.as_str(),
            path: parts.uri.path(),
            query: parts.uri.query().unwrap_or_default(),
            headers: &parts.headers,
            body,
        };
        let region = &self.twin.config.region;
        sigv4::verify(&signed, &self.twin.credentials, region, jiff::Timestamp::now())
    }
}

/// Passes a request to the object store, for clients and for guests.
pub(crate) async fn object_store(s3: &S3Endpoint, request: Request<Incoming>) -> Answer {
    match hyper::service::Service::call(s3, request).await {
        Ok(answer) => answer,
        Err(error) => {
            tracing::error!("the object store failed: {error:?}");
            text(StatusCode::INTERNAL_SERVER_ERROR, "text/plain", String::new())
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Ec2,
    Sts,
    Connect,
}

impl Kind {
    /// The call's name for the plan of faults, if it has one.
    fn name(self, headers: &HeaderMap, body: &[u8]) -> Option<String> {
        let action = || {
            form_urlencoded::parse(body)
                .find_map(|(name, value)| (name == "Action").then(|| value.into_owned()))
        };
        match self {
            Self::Ec2 => Some(format!("ec2:{}", action()?)),
            Self::Sts => Some(format!("sts:{}", action()?)),
            Self::Connect => {
                let target = header(headers, "x-amz-target")?;
                Some(format!("connect:{}", target.strip_prefix(connect::TARGET)?))
            }
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Service {
    S3,
    Query(Kind),
}

fn service_of<B>(request: &Request<B>) -> Service {
    let headers = request.headers();
    if header(headers, "x-amz-target").is_some_and(|target| target.starts_with(connect::TARGET)) {
        return Service::Query(Kind::Connect);
    }
    match Authorization::service_of(headers).as_deref() {
        Some("ec2") => Service::Query(Kind::Ec2),
        Some("sts") => Service::Query(Kind::Sts),
        Some("ec2-instance-connect") => Service::Query(Kind::Connect),
        Some(_) => Service::S3,
        // Unsigned calls of the query protocol get EC2's refusal, not S3's.
        None if request.method() == Method::POST
            && header(headers, "content-type")
                .is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded")) =>
        {
            Service::Query(Kind::Ec2)
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
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    crate::xml::write_element(&mut xml, "Error", error);
    text(status, "application/xml", xml)
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn reply((status, body): (u16, String), content_type: &'static str) -> Answer {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    text(status, content_type, body)
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
        assert_eq!(signed("ec2"), Service::Query(Kind::Ec2));
        assert_eq!(signed("sts"), Service::Query(Kind::Sts));
        assert_eq!(signed("s3"), Service::S3);
        let target = "AWSEC2InstanceConnectService.SendSerialConsoleSSHPublicKey";
        assert_eq!(
            request(Method::POST, &[("x-amz-target", target)]),
            Service::Query(Kind::Connect)
        );
        let form = "application/x-www-form-urlencoded; charset=utf-8";
        let unsigned = request(Method::POST, &[("content-type", form)]);
        assert_eq!(unsigned, Service::Query(Kind::Ec2));
        assert_eq!(request(Method::GET, &[]), Service::S3);
    }
}
