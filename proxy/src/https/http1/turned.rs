//! The body of a response, which holds its request's turn until it is finished.

use super::pipeline::Turn;
use crate::https::response::{BrokenOff, ResponseBody};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll};

/// The body and the turn.
pub(super) struct Turned {
    body: ResponseBody,
    _turn: Turn,
}

impl Turned {
    pub(super) fn new(body: ResponseBody, turn: Turn) -> Self {
        Self { body, _turn: turn }
    }
}

impl Body for Turned {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        Pin::new(&mut self.get_mut().body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
