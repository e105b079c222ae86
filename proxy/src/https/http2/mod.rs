//! HTTP/2 with a client. One task serves a connection, and one each of its streams: a stalled stream is reset alone, and
//! a request that breaks the protocol gets the reset that says so.

mod answer;
mod asked;
mod connection;
pub(crate) mod idle;
mod stream;
mod tunnel;

pub(crate) use stream::{Incoming, Piece};

use self::connection::{Connection, Next};
use crate::boxed::boxed;
use crate::https::client::Client;
use crate::https::message::refusal::Refusal;
use crate::session::{By, Cause, Ended, Stage};
use crate::tls::ClientStream;
use http::{Method, Request, StatusCode, Version};
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use tokio::time::Instant;
use usher_wire::http2::{ConnectionFault, ErrorCode};

/// Serves streams until the connection ends.
pub(crate) async fn serve(client: Arc<Client>, stream: ClientStream) {
    let limits = Arc::new(client.listening().active.snapshot.limits.clone());
    let mut connection = Connection::new(stream, &limits);
    let server = client.server.clone();
    let idler = server.web.idlers.enter();
    let mut retired = pin!(server.shutdown.retired());
    let mut is_leaving = false;
    loop {
        let mut unwanted = pin!(idler.unwanted());
        let next = poll_fn(|cx| {
            if !is_leaving && retired.as_mut().poll(cx).is_ready() {
                is_leaving = true;
                connection.leave();
            }
            if unwanted.as_mut().poll(cx).is_ready() {
                if is_leaving {
                    // It has been told, and does not leave.
                    return Poll::Ready(Next::Nothing);
                }
                is_leaving = true;
                connection.leave();
                idler.begin_anew();
                unwanted.set(idler.unwanted());
                cx.waker().wake_by_ref();
            }
            connection.poll_next(cx)
        });
        let next = next.await;
        // Before any of those that have come together is looked up.
        let arrived = Instant::now();
        let (stream, parts, refused) = match next {
            Next::Request(stream, head) => match asked::request(*head) {
                Some(parts) => (stream, parts, None),
                None => {
                    client.note_refused_by_codec();
                    let (_incoming, responder) = stream::begun(connection.shared(), stream);
                    responder.reset(ErrorCode::PROTOCOL_ERROR);
                    continue;
                }
            },
            Next::TooLarge(stream, is_head) => {
                let (mut parts, ()) = Request::new(()).into_parts();
                parts.version = Version::HTTP_2;
                parts.method = if is_head { Method::HEAD } else { Method::GET };
                let refusal = Refusal::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "head-too-large");
                (stream, parts, Some(refusal))
            }
            Next::Refused => {
                client.note_refused_by_codec();
                continue;
            }
            Next::Nothing => break,
            ended => {
                note_end(&client, &ended);
                break;
            }
        };
        let (incoming, responder) = stream::begun(connection.shared(), stream);
        let held = (incoming.expected_by(&parts), responder);
        let (client, limits, guard) = (client.clone(), limits.clone(), idler.busy());
        server.workers.session(boxed(|| async move {
            answer::answer(client, arrived, parts, refused, held, &limits).await;
            drop(guard);
        }));
    }
    connection.close().await;
}

/// Records why a connection ended, unless it ended properly.
fn note_end(client: &Client, next: &Next) {
    let ended = match next {
        Next::Broken(error) => Ended::broken(Stage::Relay, error),
        Next::Fault(ConnectionFault::Flooded) => {
            Ended::new(By::Usher, Stage::Relay, Cause::Protocol("flood"))
        }
        Next::Fault(ConnectionFault::Broken(_)) => {
            client.server.metrics.http_refused("codec");
            Ended::new(By::Client, Stage::Relay, Cause::Protocol("http2"))
        }
        Next::Late => Ended::new(By::Usher, Stage::Relay, Cause::TooLong),
        Next::Request(..) | Next::TooLarge(..) | Next::Refused | Next::Nothing => return,
    };
    client.write_end(ended);
}
