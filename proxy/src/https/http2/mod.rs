//! HTTP/2 with a client. Uses the `h2` codec directly: a stalled stream is reset alone, and a request that breaks the
//! protocol gets the reset that says so.

pub(crate) mod idle;
mod limiter;
mod stream;

use self::limiter::{FrameLimiter, Frames, Wire};
use self::stream::StreamIo;
use crate::https::client::Client;
use crate::https::message::body::Source;
use crate::https::message::interim::Inform;
use crate::https::message::pace::{Pace, Patience};
use crate::https::pages::answer::Form;
use crate::https::request::{Outcome, exchange};
use crate::https::response::ResponseBody;
use crate::https::upstream::tunnel;
use crate::session::{By, Cause, Ended, Stage};
use crate::tls::ClientStream;
use bytes::Bytes;
use h2::server::{Connection, SendResponse};
use h2::{Reason, RecvStream, SendStream};
use http::{Method, Request, Response};
use http_body::Body;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use tokio::time::{Instant, timeout};
use usher_config::snapshot::Limits;

/// Window of a stream, in bytes.
const STREAM_WINDOW: u32 = 128 * 1024;
/// The largest window that there is (RFC 9113 section 6.9.1).
const LARGEST_WINDOW: u32 = (1 << 31) - 1;
/// Most bytes of responses that wait for a client on one stream.
const SEND: usize = 64 * 1024;

/// Bytes of a body that are read although there is no room for them.
const LEAST: usize = 2 * 1024;

/// Serves streams until the connection ends.
pub(crate) async fn serve(client: Arc<Client>, stream: ClientStream) {
    let limits = Arc::new(client.listening().active.snapshot.limits.clone());
    let frames = Frames::default();
    let wire = Wire::new(stream);
    let counted = FrameLimiter::new(client.clone(), wire.clone(), frames.clone(), &limits);
    let handshake = h2::server::Builder::new()
        .initial_window_size(STREAM_WINDOW)
        // For all of its streams together: one whose backend reads nothing uses up its own window and nobody else's.
        .initial_connection_window_size(STREAM_WINDOW.saturating_mul(limits.http_streams).min(LARGEST_WINDOW))
        .max_concurrent_streams(limits.http_streams)
        .max_header_list_size(u32::try_from(limits.http_head).unwrap_or(u32::MAX))
        .max_send_buffer_size(SEND)
        .enable_connect_protocol()
        .handshake(counted);
    let mut connection = match timeout(limits.http_header, handshake).await {
        Ok(Ok(connection)) => connection,
        Ok(Err(error)) => return note_end(&client, &error),
        Err(_) => return client.write_end(Ended::new(By::Usher, Stage::Relay, Cause::TooLong)),
    };
    let mut ending = false;
    let server = client.server.clone();
    let idler = server.web.idlers.enter();
    loop {
        let accepted = tokio::select! {
            accepted = next(&mut connection, &wire) => accepted,
            () = server.shutdown.stopped(), if !ending => {
                connection.graceful_shutdown();
                ending = true;
                continue;
            }
            () = idler.unwanted() => {
                if ending {
                    // It has been told, and does not leave.
                    return;
                }
                connection.graceful_shutdown();
                ending = true;
                idler.begin_anew();
                continue;
            }
        };
        let (request, respond) = match accepted {
            Some(Ok(accepted)) => accepted,
            Some(Err(error)) => return note_end(&client, &error),
            None => return,
        };
        frames.accepted(respond.stream_id());
        // Before any of those that have come together is looked up.
        let arrived = Instant::now();
        let guard = idler.busy();
        let (client, limits, wire) = (client.clone(), limits.clone(), wire.clone());
        server.workers.session(async move {
            answer(client, arrived, request, respond, &limits, &wire).await;
            drop(guard);
        });
    }
}

/// The next request. What is to be sent goes out whenever there is nothing else to do.
async fn next(
    connection: &mut Connection<FrameLimiter, Bytes>,
    wire: &Wire,
) -> Option<Result<(Request<RecvStream>, SendResponse<Bytes>), h2::Error>> {
    std::future::poll_fn(|cx| {
        let accepted = connection.poll_accept(cx);
        if accepted.is_pending() {
            // Whoever reads sees it if the client is gone.
            let _ = wire.poll_flush(cx);
        }
        accepted
    })
    .await
}

/// Records why a connection ended, unless it ended properly.
fn note_end(client: &Client, error: &h2::Error) {
    let ended = match error.get_io() {
        Some(io) if io.kind() == std::io::ErrorKind::InvalidData => {
            Ended::new(By::Usher, Stage::Relay, Cause::Protocol("flood"))
        }
        Some(io) => Ended::broken(Stage::Relay, io),
        None if error.is_remote() => Ended::new(By::Client, Stage::Relay, Cause::Closed),
        None => {
            client.server.metrics.http_refused("codec");
            Ended::new(By::Client, Stage::Relay, Cause::Protocol("http2"))
        }
    };
    client.write_end(ended);
}

/// The client's side of a stream, before its response.
struct Answering(Mutex<SendResponse<Bytes>>);

impl Answering {
    fn lock(&self) -> MutexGuard<'_, SendResponse<Bytes>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inform for Answering {
    fn inform(&self, head: Response<()>) {
        // A client that is gone cannot be told anything.
        let _ = self.lock().send_informational(head);
    }
}

async fn answer(
    client: Arc<Client>,
    arrived: Instant,
    request: Request<RecvStream>,
    respond: SendResponse<Bytes>,
    limits: &Limits,
    wire: &Wire,
) {
    let (parts, stream) = request.into_parts();
    let (head_only, form) = (parts.method == Method::HEAD, Form::accepted(&parts.headers));
    let answering = Answering(Mutex::new(respond));
    let tunnels = parts.extensions.get::<h2::ext::Protocol>().is_some();
    // What a tunnel carries belongs to nobody before the backend has switched.
    let (source, stream) =
        if tunnels { (Source::Nothing, Some(stream)) } else { (Source::Two(stream), None) };
    let outcome = {
        let exchange = exchange(&client, arrived, parts, source, None, form, &answering);
        let gone = std::future::poll_fn(|cx| match answering.lock().poll_reset(cx) {
            Poll::Ready(_) => Poll::Ready(()),
            Poll::Pending => Poll::Pending,
        });
        tokio::select! {
            outcome = exchange => outcome,
            () = gone => return,
        }
    };
    let mut respond = answering.0.into_inner().unwrap_or_else(PoisonError::into_inner);
    match outcome {
        Outcome::Response(response) => {
            let (head, body) = response.into_parts();
            let is_empty = head_only || body.is_end_stream();
            match respond.send_response(Response::from_parts(head, ()), is_empty) {
                Ok(stream) if !is_empty => pump(body, stream, limits, wire).await,
                Ok(_) | Err(_) => {}
            }
        }
        Outcome::Tunnel(mut response, joined) => {
            tunnel::as_connect(&mut response);
            let (head, _) = response.into_parts();
            match (respond.send_response(Response::from_parts(head, ()), false), stream) {
                (Ok(send), Some(receive)) => Box::pin(joined.run(StreamIo::new(send, receive))).await,
                (Ok(_) | Err(_), _) => joined.give_up(),
            }
        }
        Outcome::Reset(reason) => respond.send_reset(reason),
        Outcome::Cut => respond.send_reset(Reason::CANCEL),
    }
}

/// Sends a body as fast as the client takes it. A stream that stands still for too long is reset.
async fn pump(mut body: ResponseBody, mut stream: SendStream<Bytes>, limits: &Limits, wire: &Wire) {
    let mut pace = Pace::new(body.patience().unwrap_or_else(|| Patience::of(limits, None)));
    loop {
        let frame = std::future::poll_fn(|cx| {
            if stream.poll_reset(cx).is_ready() {
                return Poll::Ready(None);
            }
            if wire.poll_open(cx).is_pending() {
                return pace.poll_wait(cx).map(|()| Some(Err(Reason::CANCEL)));
            }
            // No more is read than the client's windows have room for, and a little to find the end.
            stream.reserve_capacity(SEND);
            body.read_at_most(stream.capacity().max(LEAST));
            Pin::new(&mut body).poll_frame(cx).map(|frame| Some(Ok(frame)))
        });
        let frame = match frame.await {
            None => return,
            Some(Err(reason)) => return stream.send_reset(reason),
            Some(Ok(frame)) => frame,
        };
        match frame {
            None => return drop(stream.send_data(Bytes::new(), true)),
            Some(Err(broken)) => {
                let reason =
                    if broken.is_malformed { Reason::PROTOCOL_ERROR } else { Reason::INTERNAL_ERROR };
                return stream.send_reset(reason);
            }
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => {
                    let last = body.is_end_stream();
                    wire.note_handed(data.len());
                    if let Err(reason) = send(&mut stream, data, last, &mut pace).await {
                        return stream.send_reset(reason);
                    }
                    if last {
                        return;
                    }
                }
                Err(frame) => {
                    if let Ok(trailers) = frame.into_trailers() {
                        return drop(stream.send_trailers(trailers));
                    }
                }
            },
        }
    }
}

/// Sends `data` within the client's windows.
async fn send(
    stream: &mut SendStream<Bytes>,
    mut data: Bytes,
    last: bool,
    pace: &mut Pace,
) -> Result<(), Reason> {
    loop {
        stream.reserve_capacity(data.len());
        let capacity = std::future::poll_fn(|cx| {
            if stream.poll_reset(cx).is_ready() {
                return Poll::Ready(Err(Reason::CANCEL));
            }
            match stream.capacity() {
                0 if !data.is_empty() => {}
                capacity => return Poll::Ready(Ok(capacity)),
            }
            match stream.poll_capacity(cx) {
                Poll::Ready(Some(Ok(capacity))) => Poll::Ready(Ok(capacity)),
                Poll::Ready(Some(Err(_)) | None) => Poll::Ready(Err(Reason::CANCEL)),
                Poll::Pending => pace.poll_wait(cx).map(|()| Err(Reason::CANCEL)),
            }
        })
        .await?;
        let part = data.split_to(capacity.min(data.len()));
        pace.progress(part.len());
        let done = data.is_empty();
        stream.send_data(part, last && done).map_err(|_| Reason::CANCEL)?;
        if done {
            return Ok(());
        }
    }
}
