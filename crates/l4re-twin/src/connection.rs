//! One HTTP connection, whoever is at its other end: clients and guests are served alike.

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;

use crate::faults::Dropped;

/// Carries each request of a connection to `answer`, until the other end has enough of it.
pub(crate) async fn serve<F>(stream: TcpStream, answer: impl Fn(Request<Incoming>) -> F)
where
    F: Future<Output = Result<Response<s3s::Body>, Dropped>>,
{
    let result = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .half_close(true)
        .serve_connection(TokioIo::new(stream), service_fn(answer))
        .await;
    if let Err(error) = result {
        tracing::debug!("a connection broke: {error}");
    }
}
