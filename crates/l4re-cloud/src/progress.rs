//! Counting the bytes of an upload as the network takes them, and noticing when it stops.
//!
//! Invariant: an event at least once a second; an upload that moves nothing for the stall
//! limit ends.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use aws_sdk_s3::primitives::{ByteStream, SdkBody};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::connect::Cloud;
use crate::error::CloudError;
use crate::event::Event;

/// Small enough that a slow line shows movement, large enough to cost nothing.
const CHUNK: usize = 64 * 1024;

const TICK: Duration = Duration::from_millis(500);

/// The progress of one object.
pub(crate) struct Progress {
    size: u64,
    start: Instant,
    parts: Mutex<Vec<Arc<AtomicU64>>>,
}

impl Progress {
    pub(crate) fn new(size: u64) -> Self {
        Self { size, start: Instant::now(), parts: Mutex::default() }
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    /// Bytes handed to the network. Falls when a part is sent again.
    pub(crate) fn sent(&self) -> u64 {
        let parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        parts.iter().map(|part| part.load(Ordering::Relaxed)).sum()
    }

    /// A body that counts; sent again, it counts from zero.
    pub(crate) fn body(&self, bytes: Bytes) -> ByteStream {
        let sent = Arc::new(AtomicU64::new(0));
        self.parts.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&sent));
        let body = SdkBody::retryable(move || {
            sent.store(0, Ordering::Relaxed);
            SdkBody::from_body_1_x(CountedBody { rest: bytes.clone(), sent: Arc::clone(&sent) })
        });
        ByteStream::new(body)
    }

    /// Tells the progress until dropped; ends when nothing moved for `stall`.
    pub(crate) async fn watch(&self, cloud: &Cloud, key: &str, stall: Duration) -> CloudError {
        let mut last = (self.sent(), Instant::now());
        loop {
            tokio::time::sleep(TICK).await;
            let sent = self.sent();
            cloud.tell(Event::UploadProgress { sent, size: self.size, elapsed: self.elapsed() });
            if sent != last.0 {
                last = (sent, Instant::now());
            } else if last.1.elapsed() >= stall {
                return CloudError::Stalled { key: key.to_owned(), after: stall };
            }
        }
    }
}

/// Awaits what moves no bytes of its own, and tells each second that it is waited for.
pub(crate) async fn told<T>(cloud: &Cloud, key: &str, work: impl Future<Output = T>) -> T {
    let start = Instant::now();
    let mut work = std::pin::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return done,
            () = tokio::time::sleep(2 * TICK) => {
                let (key, elapsed) = (key.to_owned(), start.elapsed());
                cloud.tell(Event::StoreAwaited { key, elapsed });
            }
        }
    }
}

struct CountedBody {
    rest: Bytes,
    sent: Arc<AtomicU64>,
}

impl Body for CountedBody {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if self.rest.is_empty() {
            return Poll::Ready(None);
        }
        let size = self.rest.len().min(CHUNK);
        let chunk = self.rest.split_to(size);
        self.sent.fetch_add(size as u64, Ordering::Relaxed);
        Poll::Ready(Some(Ok(Frame::data(chunk))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn counts_and_starts_again() {
        let progress = Progress::new(200_000);
        let stream = progress.body(Bytes::from(vec![7; 200_000]));
        let again = stream.into_inner();
        let copy = again.try_clone().expect("a body that can be sent again");
        assert_eq!(ByteStream::new(again).collect().await.unwrap().into_bytes().len(), 200_000);
        assert_eq!(progress.sent(), 200_000);
        assert_eq!(ByteStream::new(copy).collect().await.unwrap().into_bytes().len(), 200_000);
    }
}
