//! Where the bytes of a body come from.

use super::{BodyFault, Inflow};
use crate::https::message::fields;
use bytes::Bytes;
use h2::RecvStream;
use http_body::Frame;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::runtime::Handle;

/// Bytes that are read and dropped of a body whose answer came early, and for how long.
const DRAINED: usize = 64 * 1024;
const DRAIN: Duration = Duration::from_secs(1);

/// Where the bytes come from.
pub(crate) enum Source {
    Nothing,
    One(Inflow),
    Two(RecvStream),
}

impl Source {
    /// Whether it is known that nothing more comes.
    pub(crate) fn has_ended(&self) -> bool {
        match self {
            Self::Nothing => true,
            Self::One(inflow) => inflow.has_ended(),
            Self::Two(stream) => stream.is_end_stream(),
        }
    }

    /// The next frame.
    pub(super) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        match self {
            Self::Nothing => Poll::Ready(None),
            Self::One(inflow) => inflow.poll_frame(cx),
            Self::Two(stream) => poll_stream(stream, cx),
        }
    }

    /// Nobody will read it any more.
    pub(super) fn close(self) {
        if let Self::Two(stream) = self
            && !stream.is_end_stream()
            && let Ok(runtime) = Handle::try_current()
        {
            runtime.spawn(drain(stream));
        }
    }
}

/// Reads a little of what a client still sends after its answer: some clients consider a stream that is reset at once
/// to have failed (RFC 9113 section 8.1).
async fn drain(mut stream: RecvStream) {
    let mut left = DRAINED;
    let reading = async {
        while let Some(Ok(data)) = stream.data().await {
            let Some(less) = left.checked_sub(data.len()) else { return };
            left = less;
            let _ = stream.flow_control().release_capacity(data.len());
        }
    };
    let _ = tokio::time::timeout(DRAIN, reading).await;
}

fn poll_stream(
    stream: &mut RecvStream,
    cx: &mut Context<'_>,
) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
    match ready!(stream.poll_data(cx)) {
        Some(Ok(data)) => {
            // It is passed on at once: the client may send that much more.
            let _ = stream.flow_control().release_capacity(data.len());
            Poll::Ready(Some(Ok(Frame::data(data))))
        }
        Some(Err(_)) => Poll::Ready(Some(Err(BodyFault::Broken))),
        None => match ready!(stream.poll_trailers(cx)) {
            Ok(Some(trailers)) if fields::has_blank_ends(&trailers) => {
                Poll::Ready(Some(Err(BodyFault::Trailers)))
            }
            Ok(Some(trailers)) => Poll::Ready(Some(Ok(Frame::trailers(trailers)))),
            Ok(None) => Poll::Ready(None),
            Err(_) => Poll::Ready(Some(Err(BodyFault::Broken))),
        },
    }
}
