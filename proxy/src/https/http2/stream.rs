//! One stream, as whoever answers on it and whoever takes its request's body have it.

use super::connection::{Shared, State, keep};
use bytes::Bytes;
use http::header::EXPECT;
use http::request::Parts;
use http::{HeaderMap, Response, StatusCode};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use usher_backends::http::headers;
use usher_wire::http2::{ErrorCode, Event, Received};

/// A stream for as long as it is held.
struct Held {
    shared: Arc<Shared>,
    id: u32,
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.had_turn(self.id);
        state.protocol.release(self.id);
        state.send_soon();
    }
}

/// The body of a stream's request.
pub(crate) struct Incoming {
    held: Arc<Held>,
    /// The client waits for a word before it sends it (RFC 9110 section 10.1.1).
    continues: bool,
}

/// The stream has been reset.
#[derive(Debug)]
pub(crate) struct Reset;

/// What comes of a body.
pub(crate) enum Piece {
    Data(Bytes),
    Trailers(HeaderMap),
}

impl Incoming {
    /// Whether it is known that nothing more comes.
    pub(crate) fn has_ended(&self) -> bool {
        self.held.shared.lock().protocol.is_over(self.held.id)
    }

    /// The body of the request with this head.
    pub(super) fn expected_by(mut self, parts: &Parts) -> Self {
        self.continues = parts.headers.contains_key(EXPECT);
        self
    }

    /// What comes next; `None` at the end.
    pub(crate) fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Piece, Reset>>> {
        let mut state = self.held.shared.lock();
        let received = state.protocol.take(self.held.id);
        if std::mem::take(&mut self.continues) && matches!(received, Received::Nothing) {
            state.protocol.send_head(self.held.id, 100, std::iter::empty(), false);
        }
        if !state.protocol.out.is_empty() {
            state.send_soon();
        }
        if let Received::Nothing = received {
            if let Some(wakers) = state.protocol.with(self.held.id) {
                keep(&mut wakers.reads, cx.waker());
            }
            return Poll::Pending;
        }
        drop(state);
        Poll::Ready(match received {
            Received::Data(data) => Some(Ok(Piece::Data(data.into()))),
            Received::Trailers(mut trailers) => {
                let bytes = Bytes::from(std::mem::take(&mut trailers.bytes));
                Some(headers(&bytes, trailers.places()).map(Piece::Trailers).ok_or(Reset))
            }
            Received::End | Received::Nothing => None,
            Received::Broken => Some(Err(Reset)),
        })
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        self.held.shared.lock().protocol.leave_unread(self.held.id);
    }
}

/// The response on a stream.
pub(crate) struct Responder(Arc<Held>);

/// Both sides of a stream that has begun.
pub(super) fn begun(shared: &Arc<Shared>, id: u32) -> (Incoming, Responder) {
    let held = Arc::new(Held { shared: shared.clone(), id });
    (Incoming { held: held.clone(), continues: false }, Responder(held))
}

impl Responder {
    /// Ready when the stream has been reset.
    pub(super) fn poll_reset(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.reset_in(&mut self.0.shared.lock(), cx)
    }

    fn reset_in(&self, state: &mut State, cx: &mut Context<'_>) -> Poll<()> {
        if state.protocol.is_reset(self.0.id) {
            return Poll::Ready(());
        }
        if let Some(wakers) = state.protocol.with(self.0.id) {
            keep(&mut wakers.answers, cx.waker());
        }
        Poll::Pending
    }

    fn room_in(&self, state: &mut State, cx: &mut Context<'_>) -> Poll<Result<usize, Reset>> {
        if self.reset_in(state, cx).is_ready() {
            return Poll::Ready(Err(Reset));
        }
        if !state.has_room(self.0.id) {
            return Poll::Pending;
        }
        Poll::Ready(state.protocol.room(self.0.id).ok_or(Reset))
    }

    /// Says a head, and with it the end of the response if it `ends`. Returns whether anybody hears it.
    pub(super) fn head<B>(&self, head: &Response<B>, ends: bool) -> bool {
        let mut state = self.0.shared.lock();
        let status = head.status().as_u16();
        let is_heard = state.protocol.send_head(self.0.id, status, fields(head.headers()), ends);
        state.send_soon();
        is_heard
    }

    /// Says trailers, and with them the end of the response.
    pub(super) fn trailers(&self, trailers: &HeaderMap) {
        let mut state = self.0.shared.lock();
        state.protocol.send_trailers(self.0.id, fields(trailers));
        state.send_soon();
    }

    /// Resets the stream.
    pub(super) fn reset(&self, code: ErrorCode) {
        let mut state = self.0.shared.lock();
        state.protocol.reset(self.0.id, code);
        state.tell(&Event::Reset(self.0.id));
        state.send_soon();
    }

    /// Ready when something could be said: how many bytes the client takes on this stream at the moment.
    pub(super) fn poll_room(&self, cx: &mut Context<'_>) -> Poll<Result<usize, Reset>> {
        self.room_in(&mut self.0.shared.lock(), cx)
    }

    /// Says as much of `data` as is possible, and with its last byte the end of the response if it `ends`. Returns how
    /// many bytes that were.
    pub(super) fn poll_data(
        &self,
        data: &[u8],
        ends: bool,
        cx: &mut Context<'_>,
    ) -> Poll<Result<usize, Reset>> {
        let mut state = self.0.shared.lock();
        let room = ready!(self.room_in(&mut state, cx))?;
        if room == 0 && !data.is_empty() {
            if state.protocol.is_held_back() {
                state.wait(self.0.id, true);
            }
            return Poll::Pending;
        }
        state.had_turn(self.0.id);
        let said = state.protocol.send_data(self.0.id, data, ends);
        state.send_soon();
        Poll::Ready(Ok(said))
    }
}

fn fields(headers: &HeaderMap) -> impl Iterator<Item = (&str, &[u8])> {
    headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()))
}

impl crate::https::message::interim::Inform for Responder {
    fn inform(&self, head: Response<()>) {
        // There is no 101 in HTTP/2 (RFC 9113 section 8.6), and 100 is said when the body is wanted.
        if !matches!(head.status(), StatusCode::SWITCHING_PROTOCOLS | StatusCode::CONTINUE) {
            self.head(&head, false);
        }
    }
}
