//! One HTTP connection, whoever is at its other end: clients and guests are served alike.

use http::header::{CONNECTION, EXPECT};
use http::{HeaderValue, Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;

use crate::connection::lent_body::LentBody;
use crate::connection::parting::Parting;
use crate::faults::Dropped;

/// Carries each request of a connection to `answer`, until the other end has enough of it.
pub(crate) async fn serve<F>(stream: TcpStream, answer: impl Fn(Request<s3s::Body>) -> F)
where
    F: Future<Output = Result<Response<s3s::Body>, Dropped>>,
{
    let answer = &answer;
    let result = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .half_close(true)
        .serve_connection(
            TokioIo::new(Parting::new(stream)),
            service_fn(|request| answered(request, answer)),
        )
        .await;
    if let Err(error) = result {
        tracing::debug!("a connection broke: {error}");
    }
}

/// A request and its answer, which says so where the connection ends with it: what comes after a
/// body that was not read may be that body or another request, and only a new connection tells.
async fn answered<F>(
    request: Request<Incoming>,
    answer: impl Fn(Request<s3s::Body>) -> F,
) -> Result<Response<s3s::Body>, Dropped>
where
    F: Future<Output = Result<Response<s3s::Body>, Dropped>>,
{
    let asks_first = request.headers().contains_key(EXPECT);
    let (parts, body) = request.into_parts();
    let body = LentBody::new(body);
    let lent = s3s::Body::http_body(body.clone());
    let mut response = answer(Request::from_parts(parts, lent)).await?;
    if !body.finish(asks_first).await {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use http::{Method, StatusCode};
    use http_body_util::BodyExt as _;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    /// Sends bytes to a server that refuses PUT and reads everything else: what it answers until
    /// it closes the connection, and the methods that it saw.
    async fn exchange(sent: &[u8]) -> (String, Vec<Method>) {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Mutex::new(Vec::new());
        let answer = |request: Request<s3s::Body>| {
            seen.lock().unwrap().push(request.method().clone());
            async {
                let status = match *request.method() {
                    Method::PUT => StatusCode::PRECONDITION_FAILED,
                    _ => request.into_body().collect().await.map(|_| StatusCode::OK).unwrap(),
                };
                let mut response = Response::new(s3s::Body::empty());
                *response.status_mut() = status;
                Ok(response)
            }
        };
        let client = async {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(sent).await.unwrap();
            stream.shutdown().await.unwrap();
            let mut said = String::new();
            stream.read_to_string(&mut said).await.unwrap();
            said
        };
        let server = async { serve(listener.accept().await.unwrap().0, answer).await };
        let (said, ()) = tokio::join!(client, server);
        (said, seen.into_inner().unwrap())
    }

    #[tokio::test]
    async fn what_follows_a_refused_question_is_neither_its_body_nor_a_request() {
        let (said, seen) = exchange(
            b"PUT /a HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n\
              GET /b HTTP/1.1\r\nHost: a\r\n\r\n",
        )
        .await;
        assert_eq!(seen, [Method::PUT], "{said}");
        assert!(said.starts_with("HTTP/1.1 412") && said.contains("connection: close"), "{said}");
    }

    #[tokio::test]
    async fn a_body_that_nobody_reads_may_be_sent_to_its_end_and_its_refusal_read() {
        const LENGTH: usize = 32 * 1024 * 1024;
        for more in ["", "Expect: 100-continue\r\n", "Connection: close\r\n"] {
            let head =
                format!("PUT /a HTTP/1.1\r\nHost: a\r\nContent-Length: {LENGTH}\r\n{more}\r\n");
            let mut sent = head.into_bytes();
            sent.resize(sent.len() + LENGTH, b'x');
            sent.extend(b"GET /b HTTP/1.1\r\nHost: a\r\n\r\n");
            let (said, seen) = exchange(&sent).await;
            assert_eq!(seen, [Method::PUT], "{said}");
            assert!(
                said.starts_with("HTTP/1.1 412") && said.contains("connection: close"),
                "{said}"
            );
        }
    }

    #[tokio::test]
    async fn a_head_that_never_ends_is_refused_in_words() {
        let sent = [&b"GET /a HTTP/1.1\r\nX: "[..], &vec![b'x'; 32 * 1024 * 1024]].concat();
        let (said, seen) = exchange(&sent).await;
        assert!(said.starts_with("HTTP/1.1 431") && seen.is_empty(), "{said}");
    }

    #[tokio::test]
    async fn a_little_that_nobody_reads_keeps_the_connection() {
        let (said, seen) = exchange(
            b"PUT /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
              1\r\nx\r\n1\r\ny\r\n0\r\nTrailer: z\r\n\r\n\
              GET /b HTTP/1.1\r\nHost: a\r\n\r\n",
        )
        .await;
        assert_eq!(seen, [Method::PUT, Method::GET], "{said}");
        assert!(!said.contains("connection: close"), "{said}");
    }

    #[tokio::test]
    async fn an_accepted_question_keeps_the_connection() {
        let (said, seen) = exchange(
            b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\nx\
              GET /b HTTP/1.1\r\nHost: a\r\n\r\n",
        )
        .await;
        assert_eq!(seen, [Method::POST, Method::GET], "{said}");
        assert_eq!(said.matches("HTTP/1.1 200").count(), 2, "{said}");
    }

    #[tokio::test]
    async fn a_refusal_of_a_request_with_its_body_keeps_the_connection() {
        let (said, seen) = exchange(
            b"PUT /a HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx\
              GET /b HTTP/1.1\r\nHost: a\r\n\r\n",
        )
        .await;
        assert_eq!(seen, [Method::PUT, Method::GET], "{said}");
    }
}
