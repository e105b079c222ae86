//! One connection to a web service, and a request on it.

use super::http1::Http1;
use super::http2::{Http2, Unanswered};
use crate::connect::{
    BackendStream, Bound, Cause, ConnectFault, Counted, Deadlines, HttpTarget, OnBehalf, Slot, Stage,
    open_http,
};
use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use std::error::Error;
use std::sync::Arc;
use std::task::{Context, Poll};
use usher_config::snapshot::HttpVersion;

/// A connection on which requests of body `B` are sent.
pub struct Link<B> {
    kind: Kind<B>,
    /// Whether it has served a request before: it may have been closed since.
    pub used: bool,
    /// When it was made.
    pub opened: tokio::time::Instant,
    /// What this connection counts for, if the backend's connections are bounded.
    counted: Option<Count>,
}

enum Kind<B> {
    One(Box<Http1<B>>),
    Two(Http2<B>),
}

/// Gives back what the connection counts for when that is gone.
struct Count {
    counted: Arc<Counted>,
    /// It is the connection itself that counts, and not one user of it.
    is_connection: bool,
}

impl Drop for Count {
    fn drop(&mut self) {
        if self.is_connection {
            self.counted.release();
        }
    }
}

/// What comes back for a request.
pub enum Answer {
    /// An interim response (1xx); there are others behind it.
    Interim(Response<()>),
    /// The head of the response.
    Final(Response<()>),
}

/// Why there is no response.
pub struct SendFault<B> {
    /// What happened.
    pub fault: ConnectFault,
    /// The backend has said that it did nothing for it (RFC 9113 section 8.7).
    pub is_refused: bool,
    /// The request, if nothing of it was sent.
    pub unsent: Option<Box<Request<B>>>,
}

impl<B> SendFault<B> {
    fn of(cause: Cause) -> Self {
        Self { fault: ConnectFault::at(Stage::Response, cause), is_refused: false, unsent: None }
    }
}

impl<B> From<Unanswered<B>> for SendFault<B> {
    fn from(unanswered: Unanswered<B>) -> Self {
        let Unanswered { cause, is_refused, unsent } = unanswered;
        Self { is_refused, unsent, ..Self::of(cause) }
    }
}

impl<B> Link<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    /// Connects to `target` to speak `version`.
    ///
    /// # Errors
    /// [`ConnectFault`], within the deadline.
    pub async fn open(
        target: &HttpTarget,
        version: HttpVersion,
        on_behalf: OnBehalf<'_>,
        deadlines: &Deadlines,
    ) -> Result<Self, ConnectFault> {
        let mut permit = None;
        if let Some(bound) = &target.bound {
            let until = tokio::time::Instant::now() + deadlines.connect;
            let full = || ConnectFault::at(Stage::Dial, Cause::Full);
            permit = Some(bound.connection(until).await.ok_or_else(full)?);
        }
        let stream = open_http(target, version, Some(on_behalf), deadlines).await?;
        let (mut counted, opened) = (None, tokio::time::Instant::now());
        let kind = match version {
            HttpVersion::One => {
                counted = target
                    .bound
                    .as_ref()
                    .zip(permit)
                    .map(|(bound, permit)| Count { counted: bound.count(permit), is_connection: true });
                Kind::One(Box::new(Http1::new(stream)))
            }
            HttpVersion::Two => {
                let opened = Http2::open(stream, permit).await;
                Kind::Two(opened.map_err(|cause| ConnectFault::at(Stage::Response, cause))?)
            }
        };
        Ok(Self { kind, used: false, opened, counted })
    }

    /// Begins `request`, which goes out as soon as its answer is asked for. Returns its head, for another attempt.
    /// `fields`, as HTTP/1 writes them, are added where that is spoken.
    pub fn begin(&mut self, request: Request<B>, fields: &[u8]) -> Parts {
        match &mut self.kind {
            Kind::One(link) => link.begin(request, fields),
            Kind::Two(link) => link.begin(request),
        }
    }

    /// What comes back next for the request. May be given up and asked again.
    ///
    /// # Errors
    /// [`SendFault`]; nothing of a final response has come.
    pub async fn answer(&mut self) -> Result<Answer, SendFault<B>> {
        std::future::poll_fn(|cx| self.poll_answer(cx)).await
    }

    fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Result<Answer, SendFault<B>>> {
        let head = match &mut self.kind {
            Kind::One(link) => link.poll_head(cx).map_err(SendFault::of),
            Kind::Two(link) => link.poll_head(cx).map_err(SendFault::from),
        };
        head.map_ok(|head| match head.status() {
            StatusCode::SWITCHING_PROTOCOLS => Answer::Final(head),
            status if status.is_informational() => Answer::Interim(head),
            _ => Answer::Final(head),
        })
    }

    /// The next frame of the response's body. The rest of the request goes out meanwhile.
    pub fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, ConnectFault>>> {
        let frame = match &mut self.kind {
            Kind::One(link) => link.poll_frame(cx),
            Kind::Two(link) => link.poll_frame(cx),
        };
        frame.map_err(|cause| ConnectFault::at(Stage::Response, cause))
    }

    /// Reads no more than so many bytes for the next frame, where one request has the connection for itself.
    pub fn read_at_most(&mut self, bytes: usize) {
        if let Kind::One(link) = &mut self.kind {
            link.read_at_most(bytes);
        }
    }

    /// Whether the whole body of the response has been taken.
    pub fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::One(link) => link.is_end_stream(),
            Kind::Two(link) => link.is_end_stream(),
        }
    }

    /// What is known of the length of the response's body.
    pub fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::One(link) => link.size_hint(),
            Kind::Two(link) => link.size_hint(),
        }
    }

    /// The connection itself, once it is another protocol's, and what has come of that already. It counts no more. `None`:
    /// there is none of its own.
    pub fn into_switched(self) -> Option<(BackendStream, Bytes)> {
        match self.kind {
            Kind::One(link) => Some(link.into_switched()),
            Kind::Two(_) => None,
        }
    }

    /// A request begins on it, with the right to do so.
    pub fn occupy(&mut self, bound: &Bound, slot: Slot) {
        let counted =
            self.counted.get_or_insert_with(|| Count { counted: Arc::default(), is_connection: false });
        bound.begin(&counted.counted, slot);
    }

    /// The request on it is over.
    pub fn vacate(&self) {
        self.counted.as_ref().inspect(|count| count.counted.end());
    }

    /// What is spoken on it.
    pub fn version(&self) -> HttpVersion {
        match &self.kind {
            Kind::One(_) => HttpVersion::One,
            Kind::Two(_) => HttpVersion::Two,
        }
    }

    /// Whether the next request may be sent on it now.
    pub fn is_ready(&mut self) -> bool {
        match &mut self.kind {
            // If it no longer counts, there may be another one in its place.
            Kind::One(_) if self.counted.as_ref().is_some_and(|count| count.counted.is_released()) => false,
            Kind::One(link) => link.is_ready(),
            Kind::Two(link) => !link.is_closed(),
        }
    }

    /// Whether it is gone for good.
    pub fn is_closed(&mut self) -> bool {
        match &mut self.kind {
            Kind::One(link) => link.is_closed(),
            Kind::Two(link) => link.is_closed(),
        }
    }

    /// Whether several requests may use it at a time.
    pub(super) fn is_shared(&self) -> bool {
        matches!(self.kind, Kind::Two(_))
    }

    /// Another user of the same connection; `None` if one request has it for itself, or there are as many as a backend
    /// takes.
    pub(super) fn share(&self) -> Option<Self> {
        let Kind::Two(link) = &self.kind else { return None };
        Some(Self { kind: Kind::Two(link.share()?), used: true, opened: self.opened, counted: None })
    }
}
