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

/// Flow-control window of an HTTP/2 stream, in bytes.
const STREAM_WINDOW: u32 = 256 * 1024;
/// Flow-control window of a connection, in bytes: a client that reads slowly leaves room for all others.
const WINDOW: u32 = 32 * 1024 * 1024;
/// Time between two pings on an HTTP/2 connection that is in use, and the time for each answer.
const ALIVE: Duration = Duration::from_secs(20);
/// Most bytes of a response that are collected before they are passed on.
const BUFFER: usize = Caps::RESPONSE.head + 16 * 1024;

/// A connection on which requests of body `B` are sent.
pub struct Link<B> {
    kind: Kind<B>,
    /// Whether it has served a request before: the backend may have closed it since.
    pub used: bool,
    /// When it was made.
    pub opened: tokio::time::Instant,
    /// What it counts for, if the backend's connections are limited.
    counted: Option<Arc<Counted>>,
}

enum Kind<B> {
    One(http1::SendRequest<B>, Judge),
    /// With a count of its users.
    Two(http2::SendRequest<B>, Arc<()>),
}

/// Why there is no response.
pub struct SendFault<B> {
    /// What happened.
    pub fault: ConnectFault,
    /// The backend has said that it did not process the request (RFC 9113 section 8.7).
    pub is_refused: bool,
    /// The request, if no part of it was sent.
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
                // Whoever waits for a response is told of the error.
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
    /// [`SendFault`]; no part of a response has come.
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
        // The HTTP/1 codec strips blanks; in HTTP/2 they are malformed (RFC 9113 section 8.2.1).
        if response.headers().values().any(|value| ends_in_blanks(value.as_bytes())) {
            let fault = ConnectFault::at(Stage::Response, Cause::Http("blank-ends"));
            return Err(SendFault { fault, is_refused: false, unsent: None });
        }
        Ok(response)
    }

    /// Begins a request on it, in `slot`.
    pub fn occupy(&mut self, bound: &Bound, slot: Slot) {
        bound.begin(self.counted.get_or_insert_default(), slot);
    }

    /// It serves another protocol from now on, and no longer counts.
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

    /// Why a body broke off.
    pub fn body_fault(&self, error: &hyper::Error) -> ConnectFault {
        ConnectFault::at(Stage::Response, self.judged().unwrap_or_else(|| cause(error)))
    }

    /// Whether the next request may be sent on it now.
    pub fn is_ready(&self) -> bool {
        match &self.kind {
            // If it no longer counts, another connection may have taken its place.
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

    /// Waits until the previous exchange is over. False: the connection is useless.
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

    /// Another user of the same connection; `None` if it serves only one request at a time, or has as many users as a
    /// backend accepts.
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

/// Whether an HTTP/2 stream was refused before anything was done for it.
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

/// The cause that an error of the codec stands for.
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
