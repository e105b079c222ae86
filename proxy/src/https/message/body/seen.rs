//! What others can observe of a body while it is being sent to a backend.

use super::flow::Flow;
use super::{BodyFault, RequestBody, Source};
use crate::https::message::fields;
use atomic_waker::AtomicWaker;
use bytes::Bytes;
use http_body::Frame;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::Instant;

/// What others can see of a body while a backend is given it.
pub(crate) struct Seen {
    begun: Instant,
    /// Milliseconds from the beginning to the last byte.
    last: AtomicU64,
    /// Nobody wants the rest.
    pub(super) abandoned: AtomicBool,
    fault: AtomicU8,
    octets: AtomicU64,
    ended: AtomicBool,
    /// The backend wants it, or nobody waits for the backend to say so.
    wanted: AtomicBool,
    pub(super) waker: AtomicWaker,
    flow: Mutex<Flow>,
}

impl Seen {
    pub(super) fn new(flow: Flow) -> Self {
        Self {
            begun: Instant::now(),
            last: AtomicU64::new(0),
            abandoned: AtomicBool::new(false),
            fault: AtomicU8::new(0),
            octets: AtomicU64::new(0),
            ended: AtomicBool::new(flow.source.has_ended()),
            wanted: AtomicBool::new(false),
            waker: AtomicWaker::new(),
            flow: Mutex::new(flow),
        }
    }

    pub(super) fn flow(&self) -> MutexGuard<'_, Flow> {
        self.flow.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When its last byte so far was passed on or, if there is none, when it began.
    pub(crate) fn last_octet(&self) -> Instant {
        self.begun + Duration::from_millis(self.last.load(Ordering::Relaxed))
    }

    /// Breaks it off, unless all of it has been read: the exchange is over, and whoever waited for it would wait
    /// forever.
    pub(crate) fn abandon(&self) {
        if !self.has_ended() {
            self.abandoned.store(true, Ordering::Release);
            self.waker.wake();
        }
    }

    /// Why it broke off, where it did.
    pub(crate) fn fault(&self) -> Option<BodyFault> {
        match self.fault.load(Ordering::Acquire) {
            1 => Some(BodyFault::Broken),
            2 => Some(BodyFault::TooLong),
            3 => Some(BodyFault::TooSlow),
            4 => Some(BodyFault::Trailers),
            _ => None,
        }
    }

    /// Bytes that went on.
    pub(crate) fn octets(&self) -> u64 {
        self.octets.load(Ordering::Relaxed)
    }

    /// Whether all of it has been read.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// Lets it flow.
    pub(crate) fn want(&self) {
        self.wanted.store(true, Ordering::Release);
        self.waker.wake();
    }

    /// Whether it flows.
    pub(crate) fn is_wanted(&self) -> bool {
        self.wanted.load(Ordering::Acquire)
    }

    /// Keeps what is passed on, up to `most` bytes, until the backend answers: a backend that refuses the request has
    /// done nothing with it.
    pub(crate) fn keep(&self, most: usize) {
        let mut flow = self.flow();
        if !flow.has_begun {
            flow.keeps = Some(most);
        }
    }

    /// The backend has answered: nothing is sent again.
    pub(crate) fn answered(&self) {
        let mut flow = self.flow();
        // What is kept and has not been passed on this time still is.
        flow.keeps = None;
        if !flow.is_held {
            flow.close();
        }
    }

    /// The same body from its beginning; `None` if that has not been kept.
    pub(crate) fn again(self: &Arc<Self>) -> Option<RequestBody> {
        let mut flow = self.flow();
        if !flow.is_whole {
            return None;
        }
        flow.turn += 1;
        flow.is_held = true;
        let turn = flow.turn;
        drop(flow);
        Some(RequestBody { seen: self.clone(), turn, at: 0 })
    }

    pub(super) fn fail(
        &self,
        flow: &mut Flow,
        fault: BodyFault,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        let code = match fault {
            BodyFault::Broken => 1,
            BodyFault::TooLong => 2,
            BodyFault::TooSlow => 3,
            BodyFault::Trailers => 4,
        };
        self.fault.store(code, Ordering::Release);
        flow.source = Source::Nothing;
        Poll::Ready(Some(Err(fault)))
    }

    pub(super) fn poll_source(
        &self,
        flow: &mut Flow,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        match flow.source.poll_frame(cx) {
            Poll::Pending => {
                let Some(pace) = &mut flow.pace else { return Poll::Pending };
                ready!(pace.poll_wait(cx));
                self.fail(flow, BodyFault::TooSlow)
            }
            Poll::Ready(None) => {
                flow.source = Source::Nothing;
                self.ended.store(true, Ordering::Release);
                Poll::Ready(None)
            }
            Poll::Ready(Some(Err(fault))) => self.fail(flow, fault),
            Poll::Ready(Some(Ok(frame))) => {
                let octets = frame.data_ref().map_or(0, Bytes::len);
                if let Some(pace) = &mut flow.pace {
                    pace.progress(octets);
                }
                let Some(left) = flow.left.checked_sub(octets as u64) else {
                    return self.fail(flow, BodyFault::TooLong);
                };
                flow.left = left;
                // A reader that knows the length does not ask for the end.
                self.ended.store(flow.source.has_ended(), Ordering::Release);
                self.octets.fetch_add(octets as u64, Ordering::Relaxed);
                let passed = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
                self.last.store(passed, Ordering::Relaxed);
                let frame = frame.into_trailers().map(|mut trailers| {
                    fields::keep_trailers(&mut trailers);
                    let https = flow.active.as_ref().map(|active| &active.snapshot.https);
                    fields::remove_claims(&mut trailers, https);
                    Frame::trailers(trailers)
                });
                Poll::Ready(Some(Ok(frame.unwrap_or_else(|frame| frame))))
            }
        }
    }
}
