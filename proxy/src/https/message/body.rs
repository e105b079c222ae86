//! Bodies of requests on their way to a backend: in order, within their limits, one frame at a time.

use crate::active::ActiveConfig;
use crate::https::message::fields;
use crate::https::message::pace::Pace;
use crate::https::message::refusal::Refusal;
use atomic_waker::AtomicWaker;
use bytes::Bytes;
use h2::RecvStream;
use http::StatusCode;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::time::Instant;

/// Octets that are read and dropped of a body whose answer came early, and for how long.
const DRAINED: usize = 64 * 1024;
const DRAIN: Duration = Duration::from_secs(1);

/// Where the octets come from.
pub(crate) enum Source {
    Nothing,
    One(Incoming),
    Two(RecvStream),
}

impl Source {
    /// Whether it is known that nothing more comes.
    pub(crate) fn has_ended(&self) -> bool {
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
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Broken => "body",
            Self::TooLong => "body-too-long",
            Self::TooSlow => "body-too-slow",
            Self::Trailers => "trailers",
        }
    }
}

impl From<BodyFault> for Refusal {
    fn from(fault: BodyFault) -> Self {
        let status = match fault {
            BodyFault::Broken | BodyFault::Trailers => StatusCode::BAD_REQUEST,
            BodyFault::TooLong => StatusCode::PAYLOAD_TOO_LARGE,
            BodyFault::TooSlow => StatusCode::REQUEST_TIMEOUT,
        };
        Self::new(status, fault.name())
    }
}

/// What others can see of a body while a backend is given it.
pub(crate) struct Seen {
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
    flow: Mutex<Flow>,
}

impl Seen {
    fn new(flow: Flow) -> Self {
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

    fn flow(&self) -> MutexGuard<'_, Flow> {
        self.flow.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When its last octet so far went on; where there is none, when it began.
    pub(crate) fn last_octet(&self) -> Instant {
        self.begun + Duration::from_millis(self.last.load(Ordering::Relaxed))
    }

    /// Breaks it off, unless all of it has been read: the exchange is over, and whoever still waits for it would
    /// wait for ever.
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

    /// Octets that went on.
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

    /// Keeps what goes on, up to `most` octets, until the backend answers: one that turns the request away has done
    /// nothing for it.
    pub(crate) fn keep(&self, most: usize) {
        let mut flow = self.flow();
        if !flow.has_begun {
            flow.keeps = Some(most);
        }
    }

    /// The backend has answered: nothing is sent again.
    pub(crate) fn answered(&self) {
        let mut flow = self.flow();
        // What is kept and has not gone on this time goes on all the same.
        flow.keeps = None;
        if !flow.is_held {
            flow.close();
        }
    }

    /// The same body from its beginning; `None` where that is not there any more.
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

    fn fail(&self, flow: &mut Flow, fault: BodyFault) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
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

    fn poll_source(
        &self,
        flow: &mut Flow,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        let polled = match &mut flow.source {
            Source::Nothing => Poll::Ready(None),
            Source::One(incoming) => Pin::new(incoming).poll_frame(cx).map_err(|_| BodyFault::Broken),
            Source::Two(stream) => poll_stream(stream, cx),
        };
        match polled {
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
                // Whoever knows its length does not ask for its end.
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

/// The octets, and where they come from.
struct Flow {
    source: Source,
    /// Read before, and first to go on.
    before: VecDeque<Bytes>,
    /// The same of its trailers.
    trailers: Option<HeaderMap>,
    /// Octets that may still come from the source.
    left: u64,
    pace: Option<Box<Pace>>,
    /// Knows which fields say who somebody is: no trailer may.
    active: Option<Arc<ActiveConfig>>,
    /// Gone on, and kept to be sent once more; `None` in `keeps`: nothing is kept.
    sent: Vec<Sent>,
    keeps: Option<usize>,
    /// Something has gone on.
    has_begun: bool,
    /// All that has gone on is kept.
    is_whole: bool,
    /// Which body reads it: only the youngest one.
    turn: u32,
    /// Whether that one is there.
    is_held: bool,
}

/// A frame that is kept.
#[derive(Clone)]
enum Sent {
    Data(Bytes),
    Trailers(HeaderMap),
}

impl Sent {
    fn of(frame: &Frame<Bytes>) -> Option<Self> {
        let data = frame.data_ref().map(|data| Self::Data(data.clone()));
        data.or_else(|| frame.trailers_ref().map(|trailers| Self::Trailers(trailers.clone())))
    }

    fn frame(self) -> Frame<Bytes> {
        match self {
            Self::Data(data) => Frame::data(data),
            Self::Trailers(trailers) => Frame::trailers(trailers),
        }
    }
}

impl Flow {
    /// Keeps a frame that goes on, as long as there are not too many octets of them.
    fn note_sent(&mut self, frame: &Frame<Bytes>) {
        self.has_begun = true;
        let octets = frame.data_ref().map_or(0, Bytes::len);
        match self.keeps.and_then(|left| left.checked_sub(octets)) {
            Some(left) => {
                self.keeps = Some(left);
                self.sent.extend(Sent::of(frame));
            }
            None => {
                (self.keeps, self.is_whole) = (None, false);
                self.sent = Vec::new();
            }
        }
    }

    /// Nobody reads it any more.
    fn close(&mut self) {
        self.sent = Vec::new();
        if let Source::Two(stream) = std::mem::replace(&mut self.source, Source::Nothing)
            && !stream.is_end_stream()
            && let Ok(runtime) = Handle::try_current()
        {
            runtime.spawn(drain(stream));
        }
    }
}

/// Reads a little of what a client still sends after its answer: some take a stream that is reset at once for one that
/// failed (RFC 9113 section 8.1).
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

/// The body of a request.
pub(crate) struct RequestBody {
    seen: Arc<Seen>,
    turn: u32,
    /// Frames of those kept that have gone on.
    at: usize,
}

impl RequestBody {
    /// A body from `source` of at most `limit` octets.
    pub(crate) fn new(source: Source, limit: Option<u64>, pace: Pace, active: &Arc<ActiveConfig>) -> Self {
        let is_empty = source.has_ended();
        let flow = Flow {
            source: if is_empty { Source::Nothing } else { source },
            before: VecDeque::new(),
            trailers: None,
            left: limit.unwrap_or(u64::MAX),
            pace: (!is_empty).then(|| Box::new(pace)),
            active: (!is_empty).then(|| active.clone()),
            sent: Vec::new(),
            keeps: None,
            has_begun: false,
            is_whole: true,
            turn: 0,
            is_held: true,
        };
        Self { seen: Arc::new(Seen::new(flow)), turn: 0, at: 0 }
    }

    /// What others can see of it.
    pub(crate) fn seen(&self) -> &Arc<Seen> {
        &self.seen
    }

    /// Whether there is nothing to send.
    pub(crate) fn is_empty(&self) -> bool {
        let flow = self.seen.flow();
        matches!(flow.source, Source::Nothing)
            && flow.before.is_empty()
            && flow.trailers.is_none()
            && flow.sent.len() <= self.at
    }

    /// Reads up to `most` octets ahead and returns them; they still go on. `None`: there are more.
    pub(crate) async fn read_ahead(&mut self, most: usize) -> Result<Option<Vec<u8>>, BodyFault> {
        let seen = &self.seen;
        let mut read: Vec<u8> = seen.flow().before.iter().flatten().copied().collect();
        while read.len() <= most {
            match std::future::poll_fn(|cx| seen.poll_source(&mut seen.flow(), cx)).await {
                None => return Ok(Some(read)),
                Some(Err(fault)) => return Err(fault),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => {
                        read.extend_from_slice(&data);
                        seen.flow().before.push_back(data);
                    }
                    Err(frame) => seen.flow().trailers = frame.into_trailers().ok(),
                },
            }
        }
        Ok(None)
    }

    /// Reads up to `most` octets ahead, and returns the names of the trailers where the body ends with some.
    pub(crate) async fn announce(&mut self, most: usize) -> Result<Option<HeaderValue>, BodyFault> {
        self.read_ahead(most).await?;
        let flow = self.seen.flow();
        let names = flow.trailers.iter().flat_map(HeaderMap::keys).map(HeaderName::as_str);
        let names = names.collect::<Vec<_>>().join(", ");
        Ok(HeaderValue::try_from(names).ok().filter(|names| !names.is_empty()))
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        let mut flow = self.seen.flow();
        if flow.turn == self.turn {
            flow.is_held = false;
            if flow.keeps.is_none() {
                flow.close();
            }
        }
    }
}

/// Takes from trailers what speaks of framing, routing or identity (RFC 9110 section 6.5.1).
pub(crate) fn without_framing(frame: Frame<Bytes>) -> Frame<Bytes> {
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
        let seen = &this.seen;
        let mut flow = seen.flow();
        if flow.turn != this.turn {
            // Sent again by another way.
            return Poll::Ready(Some(Err(BodyFault::Broken)));
        }
        seen.waker.register(cx.waker());
        if seen.abandoned.load(Ordering::Acquire) {
            flow.close();
            return Poll::Ready(Some(Err(BodyFault::Broken)));
        }
        if !seen.is_wanted() {
            return Poll::Pending;
        }
        if let Some(sent) = flow.sent.get(this.at) {
            this.at += 1;
            return Poll::Ready(Some(Ok(sent.clone().frame())));
        }
        let polled = if let Some(data) = flow.before.pop_front() {
            Poll::Ready(Some(Ok(Frame::data(data))))
        } else if let Some(trailers) = flow.trailers.take() {
            Poll::Ready(Some(Ok(Frame::trailers(trailers))))
        } else {
            seen.poll_source(&mut flow, cx)
        };
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            flow.note_sent(frame);
            this.at = flow.sent.len();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        let flow = self.seen.flow();
        let kept = flow.sent.iter().skip(self.at).map(|sent| match sent {
            Sent::Data(data) => Some(data.len() as u64),
            Sent::Trailers(_) => None,
        });
        let kept: Option<u64> = kept.sum();
        let before: u64 = flow.before.iter().map(|data| data.len() as u64).sum();
        let rest = match &flow.source {
            Source::Nothing => Some(0),
            Source::One(incoming) => incoming.size_hint().exact(),
            Source::Two(_) => None,
        };
        match rest.zip(kept).filter(|_| flow.trailers.is_none()) {
            Some((rest, kept)) => SizeHint::with_exact(kept + before + rest),
            None => SizeHint::default(),
        }
    }
}
