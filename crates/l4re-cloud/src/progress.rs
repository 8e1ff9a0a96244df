//! Counting the bytes of an upload as the network takes them, and noticing when they stop.
//!
//! Invariants: an event at least once a second; a body of which nothing moves for the stall
//! limit is sent once more, on another connection, and then given up. No limit is on the whole:
//! how long an upload takes is the line's affair. (The SDK's own limit for an answer counts
//! from the first byte of the request, and so would be one.)

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use aws_sdk_s3::primitives::{ByteStream, SdkBody};
use aws_smithy_types::timeout::TimeoutConfig;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::connect::Cloud;
use crate::error::CloudError;
use crate::event::Event;

/// Small enough that a slow line shows movement, large enough to cost nothing.
const CHUNK: usize = 64 * 1024;

const TICK: Duration = Duration::from_millis(500);

/// How often a body that does not move is sent, the first time included.
const SENDINGS: u32 = 2;

/// How long the store may take to make an object of its parts.
const ASSEMBLY: Duration = Duration::from_secs(15 * 60);

/// The progress of one upload.
pub(crate) struct Progress {
    size: u64,
    start: Instant,
    bodies: Mutex<Vec<Arc<AtomicU64>>>,
}

impl Progress {
    pub(crate) fn new(size: u64) -> Self {
        Self { size, start: Instant::now(), bodies: Mutex::default() }
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    /// Bytes handed to the network. Falls when a body is sent again.
    pub(crate) fn sent(&self) -> u64 {
        let bodies = self.bodies.lock().unwrap_or_else(PoisonError::into_inner);
        bodies.iter().map(|sent| sent.load(Ordering::Relaxed)).sum()
    }

    /// Has `send` carry bytes to their end, and once more if they stand still for `stall`;
    /// `what` is what they are, for the error.
    ///
    /// Boxed, as the SDK's futures are large and many are under way.
    pub(crate) async fn carry<T, F: Future<Output = T>>(
        &self,
        what: &str,
        bytes: &Bytes,
        stall: Duration,
        send: impl Fn(ByteStream) -> F,
    ) -> Result<T, CloudError> {
        let sent = Arc::new(AtomicU64::new(0));
        self.bodies.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&sent));
        for _ in 0..SENDINGS {
            tokio::select! {
                // First what may move: after a pause of the whole machine both are due at once.
                biased;
                answer = Box::pin(send(body(bytes, &sent))) => return Ok(answer),
                () = still(&sent, stall) => sent.store(0, Ordering::Relaxed),
            }
        }
        Err(CloudError::Stalled { what: what.to_owned(), after: stall * SENDINGS })
    }

    /// Tells the progress until dropped.
    pub(crate) async fn tell(&self, cloud: &Cloud) -> std::convert::Infallible {
        let mut moved = (self.sent(), Instant::now());
        loop {
            tokio::time::sleep(TICK).await;
            let sent = self.sent();
            if sent != moved.0 {
                moved = (sent, Instant::now());
            }
            cloud.tell(Event::UploadProgress {
                sent,
                size: self.size,
                elapsed: self.elapsed(),
                still: moved.1.elapsed(),
            });
        }
    }
}

/// Limits for a request whose body [`Progress::carry`] watches: none but that for a connection.
pub(crate) fn unlimited(connect: Duration) -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(connect)
        .disable_read_timeout()
        .disable_operation_attempt_timeout()
        .disable_operation_timeout()
        .build()
}

/// Limits for the call that has the store make an object of its parts.
pub(crate) fn assembling(connect: Duration) -> TimeoutConfig {
    unlimited(connect).to_builder().operation_timeout(ASSEMBLY).build()
}

/// A body that counts; sent again, it counts from zero.
fn body(bytes: &Bytes, sent: &Arc<AtomicU64>) -> ByteStream {
    let (bytes, sent) = (bytes.clone(), Arc::clone(sent));
    ByteStream::new(SdkBody::retryable(move || {
        sent.store(0, Ordering::Relaxed);
        SdkBody::from_body_1_x(CountedBody { rest: bytes.clone(), sent: Arc::clone(&sent) })
    }))
}

/// Resolves when a count has stood still for `stall`.
async fn still(count: &AtomicU64, stall: Duration) {
    let mut moved = (count.load(Ordering::Relaxed), Instant::now());
    while moved.1.elapsed() < stall {
        tokio::time::sleep(TICK.min(stall)).await;
        let now = count.load(Ordering::Relaxed);
        if now != moved.0 {
            moved = (now, Instant::now());
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
        let sent = Arc::new(AtomicU64::new(0));
        let body = body(&Bytes::from(vec![7; 200_000]), &sent).into_inner();
        for _ in 0..2 {
            let again = body.try_clone().expect("a body that can be sent again");
            let bytes = ByteStream::new(again).collect().await.unwrap().into_bytes();
            assert_eq!((bytes.len(), sent.load(Ordering::Relaxed)), (200_000, 200_000));
        }
    }

    /// Takes all of a body, but not what comes with the first sending.
    async fn second_time(progress: &Progress, sendings: &AtomicU64) -> Result<usize, CloudError> {
        let bytes = Bytes::from(vec![7; 100_000]);
        let send = |body: ByteStream| async move {
            if sendings.fetch_add(1, Ordering::Relaxed) == 0 {
                std::future::pending::<()>().await;
            }
            body.collect().await.map_or(0, |all| all.into_bytes().len())
        };
        progress.carry("it", &bytes, Duration::from_millis(50), send).await
    }

    #[tokio::test]
    async fn what_stands_still_is_sent_once_more() {
        let progress = Progress::new(100_000);
        let sendings = AtomicU64::new(0);
        assert_eq!(second_time(&progress, &sendings).await.unwrap(), 100_000);
        assert_eq!((sendings.load(Ordering::Relaxed), progress.sent()), (2, 100_000));
    }

    #[tokio::test]
    async fn what_stands_still_twice_is_given_up() {
        let never = |_| std::future::pending::<()>();
        let (progress, bytes) = (Progress::new(1), Bytes::from_static(b"x"));
        let stall = Duration::from_millis(50);
        let error = progress.carry("it", &bytes, stall, never).await.unwrap_err();
        assert_eq!(error.code(), "stalled");
    }

    #[tokio::test]
    async fn what_moves_slowly_is_let_go_on() {
        let slow = |mut body: ByteStream| async move {
            let mut taken = 0;
            while let Some(Ok(chunk)) = body.next().await {
                taken += chunk.len() as u64;
                tokio::time::sleep(Duration::from_millis(40)).await;
            }
            taken
        };
        let (progress, bytes) = (Progress::new(0), Bytes::from(vec![7; 10 * CHUNK]));
        let taken = progress.carry("it", &bytes, Duration::from_millis(150), slow).await;
        assert_eq!(taken.unwrap(), 10 * CHUNK as u64);
    }
}
