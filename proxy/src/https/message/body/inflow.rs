//! The body of a request by HTTP/1, between the connection that reads it and whoever it goes to.

use super::BodyFault;
use bytes::Bytes;
use http::HeaderMap;
use http_body::Frame;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// Shared by both. One piece is on its way at a time, so that nothing is read that nobody takes.
#[derive(Clone)]
pub(crate) struct Inflow(Arc<Mutex<State>>);

struct State {
    data: Bytes,
    trailers: Option<HeaderMap>,
    /// Bytes that are still to be read, if that is known.
    left: Option<u64>,
    end: Option<Result<(), BodyFault>>,
    /// Somebody waits for it.
    is_wanted: bool,
    /// Somebody has waited for it, or had it, before.
    has_begun: bool,
    taker: Option<Waker>,
    reader: Option<Waker>,
}

impl Inflow {
    /// A body of which `data` has come, and `left` bytes are to come, if that is known; nothing, where its `end` has come.
    pub(crate) fn new(data: Bytes, left: Option<u64>, end: Option<Option<HeaderMap>>) -> Self {
        Self(Arc::new(Mutex::new(State {
            data,
            left,
            end: end.is_some().then_some(Ok(())),
            trailers: end.flatten(),
            is_wanted: false,
            has_begun: false,
            taker: None,
            reader: None,
        })))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next frame, for whoever takes it.
    pub(super) fn poll_frame(&self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        let mut state = self.lock();
        if !state.data.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut state.data)))));
        }
        match state.end {
            Some(Err(fault)) => return Poll::Ready(Some(Err(fault))),
            Some(Ok(())) => {
                let trailers = state.trailers.take();
                return Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))));
            }
            None => {}
        }
        state.is_wanted = true;
        state.taker = Some(cx.waker().clone());
        // Mostly one task does both, and looks after the reading next.
        if let Some(reader) = state.reader.take_if(|reader| !reader.will_wake(cx.waker())) {
            reader.wake();
        }
        Poll::Pending
    }

    /// Whether nothing more comes.
    pub(super) fn has_ended(&self) -> bool {
        let state = self.lock();
        state.end == Some(Ok(())) && state.data.is_empty() && state.trailers.is_none()
    }

    /// Bytes that are still to come, if that is known.
    pub(super) fn exact(&self) -> Option<u64> {
        let state = self.lock();
        let is_known = state.trailers.is_none();
        state.left.filter(|_| is_known).map(|left| left + state.data.len() as u64)
    }

    /// Whether somebody waits for the next piece; `first`: for the first time. Whoever reads is woken when that changes.
    pub(crate) fn is_wanted(&self, cx: &mut Context<'_>) -> Wanted {
        let mut state = self.lock();
        if !state.is_wanted {
            state.reader = Some(cx.waker().clone());
            return Wanted::No;
        }
        if std::mem::replace(&mut state.has_begun, true) { Wanted::More } else { Wanted::First }
    }

    /// A piece has been read. `left` bytes are to come, if that is known.
    pub(crate) fn push(&self, data: Bytes, left: Option<u64>, cx: &mut Context<'_>) {
        let mut state = self.lock();
        (state.data, state.left) = (data, left);
        Self::tell(&mut state, cx);
    }

    /// All of it has been read, or it has broken off.
    pub(crate) fn end(&self, end: Result<Option<HeaderMap>, BodyFault>, cx: &mut Context<'_>) {
        let mut state = self.lock();
        state.end = Some(match end {
            Ok(trailers) => {
                state.trailers = trailers;
                Ok(())
            }
            Err(fault) => Err(fault),
        });
        state.left = state.left.map(|_| 0);
        Self::tell(&mut state, cx);
    }

    fn tell(state: &mut State, cx: &mut Context<'_>) {
        state.is_wanted = false;
        if let Some(taker) = state.taker.take().filter(|taker| !taker.will_wake(cx.waker())) {
            taker.wake();
        }
    }
}

/// Whether somebody waits for a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    No,
    First,
    More,
}
