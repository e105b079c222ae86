//! Bodies of requests on their way to a backend: in order, within their limits, one frame at a time.

use super::fields;
use super::pace::Pace;
use crate::shared::Setting;
use atomic_waker::AtomicWaker;
use bytes::Bytes;
use h2::RecvStream;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::Instant;

/// Where the octets come from.
pub(super) enum Source {
    Nothing,
    One(Incoming),
    Two(RecvStream),
}

impl Source {
    /// Whether it is known that nothing more comes.
    pub(super) fn has_ended(&self) -> bool {
        match self {
            Self::Nothing => true,
            Self::One(incoming) => incoming.is_end_stream(),
            Self::Two(stream) => stream.is_end_stream(),
        }
    }
}

/// Why a body broke off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BodyFault {
    /// The client went away, or broke the framing.
    #[error("the client's body broke off")]
    Broken,
    /// It is longer than it may be.
    #[error("the client's body is too long")]
    TooLong,
    /// It came too slowly.
    #[error("the client's body came too slowly")]
    TooSlow,
    /// Its trailers are none.
    #[error("the client's trailers are malformed")]
    Trailers,
}

impl BodyFault {
    /// A word of a closed set, for logs and labels.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Broken => "body",
            Self::TooLong => "body-too-long",
            Self::TooSlow => "body-too-slow",
            Self::Trailers => "trailers",
        }
    }
}

/// What others can see of a body while a backend is given it.
pub(super) struct Seen {
    begun: Instant,
    /// Milliseconds from the beginning to the last octet.
    last: AtomicU64,
    /// Nobody wants the rest any more.
    abandoned: AtomicBool,
    fault: AtomicU8,
    octets: AtomicU64,
    ended: AtomicBool,
    /// The backend wants it, or nobody waits for the backend to say so.
    wanted: AtomicBool,
    waker: AtomicWaker,
}

impl Default for Seen {
    fn default() -> Self {
        Self {
            begun: Instant::now(),
            last: AtomicU64::new(0),
            abandoned: AtomicBool::new(false),
            fault: AtomicU8::new(0),
            octets: AtomicU64::new(0),
            ended: AtomicBool::new(false),
            wanted: AtomicBool::new(false),
            waker: AtomicWaker::new(),
        }
    }
}

impl Seen {
    /// When its last octet so far went on; where there is none, when it began.
    pub(super) fn last_octet(&self) -> Instant {
        self.begun + Duration::from_millis(self.last.load(Ordering::Relaxed))
    }

    /// Breaks it off, unless all of it has been read: the exchange is over, and whoever still waits for it would
    /// wait for ever.
    pub(super) fn abandon(&self) {
        if !self.has_ended() {
            self.abandoned.store(true, Ordering::Release);
            self.waker.wake();
        }
    }

    /// Why it broke off, where it did.
    pub(super) fn fault(&self) -> Option<BodyFault> {
        match self.fault.load(Ordering::Acquire) {
            1 => Some(BodyFault::Broken),
            2 => Some(BodyFault::TooLong),
            3 => Some(BodyFault::TooSlow),
            4 => Some(BodyFault::Trailers),
            _ => None,
        }
    }

    /// Octets that went on.
    pub(super) fn octets(&self) -> u64 {
        self.octets.load(Ordering::Relaxed)
    }

    /// Whether all of it has been read.
    pub(super) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// Lets it flow.
    pub(super) fn want(&self) {
        self.wanted.store(true, Ordering::Release);
        self.waker.wake();
    }

    /// Whether it flows.
    pub(super) fn is_wanted(&self) -> bool {
        self.wanted.load(Ordering::Acquire)
    }
}

/// The body of a request.
pub(crate) struct RequestBody {
    source: Source,
    /// Read before, and first to go on.
    before: VecDeque<Bytes>,
    /// The same of its trailers.
    trailers: Option<HeaderMap>,
    /// Octets that may still come from the source.
    left: u64,
    pace: Option<Box<Pace>>,
    /// Knows which fields say who somebody is: no trailer may.
    setting: Option<Arc<Setting>>,
    seen: Arc<Seen>,
}

impl RequestBody {
    /// A body from `source` of at most `limit` octets.
    pub(super) fn new(source: Source, limit: Option<u64>, pace: Pace, setting: &Arc<Setting>) -> Self {
        let seen = Seen::default();
        let is_empty = source.has_ended();
        seen.ended.store(is_empty, Ordering::Release);
        let source = if is_empty { Source::Nothing } else { source };
        let pace = (!is_empty).then(|| Box::new(pace));
        let setting = (!is_empty).then(|| setting.clone());
        let (before, left) = (VecDeque::new(), limit.unwrap_or(u64::MAX));
        Self { source, before, trailers: None, left, pace, setting, seen: Arc::new(seen) }
    }

    /// No body, of a request that has been sent before: others see both as one.
    pub(super) fn nothing(seen: Arc<Seen>) -> Self {
        let (source, before) = (Source::Nothing, VecDeque::new());
        Self { source, before, trailers: None, left: 0, pace: None, setting: None, seen }
    }

    /// What others can see of it.
    pub(super) fn seen(&self) -> &Arc<Seen> {
        &self.seen
    }

    /// Whether there is nothing to send.
    pub(super) fn is_empty(&self) -> bool {
        matches!(self.source, Source::Nothing) && self.before.is_empty() && self.trailers.is_none()
    }

    /// Reads up to `most` octets ahead and returns them; they still go on. `None`: there are more.
    pub(super) async fn read_ahead(&mut self, most: usize) -> Result<Option<Vec<u8>>, BodyFault> {
        let mut read: Vec<u8> = self.before.iter().flatten().copied().collect();
        while read.len() <= most {
            match std::future::poll_fn(|cx| self.poll_source(cx)).await {
                None => return Ok(Some(read)),
                Some(Err(fault)) => return Err(fault),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => {
                        read.extend_from_slice(&data);
                        self.before.push_back(data);
                    }
                    Err(frame) => self.trailers = frame.into_trailers().ok(),
                },
            }
        }
        Ok(None)
    }

    /// Reads up to `most` octets ahead, and returns the names of the trailers where the body ends with some.
    pub(super) async fn announce(&mut self, most: usize) -> Result<Option<HeaderValue>, BodyFault> {
        self.read_ahead(most).await?;
        let names = self.trailers.iter().flat_map(HeaderMap::keys).map(HeaderName::as_str);
        let names = names.collect::<Vec<_>>().join(", ");
        Ok(HeaderValue::try_from(names).ok().filter(|names| !names.is_empty()))
    }

    fn fail(&mut self, fault: BodyFault) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        let code = match fault {
            BodyFault::Broken => 1,
            BodyFault::TooLong => 2,
            BodyFault::TooSlow => 3,
            BodyFault::Trailers => 4,
        };
        self.seen.fault.store(code, Ordering::Release);
        self.source = Source::Nothing;
        Poll::Ready(Some(Err(fault)))
    }

    fn poll_source(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        let polled = match &mut self.source {
            Source::Nothing => Poll::Ready(None),
            Source::One(incoming) => Pin::new(incoming).poll_frame(cx).map_err(|_| BodyFault::Broken),
            Source::Two(stream) => poll_stream(stream, cx),
        };
        match polled {
            Poll::Pending => {
                let Some(pace) = &mut self.pace else { return Poll::Pending };
                ready!(pace.poll_wait(cx));
                self.fail(BodyFault::TooSlow)
            }
            Poll::Ready(None) => {
                self.source = Source::Nothing;
                self.seen.ended.store(true, Ordering::Release);
                Poll::Ready(None)
            }
            Poll::Ready(Some(Err(fault))) => self.fail(fault),
            Poll::Ready(Some(Ok(frame))) => {
                let octets = frame.data_ref().map_or(0, Bytes::len);
                if let Some(pace) = &mut self.pace {
                    pace.progress(octets);
                }
                let Some(left) = self.left.checked_sub(octets as u64) else {
                    return self.fail(BodyFault::TooLong);
                };
                self.left = left;
                // Whoever knows its length does not ask for its end.
                self.seen.ended.store(self.source.has_ended(), Ordering::Release);
                self.seen.octets.fetch_add(octets as u64, Ordering::Relaxed);
                let passed = u64::try_from(self.seen.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
                self.seen.last.store(passed, Ordering::Relaxed);
                let frame = frame.into_trailers().map(|mut trailers| {
                    fields::keep_trailers(&mut trailers);
                    let https = self.setting.as_ref().map(|setting| &setting.snapshot.https);
                    fields::remove_claims(&mut trailers, https);
                    Frame::trailers(trailers)
                });
                Poll::Ready(Some(Ok(frame.unwrap_or_else(|frame| frame))))
            }
        }
    }
}

/// Takes from trailers what speaks of framing, routing or identity (RFC 9110 section 6.5.1).
pub(super) fn without_framing(frame: Frame<Bytes>) -> Frame<Bytes> {
    match frame.into_trailers() {
        Err(frame) => frame,
        Ok(mut trailers) => {
            fields::keep_trailers(&mut trailers);
            Frame::trailers(trailers)
        }
    }
}

fn poll_stream(
    stream: &mut RecvStream,
    cx: &mut Context<'_>,
) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
    match ready!(stream.poll_data(cx)) {
        Some(Ok(data)) => {
            // It goes on at once: the client may send as much again.
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

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyFault;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        let this = self.get_mut();
        this.seen.waker.register(cx.waker());
        if this.seen.abandoned.load(Ordering::Acquire) {
            return this.fail(BodyFault::Broken);
        }
        if !this.seen.is_wanted() {
            return Poll::Pending;
        }
        if let Some(data) = this.before.pop_front() {
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        if let Some(trailers) = this.trailers.take() {
            return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
        }
        this.poll_source(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        let before: u64 = self.before.iter().map(|data| data.len() as u64).sum();
        let rest = match &self.source {
            Source::Nothing => Some(0),
            Source::One(incoming) => incoming.size_hint().exact(),
            Source::Two(_) => None,
        };
        match rest.filter(|_| self.trailers.is_none()) {
            Some(rest) => SizeHint::with_exact(before + rest),
            None => SizeHint::default(),
        }
    }
}
