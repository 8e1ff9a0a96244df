//! A request's body, lent to who answers the request, so that it is known afterwards how much
//! of it was read.
//!
//! Invariant: as long as a body has not been read to its end, what comes next on its connection
//! is more of it and not another request (RFC 9112, section 9.3).

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

/// How much is read of what nobody wanted, so that the connection can be kept.
const LITTLE: usize = 64 * 1024;
/// How long that is waited for.
const SHORTLY: Duration = Duration::from_secs(1);

/// The body, for who answers and for who looks at what is left.
#[derive(Clone)]
pub(super) struct LentBody(Arc<Mutex<Lent>>);

struct Lent {
    body: Incoming,
    begun: bool,
    over: bool,
}

impl LentBody {
    pub(super) fn new(body: Incoming) -> Self {
        let over = body.is_end_stream();
        Self(Arc::new(Mutex::new(Lent { body, begun: false, over })))
    }

    /// Whether all of it was read, be it here: a little that is on its way is passed over. A
    /// client that asked first, and was not told to go on, may send none of it.
    pub(super) async fn finish(mut self, asked_first: bool) -> bool {
        let (begun, over, left) = {
            let lent = self.lent();
            (lent.begun, lent.over, lent.body.size_hint().lower())
        };
        if over || left > LITTLE as u64 || asked_first && !begun {
            return over;
        }
        let rest = async {
            let mut read = 0;
            while let Some(Ok(frame)) = self.frame().await {
                read += frame.data_ref().map_or(0, Bytes::len);
                if read > LITTLE {
                    return;
                }
            }
        };
        let _ = tokio::time::timeout(SHORTLY, rest).await;
        self.lent().over
    }

    fn lent(&self) -> MutexGuard<'_, Lent> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Body for LentBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let mut lent = self.lent();
        lent.begun = true;
        let frame = std::task::ready!(Pin::new(&mut lent.body).poll_frame(context));
        lent.over = frame.is_none() || lent.body.is_end_stream();
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.lent().body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.lent().body.size_hint()
    }
}
