//! Bodies of responses on their way to a client. A body that breaks off is visibly incomplete.

use crate::https::message::body::{BodyFault, RequestBody, without_framing};
use crate::https::message::fields;
use crate::https::message::pace::{Patience, poll_due};
use crate::https::record::RequestRecord;
use crate::session::{By, Cause, Ended, Stage, Urgency};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep};
use usher_backends::connect::{Cause as HttpCause, ConnectFault, HttpTarget, Stage as ConnectStage};
use usher_backends::http::Link;

/// Why a response breaks off. The operator's log has the details.
#[derive(Debug, thiserror::Error)]
#[error("the response broke off")]
pub(crate) struct BrokenOff {
    /// Because the client's own stream broke the protocol.
    pub(crate) is_malformed: bool,
}

/// The body of a response.
pub(crate) struct ResponseBody {
    inner: Inner,
}

enum Inner {
    Own(Option<Bytes>, Option<Box<RequestRecord>>),
    Relayed(Box<Relayed>),
}

/// A backend's body.
pub(crate) struct Relayed {
    /// Brings the body. `None` once it has been given back, or given up.
    pub(crate) link: Option<Link<RequestBody>>,
    pub(crate) target: Arc<HttpTarget>,
    pub(crate) record: RequestRecord,
    /// Longest time without a byte from the backend.
    pub(crate) timeout: Duration,
    since: Option<Instant>,
    finished: bool,
    /// It breaks off as soon as everything before has been sent.
    breaking: bool,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl ResponseBody {
    /// usher's own words.
    pub(crate) fn of(words: Bytes) -> Self {
        let words = Some(words).filter(|words| !words.is_empty());
        Self { inner: Inner::Own(words, None) }
    }

    /// Ties the request's record to the body.
    pub(crate) fn holding(mut self, record: RequestRecord) -> Self {
        if let Inner::Own(_, held) = &mut self.inner {
            *held = Some(Box::new(record));
        }
        self
    }

    /// Reads no more than so many bytes of a backend's body for its next frame.
    pub(crate) fn read_at_most(&mut self, bytes: usize) {
        if let Inner::Relayed(relayed) = &mut self.inner
            && let Some(link) = &mut relayed.link
        {
            link.read_at_most(bytes);
        }
    }

    /// How long to wait for the client to take it, if it answers a request.
    pub(crate) fn patience(&self) -> Option<Patience> {
        match &self.inner {
            Inner::Own(_, record) => record.as_ref().map(|record| record.patience),
            Inner::Relayed(relayed) => Some(relayed.record.patience),
        }
    }
}

impl Relayed {
    pub(crate) fn body(
        link: Link<RequestBody>,
        target: Arc<HttpTarget>,
        record: RequestRecord,
        timeout: Duration,
    ) -> ResponseBody {
        let relayed = Self {
            link: Some(link),
            target,
            record,
            timeout,
            since: None,
            finished: false,
            breaking: false,
            sleep: None,
        };
        ResponseBody { inner: Inner::Relayed(Box::new(relayed)) }
    }

    /// All of it has come: the connection may serve the next request.
    fn finish(&mut self) {
        self.record.complete();
        self.finished = true;
        // If the client is still sending, the connection cannot be reused as it is.
        if let Some(seen) = &self.record.seen {
            seen.abandon();
        }
        let Some(mut link) = self.link.take() else { return };
        let (client, target) = (self.record.client.clone(), self.target.clone());
        let keep = move |link| match client.has_own(&target) {
            true => client.keep_own(&target, link),
            false => client.server.web.pool(&target).map_or((), |pool| pool.put(&target, link)),
        };
        if link.is_ready() {
            keep(link);
        }
    }

    /// Breaks off at the next poll: the codec drops what it has not sent yet when a body fails.
    fn break_off(
        &mut self,
        ended: Ended,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        self.record.end(ended);
        // It is in the middle of an exchange.
        self.link = None;
        self.breaking = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn is_end_stream(&self) -> bool {
        self.link.as_ref().is_none_or(Link::is_end_stream)
    }

    /// Reports that the backend is at fault.
    fn blame(&self, fault: &ConnectFault) {
        self.record.client.server.observer.connect_failed(&self.target.name, fault);
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        if self.breaking {
            let fault = self.record.seen.as_ref().and_then(|seen| seen.fault());
            return Poll::Ready(Some(Err(BrokenOff { is_malformed: fault == Some(BodyFault::Trailers) })));
        }
        let order = self.record.session.as_ref().and_then(|session| session.order(cx.waker()));
        if let Some(order) = order.filter(|order| order.urgency == Urgency::End) {
            let (by, cause) = Cause::ordered(order.why);
            return self.break_off(Ended::new(by, Stage::Relay, cause), cx);
        }
        let Some(link) = &mut self.link else { return Poll::Ready(None) };
        match link.poll_frame(cx) {
            Poll::Pending => {
                let since = *self.since.get_or_insert_with(Instant::now);
                // While the client's own body is being sent, the backend is busy.
                let last = self.record.seen.as_ref().map_or(since, |seen| seen.last_octet());
                let due = since.max(last) + self.timeout;
                match poll_due(&mut self.sleep, due, cx) {
                    Poll::Pending => Poll::Pending,
                    Poll::Ready(()) => {
                        self.break_off(Ended::new(By::Usher, Stage::Relay, Cause::TooLong), cx)
                    }
                }
            }
            Poll::Ready(Some(Ok(frame))) if frame.trailers_ref().is_some_and(fields::has_blank_ends) => {
                self.blame(&ConnectFault {
                    stage: ConnectStage::Response,
                    cause: HttpCause::Http("blank-ends"),
                });
                self.break_off(Ended::new(By::Backend, Stage::Relay, Cause::Truncated), cx)
            }
            Poll::Ready(Some(Ok(frame))) => {
                self.since = None;
                let octets = frame.data_ref().map_or(0, Bytes::len) as u64;
                self.record.from_backend += octets;
                self.record.client.server.metrics.bytes.from_backend.increment(octets);
                if let Some(session) = &self.record.session {
                    session.note_activity();
                }
                Poll::Ready(Some(Ok(without_framing(frame))))
            }
            // A client that stalls or leaves while sending its body ends the response as well.
            Poll::Ready(Some(Err(_)))
                if self.record.seen.as_ref().is_some_and(|seen| seen.fault().is_some()) =>
            {
                let fault = self.record.seen.as_ref().and_then(|seen| seen.fault());
                let cause = fault.map_or(Cause::Closed, |fault| Cause::Protocol(fault.name()));
                self.break_off(Ended::new(By::Client, Stage::Relay, cause), cx)
            }
            Poll::Ready(Some(Err(fault))) => {
                self.blame(&fault);
                self.break_off(Ended::new(By::Backend, Stage::Relay, Cause::Truncated), cx)
            }
            Poll::Ready(None) => {
                self.finish();
                Poll::Ready(None)
            }
        }
    }
}

impl Drop for Relayed {
    fn drop(&mut self) {
        // A body whose length was known, or that is empty, is not polled for its end.
        if !self.finished && !self.breaking && self.is_end_stream() {
            self.finish();
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        match &mut self.get_mut().inner {
            Inner::Own(words, _) => Poll::Ready(words.take().map(|words| Ok(Frame::data(words)))),
            Inner::Relayed(relayed) => relayed.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.inner {
            Inner::Own(words, _) => words.is_none(),
            Inner::Relayed(relayed) => relayed.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.inner {
            Inner::Own(words, _) => {
                SizeHint::with_exact(words.as_ref().map_or(0, |words| words.len() as u64))
            }
            Inner::Relayed(relayed) => {
                relayed.link.as_ref().map_or_else(|| SizeHint::with_exact(0), Link::size_hint)
            }
        }
    }
}
