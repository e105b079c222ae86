//! One request of a shared HTTP/2 connection to a web service.

use crate::connect::{BackendStream, Cause, USERS};
use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;
use usher_wire::http::field::ends_in_blanks;
use usher_wire::http1::Caps;

/// Window of a stream, in bytes.
const STREAM_WINDOW: u32 = 256 * 1024;
/// Window of a connection, in bytes: a client that reads slowly leaves room for all others.
const WINDOW: u32 = 32 * 1024 * 1024;
/// Interval between keep-alive pings on an HTTP/2 connection that is in use, and the deadline for the answer to one.
const ALIVE: Duration = Duration::from_secs(20);

type Sent<B> = Result<Response<Incoming>, TrySendError<Request<B>>>;

/// A user of the connection.
pub(super) struct Http2<B> {
    sender: http2::SendRequest<B>,
    /// Counts those who use the connection.
    users: Arc<()>,
    /// The request, before its response.
    sending: Option<Pin<Box<dyn Future<Output = Sent<B>> + Send>>>,
    /// The body of the response.
    incoming: Option<Incoming>,
}

/// Why there is no response.
pub(super) struct Unanswered<B> {
    pub(super) cause: Cause,
    pub(super) is_refused: bool,
    pub(super) unsent: Option<Box<Request<B>>>,
}

impl<B> Http2<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    /// Begins to speak it. `counted` is held as long as the connection lasts.
    pub(super) async fn open(
        stream: BackendStream,
        counted: Option<OwnedSemaphorePermit>,
    ) -> Result<Self, Cause> {
        let (sender, connection) = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(WINDOW)
            .max_header_list_size(Caps::RESPONSE.head as u32)
            .keep_alive_interval(ALIVE)
            .keep_alive_timeout(ALIVE)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| cause(&error))?;
        tokio::spawn(async move {
            drop(connection.await);
            drop(counted);
        });
        Ok(Self { sender, users: Arc::default(), sending: None, incoming: None })
    }

    /// Begins a request, of whose head a copy is returned.
    pub(super) fn begin(&mut self, request: Request<B>) -> Parts {
        let (head, body) = request.into_parts();
        let request = Request::from_parts(head.clone(), body);
        let mut sender = self.sender.clone();
        self.sending = Some(Box::pin(async move {
            // Where the connection has closed meanwhile, the request comes back.
            let _ = sender.ready().await;
            sender.try_send_request(request).await
        }));
        head
    }

    /// The head of its response.
    pub(super) fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<Response<()>, Unanswered<B>>> {
        let Some(sending) = &mut self.sending else {
            return Poll::Ready(Err(Unanswered { cause: Cause::Closed, is_refused: false, unsent: None }));
        };
        let sent = ready!(sending.as_mut().poll(cx));
        self.sending = None;
        let response = sent.map_err(|mut error| {
            let unsent = error.take_message().map(Box::new);
            let error = error.into_error();
            Unanswered { cause: cause(&error), is_refused: is_refusal(&error), unsent }
        });
        let response = match response {
            Ok(response) => response,
            Err(unanswered) => return Poll::Ready(Err(unanswered)),
        };
        // They are malformed (RFC 9113 section 8.2.1); HTTP/1 knows them as white space.
        if response.headers().values().any(|value| ends_in_blanks(value.as_bytes())) {
            let cause = Cause::Http("blank-ends");
            return Poll::Ready(Err(Unanswered { cause, is_refused: false, unsent: None }));
        }
        let (parts, incoming) = response.into_parts();
        self.incoming = Some(incoming);
        Poll::Ready(Ok(Response::from_parts(parts, ())))
    }

    pub(super) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cause>>> {
        match &mut self.incoming {
            Some(incoming) => Pin::new(incoming).poll_frame(cx).map_err(|error| cause(&error)),
            None => Poll::Ready(None),
        }
    }

    pub(super) fn is_end_stream(&self) -> bool {
        self.incoming.as_ref().is_none_or(Body::is_end_stream)
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        self.incoming.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }

    pub(super) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Another user of the connection; `None`: there are as many as a backend takes.
    pub(super) fn share(&self) -> Option<Self> {
        (Arc::strong_count(&self.users) <= USERS).then(|| Self {
            sender: self.sender.clone(),
            users: self.users.clone(),
            sending: None,
            incoming: None,
        })
    }
}

/// Whether a stream was turned away before anything was done for it.
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

/// What an error of the codec means.
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
