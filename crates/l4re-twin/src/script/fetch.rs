//! Downloads of a followed script: through the daemon's guest port, as a guest's would
//! come, so that the same signatures are asked for and nothing else can be reached.

use std::net::Ipv4Addr;

use bytes::Bytes;
use http::header::{HOST, USER_AGENT};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::guest::Preface;
use crate::script::failure::Failure;

/// More than any image has.
const MAX_BODY: usize = 1 << 30;

/// The way of one instance's downloads.
#[derive(Debug, Clone)]
pub(super) struct Fetcher {
    pub(super) guests: Preface,
    pub(super) instance: String,
}

impl Fetcher {
    /// What is at a URL.
    pub(super) async fn get(&self, url: &str) -> Result<Bytes, Failure> {
        let (host, target) = split(url)?;
        let service = match host {
            "169.254.169.253" => "objects",
            "169.254.169.254" => "metadata",
            _ => return Err(Failure::UNREACHABLE),
        };
        let request = request(Method::GET, host, target)?;
        self.send(service, request).await
    }

    /// The user data, with a token of the metadata service's second version.
    pub(super) async fn user_data(&self) -> Result<Bytes, Failure> {
        let host = "169.254.169.254";
        let mut token = request(Method::PUT, host, "/latest/api/token")?;
        token.headers_mut().insert(
            "x-aws-ec2-metadata-token-ttl-seconds",
            http::HeaderValue::from_static("21600"),
        );
        // As in iPXE: without a token the first version is tried.
        let token = self.send("metadata", token).await.ok();
        let mut request = request(Method::GET, host, "/latest/user-data")?;
        if let Some(token) = token
            && let Ok(token) = http::HeaderValue::from_maybe_shared(token)
        {
            request.headers_mut().insert("x-aws-ec2-metadata-token", token);
        }
        self.send("metadata", request).await
    }

    async fn send(&self, service: &str, request: Request<Empty<Bytes>>) -> Result<Bytes, Failure> {
        let address = (Ipv4Addr::LOCALHOST, self.guests.port);
        let mut stream = TcpStream::connect(address).await.map_err(|_| Failure::UNREACHABLE)?;
        let line = self.guests.line(&self.instance, service);
        stream.write_all(line.as_bytes()).await.map_err(|_| Failure::RESET)?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|_| Failure::RESET)?;
        let carried = tokio::spawn(connection);
        let answer = sender.send_request(request).await.map_err(|_| Failure::RESET)?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), MAX_BODY).collect().await;
        carried.abort();
        match status {
            StatusCode::OK => body.map(|body| body.to_bytes()).map_err(|_| Failure::IO),
            StatusCode::NOT_FOUND => Err(Failure::NOT_FOUND),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(Failure::DENIED),
            _ => Err(Failure::IO),
        }
    }
}

/// Host and the rest of an `http` URL, byte for byte.
fn split(url: &str) -> Result<(&str, &str), Failure> {
    let rest = url.strip_prefix("http://").ok_or(Failure::INVALID)?;
    let end = rest.find('/').unwrap_or(rest.len());
    let target = if end == rest.len() { "/" } else { &rest[end..] };
    let host = rest[..end].strip_suffix(":80").unwrap_or(&rest[..end]);
    Ok((host, target))
}

fn request(method: Method, host: &str, target: &str) -> Result<Request<Empty<Bytes>>, Failure> {
    Request::builder()
        .method(method)
        .uri(target)
        .header(HOST, host)
        .header(USER_AGENT, "iPXE/2.0.0+")
        .body(Empty::new())
        .map_err(|_| Failure::INVALID)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_byte_for_byte() {
        let (host, target) =
            split("http://169.254.169.253/b/k%2Fx?X-Amz-Credential=a%2Bb&c").unwrap();
        assert_eq!(host, "169.254.169.253");
        assert_eq!(target, "/b/k%2Fx?X-Amz-Credential=a%2Bb&c");
        assert_eq!(split("http://h:80"), Ok(("h", "/")));
        assert_eq!(split("tftp://h/x"), Err(Failure::INVALID));
    }
}
