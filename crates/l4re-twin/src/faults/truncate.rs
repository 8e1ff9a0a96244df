//! An answer that breaks off: its headers promise more than comes.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Response;
use http_body::{Body, Frame, SizeHint};

/// Cuts an answer's body.
pub(crate) fn truncate(answer: Response<s3s::Body>, bytes: u64) -> Response<s3s::Body> {
    answer.map(|body| s3s::Body::http_body_unsync(Truncated { body, left: bytes, sent: false }))
}

struct Truncated {
    body: s3s::Body,
    left: u64,
    /// Whether what comes before the break had a chance to be sent.
    sent: bool,
}

#[derive(Debug, thiserror::Error)]
#[error("the answer breaks off, as the plan of faults has it")]
struct BrokenOff;

impl Body for Truncated {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if self.left == 0 && !self.sent {
            // An error at once would take along what the server has not flushed yet, and the
            // client would see a connection that was never used.
            self.sent = true;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        if self.left == 0 {
            return Poll::Ready(Some(Err(Box::new(BrokenOff))));
        }
        let frame = std::task::ready!(Pin::new(&mut self.body).poll_frame(context));
        Poll::Ready(frame.map(|frame| match frame?.into_data() {
            Ok(mut data) => {
                let room = usize::try_from(self.left).unwrap_or(usize::MAX);
                data.truncate(room);
                self.left -= data.len() as u64;
                Ok(Frame::data(data))
            }
            Err(other) => Ok(other),
        }))
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
