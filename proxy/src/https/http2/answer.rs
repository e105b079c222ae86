//! One request and its answer, by a task of its own.

use super::stream::{Incoming, Reset, Responder};
use super::tunnel::StreamIo;
use crate::boxed::boxed;
use crate::https::client::Client;
use crate::https::message::body::Source;
use crate::https::message::connect_protocol::ConnectProtocol;
use crate::https::message::pace::{Pace, Patience};
use crate::https::message::refusal::Refusal;
use crate::https::pages::answer::Form;
use crate::https::request::{Outcome, exchange};
use crate::https::response::ResponseBody;
use crate::https::upstream::tunnel;
use bytes::Bytes;
use http::Method;
use http::request::Parts;
use http_body::Body;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use tokio::time::Instant;
use usher_config::snapshot::Limits;
use usher_wire::http2::ErrorCode;

/// Most bytes of a response that are asked for at a time.
const SEND: usize = 64 * 1024;
/// Bytes of a body that are read although there is no room for them.
const LEAST: usize = 2 * 1024;

/// Answers a request that came at `arrived`, or one that is refused.
pub(super) async fn answer(
    client: Arc<Client>,
    arrived: Instant,
    parts: Parts,
    refused: Option<Refusal>,
    (incoming, responder): (Incoming, Responder),
    limits: &Limits,
) {
    let (head_only, form) = (parts.method == Method::HEAD, Form::accepted(&parts.headers));
    let tunnels = parts.extensions.get::<ConnectProtocol>().is_some();
    // What a tunnel carries belongs to nobody before the backend has switched.
    let (source, incoming) =
        if tunnels { (Source::Nothing, Some(incoming)) } else { (Source::Two(incoming), None) };
    let outcome = tokio::select! {
        biased;
        () = poll_fn(|cx| responder.poll_reset(cx)) => return,
        outcome = exchange(&client, arrived, parts, source, refused, form, &responder) => outcome,
    };
    match outcome {
        Outcome::Response(response) => {
            let is_empty = head_only || response.body().is_end_stream();
            if responder.head(&response, is_empty) && !is_empty {
                let (head, body) = response.into_parts();
                drop(head);
                if let Err(code) = send_body(body, &responder, limits).await {
                    responder.reset(code);
                }
            }
        }
        Outcome::Tunnel(mut response, joined) => {
            tunnel::as_connect(&mut response);
            match incoming.filter(|_| responder.head(&response, false)) {
                Some(incoming) => boxed(|| joined.run(StreamIo::new(responder, incoming))).await,
                None => joined.give_up(),
            }
        }
        Outcome::Reset(code) => responder.reset(code),
        Outcome::Cut => responder.reset(ErrorCode::CANCEL),
    }
}

/// Sends a body as fast as the client takes it. A stream that stands still for too long is to be reset.
async fn send_body(mut body: ResponseBody, to: &Responder, limits: &Limits) -> Result<(), ErrorCode> {
    let mut pace = Pace::new(body.patience().unwrap_or_else(|| Patience::of(limits, None)));
    loop {
        let frame = poll_fn(|cx| match to.poll_room(cx) {
            Poll::Ready(Ok(room)) => {
                // No more is read than the client's windows have room for, and a little to find the end.
                body.read_at_most(room.clamp(LEAST, SEND));
                Pin::new(&mut body).poll_frame(cx).map(Ok)
            }
            Poll::Ready(Err(Reset)) => Poll::Ready(Err(ErrorCode::CANCEL)),
            Poll::Pending => pace.poll_wait(cx).map(|()| Err(ErrorCode::CANCEL)),
        });
        let frame = match frame.await? {
            None => return send(to, Bytes::new(), true, &mut pace).await,
            Some(Err(broken)) if broken.is_malformed => return Err(ErrorCode::PROTOCOL_ERROR),
            Some(Err(_)) => return Err(ErrorCode::INTERNAL_ERROR),
            Some(Ok(frame)) => frame,
        };
        match frame.into_data() {
            Ok(data) => {
                let last = body.is_end_stream();
                send(to, data, last, &mut pace).await?;
                if last {
                    return Ok(());
                }
            }
            Err(frame) => {
                let trailers = frame.into_trailers().unwrap_or_default();
                if trailers.is_empty() {
                    return send(to, Bytes::new(), true, &mut pace).await;
                }
                to.trailers(&trailers);
                return Ok(());
            }
        }
    }
}

/// Sends `data` within the client's windows.
async fn send(to: &Responder, mut data: Bytes, last: bool, pace: &mut Pace) -> Result<(), ErrorCode> {
    loop {
        let said = poll_fn(|cx| match to.poll_data(&data, last, cx) {
            Poll::Ready(said) => Poll::Ready(said.map_err(|_| ErrorCode::CANCEL)),
            Poll::Pending => pace.poll_wait(cx).map(|()| Err(ErrorCode::CANCEL)),
        });
        let said = said.await?;
        pace.progress(said);
        drop(data.split_to(said));
        if data.is_empty() {
            return Ok(());
        }
    }
}
