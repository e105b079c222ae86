//! One connection to a web service, and a request on it.

use super::judged::{Judge, Judged};
use crate::connect::{
    Bound, Cause, ConnectFault, Counted, Deadlines, HttpTarget, OnBehalf, Slot, Stage, USERS, open_http,
};
use http::{Method, Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;
use usher_config::snapshot::HttpVersion;
use usher_wire::http::field::ends_in_blanks;
use usher_wire::http1::{Caps, Expected};

/// Window of a stream of HTTP/2, in octets.
const STREAM_WINDOW: u32 = 256 * 1024;
/// Window of a connection, in octets: a client that reads slowly leaves room for all others.
const WINDOW: u32 = 32 * 1024 * 1024;
/// Between two signs of life of an HTTP/2 connection that is in use, and for the answer to one.
const ALIVE: Duration = Duration::from_secs(20);
/// Most octets that are gathered of a response before they are handed on.
const BUFFER: usize = Caps::RESPONSE.head + 16 * 1024;

/// A connection on which requests of body `B` are sent.
pub struct Link<B> {
    kind: Kind<B>,
    /// Whether it has served a request before: it may have been closed since.
    pub used: bool,
    /// When it was made.
    pub opened: tokio::time::Instant,
    /// Where the backend's connections are bounded: what this one counts for.
    counted: Option<Arc<Counted>>,
}

enum Kind<B> {
    One(http1::SendRequest<B>, Judge),
    /// With a count of those who use it.
    Two(http2::SendRequest<B>, Arc<()>),
}

/// Why there is no response.
pub struct SendFault<B> {
    /// What happened.
    pub fault: ConnectFault,
    /// The backend has said that it did nothing for it (RFC 9113 section 8.7).
    pub is_refused: bool,
    /// The request, where nothing of it was sent.
    pub unsent: Option<Box<Request<B>>>,
}

impl<B> Link<B>
where
    B: Body + Send + Unpin + 'static,
    B::Data: Send,
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
        let mut counted = None;
        let broken = |error: &hyper::Error| ConnectFault::at(Stage::Response, cause(error));
        let kind = match version {
            HttpVersion::One => {
                let judge = Judge::default();
                let io = TokioIo::new(Judged::new(stream, judge.clone()));
                let (sender, connection) = http1::Builder::new()
                    .max_headers(Caps::RESPONSE.fields + 1)
                    .max_header_size(Caps::RESPONSE.head)
                    .max_buf_size(BUFFER)
                    .handshake(io)
                    .await
                    .map_err(|error| broken(&error))?;
                // Whoever waits for a response hears of the error.
                counted = target.bound.as_ref().zip(permit.take()).map(|(bound, permit)| bound.count(permit));
                let gone = counted.clone();
                tokio::spawn(async move {
                    drop(connection.with_upgrades().await);
                    gone.inspect(|counted| counted.release());
                });
                Kind::One(sender, judge)
            }
            HttpVersion::Two => {
                let (sender, connection) = http2::Builder::new(TokioExecutor::new())
                    .timer(TokioTimer::new())
                    .initial_stream_window_size(STREAM_WINDOW)
                    .initial_connection_window_size(WINDOW)
                    .max_header_list_size(Caps::RESPONSE.head as u32)
                    .keep_alive_interval(ALIVE)
                    .keep_alive_timeout(ALIVE)
                    .handshake(TokioIo::new(stream))
                    .await
                    .map_err(|error| broken(&error))?;
                tokio::spawn(async move {
                    drop(connection.await);
                    drop(permit);
                });
                Kind::Two(sender, Arc::default())
            }
        };
        Ok(Self { kind, used: false, opened: tokio::time::Instant::now(), counted })
    }

    /// Sends `request`, and waits for the head of its response.
    ///
    /// # Errors
    /// [`SendFault`]; nothing of a response has come.
    pub async fn send(&mut self, request: Box<Request<B>>) -> Result<Response<Incoming>, SendFault<B>> {
        let ready = match &mut self.kind {
            Kind::One(sender, _) => sender.ready().await,
            Kind::Two(sender, _) => sender.ready().await,
        };
        if let Err(error) = ready {
            return Err(self.fault(&error, Some(request)));
        }
        let sent = match &mut self.kind {
            Kind::One(sender, judge) => {
                let head_only = request.method() == Method::HEAD;
                judge.expect(if head_only { Expected::HeadOnly } else { Expected::Any });
                sender.try_send_request(*request).await
            }
            Kind::Two(sender, _) => sender.try_send_request(*request).await,
        };
        let response = sent.map_err(|mut error: TrySendError<Request<B>>| {
            let unsent = error.take_message().map(Box::new);
            self.fault(&error.into_error(), unsent)
        })?;
        // The codec of HTTP/1 takes blanks off; of HTTP/2 they are malformed (RFC 9113 section 8.2.1).
        if response.headers().values().any(|value| ends_in_blanks(value.as_bytes())) {
            let fault = ConnectFault::at(Stage::Response, Cause::Http("blank-ends"));
            return Err(SendFault { fault, is_refused: false, unsent: None });
        }
        Ok(response)
    }

    /// A request begins on it, which has the right to.
    pub fn occupy(&mut self, bound: &Bound, slot: Slot) {
        bound.begin(self.counted.get_or_insert_default(), slot);
    }

    /// It serves another protocol from now on, and counts no more.
    pub fn uncount(&self) {
        self.counted.as_ref().inspect(|counted| counted.release());
    }

    /// The request on it is over.
    pub fn vacate(&self) {
        self.counted.as_ref().inspect(|counted| counted.end());
    }

    /// What is spoken on it.
    pub fn version(&self) -> HttpVersion {
        match &self.kind {
            Kind::One(..) => HttpVersion::One,
            Kind::Two(..) => HttpVersion::Two,
        }
    }

    /// What is the matter with a body that broke off.
    pub fn body_fault(&self, error: &hyper::Error) -> ConnectFault {
        ConnectFault::at(Stage::Response, self.judged().unwrap_or_else(|| cause(error)))
    }

    /// Whether the next request may be sent on it now.
    pub fn is_ready(&self) -> bool {
        match &self.kind {
            // Where it counts no more there may be another one in its place.
            Kind::One(..) if self.counted.as_ref().is_some_and(|counted| counted.is_released()) => false,
            Kind::One(sender, judge) => sender.is_ready() && judge.fault().is_none(),
            Kind::Two(sender, _) => !sender.is_closed(),
        }
    }

    /// Whether it is gone for good.
    pub fn is_closed(&self) -> bool {
        match &self.kind {
            Kind::One(sender, _) => sender.is_closed(),
            Kind::Two(sender, _) => sender.is_closed(),
        }
    }

    /// Waits until the former exchange is over. False: the connection is of no more use.
    pub async fn settle(&mut self) -> bool {
        match &mut self.kind {
            Kind::One(sender, judge) => sender.ready().await.is_ok() && judge.fault().is_none(),
            Kind::Two(sender, _) => sender.ready().await.is_ok(),
        }
    }

    /// Whether several requests may use it at a time.
    pub(super) fn is_shared(&self) -> bool {
        matches!(self.kind, Kind::Two(..))
    }

    /// Another user of the same connection; `None` where one request has it for itself, or there are as many
    /// as a backend takes.
    pub(super) fn share(&self) -> Option<Self> {
        match &self.kind {
            Kind::One(..) => None,
            Kind::Two(_, users) if Arc::strong_count(users) > USERS => None,
            Kind::Two(sender, users) => {
                let opened = self.opened;
                Some(Self {
                    opened,
                    kind: Kind::Two(sender.clone(), users.clone()),
                    used: true,
                    counted: None,
                })
            }
        }
    }

    fn judged(&self) -> Option<Cause> {
        match &self.kind {
            Kind::One(_, judge) => judge.fault().map(|fault| Cause::Http(fault.name())),
            Kind::Two(..) => None,
        }
    }

    fn fault(&self, error: &hyper::Error, unsent: Option<Box<Request<B>>>) -> SendFault<B> {
        SendFault { fault: self.body_fault(error), is_refused: is_refusal(error), unsent }
    }
}

/// Whether a stream of HTTP/2 was turned away before anything was done for it.
fn is_refusal(error: &hyper::Error) -> bool {
    let mut source = error.source();
    while let Some(inner) = source {
        if let Some(h2) = inner.downcast_ref::<h2::Error>() {
            let leaves = h2.is_go_away() && h2.reason() == Some(h2::Reason::NO_ERROR);
            return h2.is_remote() && (leaves || h2.reason() == Some(h2::Reason::REFUSED_STREAM));
        }
        source = inner.source();
    }
    false
}

/// What an error of the codec's means.
fn cause(error: &hyper::Error) -> Cause {
    if error.is_timeout() {
        return Cause::TimedOut;
    }
    if error.is_parse() {
        return Cause::Http("response");
    }
    let mut source = error.source();
    while let Some(inner) = source {
        if let Some(io) = inner.downcast_ref::<std::io::Error>() {
            return Cause::Io(std::io::Error::new(io.kind(), io.to_string()));
        }
        source = inner.source();
    }
    Cause::Closed
}
