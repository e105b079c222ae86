//! One request of a connection and its answer. Whatever is to be read or written meanwhile is driven by the same task.

use super::asked::{Asked, request};
use super::connection::{Connection, Gone};
use super::encode::{encode_head, encode_interim};
use super::refusal;
use crate::https::client::Client;
use crate::https::message::body::{Inflow, Source};
use crate::https::message::interim::Inform;
use crate::https::message::refusal::Refusal;
use crate::https::pages::answer::{self, Form};
use crate::https::request::{Outcome, exchange};
use crate::https::response::ResponseBody;
use crate::https::upstream::tunnel::Tunnel;
use http::header::CONNECTION;
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use tokio::time::Instant;
use usher_wire::http1::Head;

/// What becomes of a connection after an exchange.
pub(super) enum After {
    /// It waits for another request.
    Another,
    /// It is closed as soon as the client has read its answer.
    Close,
    /// It breaks off.
    Nothing,
    /// It is another protocol's.
    Switch(Box<Tunnel>),
}

/// Serves the request that begins with `head`.
pub(super) fn serve<'a>(
    client: &'a Arc<Client>,
    head: Head,
    connection: &'a mut Connection,
) -> impl Future<Output = After> + 'a {
    let (parts, asked, body) = match request(head) {
        Some((parts, asked)) => match connection.body() {
            Ok(inflow) => (parts, asked, Ok(inflow)),
            Err(refused) => (parts, Asked::refused(asked.is_head), Err(refusal(refused))),
        },
        None => {
            client.note_refused_by_codec();
            stand_in(Refusal::new(StatusCode::BAD_REQUEST, "codec"), false)
        }
    };
    run(client, parts, asked, body, connection)
}

/// Answers a request that is refused, by HEAD or another method.
pub(super) fn refuse<'a>(
    client: &'a Arc<Client>,
    refusal: Refusal,
    is_head: bool,
    connection: &'a mut Connection,
) -> impl Future<Output = After> + 'a {
    let (parts, asked, body) = stand_in(refusal, is_head);
    run(client, parts, asked, body, connection)
}

/// What stands for a request that is refused, and asks for nothing.
fn stand_in(refusal: Refusal, is_head: bool) -> (Parts, Asked, Result<Option<Inflow>, Refusal>) {
    let mut stand_in = Request::new(());
    *stand_in.method_mut() = if is_head { Method::HEAD } else { Method::GET };
    (stand_in.into_parts().0, Asked::refused(is_head), Err(refusal))
}

/// Answers a request with this body, or one that is refused.
async fn run(
    client: &Arc<Client>,
    parts: Parts,
    asked: Asked,
    body: Result<Option<Inflow>, Refusal>,
    connection: &mut Connection,
) -> After {
    let (inflow, refused) = match body {
        Ok(inflow) => (inflow, None),
        Err(refusal) => (None, Some(refusal)),
    };
    let source = inflow.clone().map_or(Source::Nothing, Source::One);
    let form = Form::accepted(&parts.headers);
    let interim = Interim { is_mute: asked.is_old, heads: Mutex::default() };
    let outcome = {
        let mut exchange = pin!(exchange(client, Instant::now(), parts, source, refused, form, &interim));
        poll_fn(|cx| {
            loop {
                if let Poll::Ready(outcome) = exchange.as_mut().poll(cx) {
                    return Poll::Ready(Ok(outcome));
                }
                interim.take(connection.out());
                ready!(attend(connection, inflow.as_ref(), asked.continues, cx))?;
            }
        })
        .await
    };
    interim.take(connection.out());
    match outcome {
        Ok(Outcome::Response(mut response)) => {
            connection.stay();
            // A body that was refused while it went on to a backend is answered for what it is, whatever the backend has
            // made of its beginning.
            if let Some(refusal) = connection.refused().map(refusal).filter(|_| refused.is_none()) {
                let id = client.server.ids.next().to_string();
                response = answer::refused(refusal, form, &id, client.name());
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            respond(client, response, asked, inflow.as_ref(), connection).await
        }
        Ok(Outcome::Tunnel(response, tunnel)) => {
            let (parts, body) = response.into_parts();
            encode_head(&parts, &body, asked, true, connection.out());
            match poll_fn(|cx| connection.poll_flush(cx)).await {
                Ok(()) => After::Switch(tunnel),
                Err(_) => {
                    tunnel.give_up();
                    After::Nothing
                }
            }
        }
        // Resets are of HTTP/2 only.
        Ok(Outcome::Reset(_) | Outcome::Cut) | Err(Gone) => After::Nothing,
    }
}

/// Drives what goes on beside an answer: interim responses, and the request's body. Ready where the answer may have
/// something to go on with, or the client is gone.
fn attend(
    connection: &mut Connection,
    inflow: Option<&Inflow>,
    continues: bool,
    cx: &mut Context<'_>,
) -> Poll<Result<(), Gone>> {
    if let Poll::Ready(Err(_)) = connection.poll_flush(cx) {
        return Poll::Ready(Err(Gone));
    }
    connection.poll_body(inflow, continues, cx)
}

async fn respond(
    client: &Client,
    response: Response<ResponseBody>,
    asked: Asked,
    inflow: Option<&Inflow>,
    connection: &mut Connection,
) -> After {
    let (parts, body) = response.into_parts();
    body.patience().inspect(|patience| connection.allow(*patience));
    let may_persist = !client.server.shutdown.is_retired();
    let (mut coding, is_persistent) = encode_head(&parts, &body, asked, may_persist, connection.out());
    drop(parts);
    let mut body = Some(body);
    let mut is_whole = true;
    let sent = poll_fn(|cx| {
        loop {
            let mut is_waiting = false;
            while !connection.is_full()
                && let Some(coming) = &mut body
            {
                // One whose length is known is not asked for its end.
                let frame =
                    if coding.is_done() { Poll::Ready(None) } else { Pin::new(coming).poll_frame(cx) };
                match frame {
                    Poll::Pending => {
                        is_waiting = true;
                        break;
                    }
                    Poll::Ready(Some(Ok(frame))) => {
                        let (data, behind) = coding.encode(frame, connection.out());
                        connection.put(data, behind);
                    }
                    Poll::Ready(Some(Err(_))) => {
                        is_whole = false;
                        body = None;
                    }
                    Poll::Ready(None) => {
                        is_whole = coding.finish(connection.out());
                        body = None;
                    }
                }
            }
            let written = match is_waiting || body.is_none() || connection.is_blocked() {
                true => connection.poll_flush(cx),
                false => connection.poll_write(cx),
            };
            match written {
                Poll::Ready(Err(_)) => return Poll::Ready(Err(Gone)),
                Poll::Ready(Ok(())) if body.is_none() => return Poll::Ready(Ok(())),
                Poll::Ready(Ok(())) if !is_waiting => {}
                Poll::Ready(Ok(())) | Poll::Pending => ready!(connection.poll_body(inflow, false, cx))?,
            }
        }
    });
    match sent.await {
        Ok(()) if !is_whole => After::Nothing,
        Ok(()) if is_persistent && connection.is_read() => After::Another,
        Ok(()) => After::Close,
        Err(Gone) => After::Nothing,
    }
}

/// Interim responses that are to be sent.
struct Interim {
    /// To HTTP/1.0, which would take one for the final response (RFC 9110 section 15.2).
    is_mute: bool,
    heads: Mutex<Vec<u8>>,
}

impl Interim {
    fn take(&self, out: &mut Vec<u8>) {
        out.append(&mut self.heads.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Inform for Interim {
    fn inform(&self, head: Response<()>) {
        // The connection says so itself, as soon as the body is wanted.
        if !self.is_mute && head.status() != StatusCode::CONTINUE {
            let mut heads = self.heads.lock().unwrap_or_else(PoisonError::into_inner);
            encode_interim(head.status(), head.headers(), &mut heads);
        }
    }
}
