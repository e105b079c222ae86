//! Bodies of requests on their way to a backend: in order, within their limits, one frame at a time.

mod fault;
mod flow;
mod inflow;
mod seen;
mod source;

pub(crate) use fault::BodyFault;
pub(crate) use inflow::{Inflow, Wanted};
pub(crate) use seen::Seen;
pub(crate) use source::Source;

use self::flow::{Flow, Sent};
use crate::active::ActiveConfig;
use crate::https::message::fields;
use crate::https::message::pace::Pace;
use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http_body::{Body, Frame, SizeHint};
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

/// The body of a request.
pub(crate) struct RequestBody {
    seen: Arc<Seen>,
    turn: u32,
    /// How many of the kept frames have been passed on.
    at: usize,
}

impl RequestBody {
    /// A body from `source` of at most `limit` bytes.
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

    /// Reads up to `most` bytes ahead and returns them; they are still passed on later. `None` if there are more.
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

    /// Reads up to `most` bytes ahead, and returns the names of the trailers if the body ends with any.
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

/// Removes from trailers what concerns framing, routing or identity (RFC 9110 section 6.5.1).
pub(crate) fn without_framing(frame: Frame<Bytes>) -> Frame<Bytes> {
    match frame.into_trailers() {
        Err(frame) => frame,
        Ok(mut trailers) => {
            fields::keep_trailers(&mut trailers);
            Frame::trailers(trailers)
        }
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
            // It is being sent again by another body.
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
            Source::One(inflow) => inflow.exact(),
            Source::Two(_) => None,
        };
        match rest.zip(kept).filter(|_| flow.trailers.is_none()) {
            Some((rest, kept)) => SizeHint::with_exact(kept + before + rest),
            None => SizeHint::default(),
        }
    }
}
