//! Where the bytes of a body come from.

use super::{BodyFault, Inflow};
use crate::https::http2::{Incoming, Piece};
use crate::https::message::fields;
use bytes::Bytes;
use http_body::Frame;
use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::runtime::Handle;

/// Bytes that are read and dropped of a body whose answer came early, and for how long.
const DRAINED: usize = 64 * 1024;
const DRAIN: Duration = Duration::from_secs(1);

/// Where the bytes come from.
pub(crate) enum Source {
    Nothing,
    One(Inflow),
    Two(Incoming),
}

impl Source {
    /// Whether it is known that nothing more comes.
    pub(crate) fn has_ended(&self) -> bool {
        match self {
            Self::Nothing => true,
            Self::One(inflow) => inflow.has_ended(),
            Self::Two(incoming) => incoming.has_ended(),
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
            Self::Two(incoming) => poll_piece(incoming, cx),
        }
    }

    /// Nobody will read it any more.
    pub(super) fn close(self) {
        if let Self::Two(incoming) = self
            && !incoming.has_ended()
            && let Ok(runtime) = Handle::try_current()
        {
            runtime.spawn(drain(incoming));
        }
    }
}

/// Reads a little of what a client still sends after its answer: some clients consider a stream that is reset at once
/// to have failed (RFC 9113 section 8.1).
async fn drain(mut incoming: Incoming) {
    let mut left = DRAINED;
    let reading = async {
        while let Some(Ok(Piece::Data(data))) = poll_fn(|cx| incoming.poll_piece(cx)).await {
            let Some(less) = left.checked_sub(data.len()) else { return };
            left = less;
        }
    };
    let _ = tokio::time::timeout(DRAIN, reading).await;
}

fn poll_piece(
    incoming: &mut Incoming,
    cx: &mut Context<'_>,
) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
    incoming.poll_piece(cx).map(|piece| {
        Some(match piece? {
            Ok(Piece::Data(data)) => Ok(Frame::data(data)),
            Ok(Piece::Trailers(trailers)) if fields::has_blank_ends(&trailers) => Err(BodyFault::Trailers),
            Ok(Piece::Trailers(trailers)) => Ok(Frame::trailers(trailers)),
            Err(_) => Err(BodyFault::Broken),
        })
    })
}
